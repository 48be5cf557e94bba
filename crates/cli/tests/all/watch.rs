//! Components that are told of the changes of a key-value store.

use std::io::{BufRead as _, BufReader, Write as _};

use reef_servers::{Nats, Server};
use serde_json::Value;

use crate::{
    client,
    host::{Host, folder},
    process::finish,
    support::{PATIENCE, eventually, reef},
};

const GUESTS: &[(&str, &str)] = &[
    ("kv.wasm", "p2-key-value"),
    ("watch.wasm", "p2-watch"),
    ("draft.wasm", "p2-watch-draft"),
    ("http.wasm", "p2-hello-http"),
];

/// A workload, linked to the store, with more lines.
fn workload(name: &str, source: &str, config: &str, more: &str) -> String {
    format!(
        "[[workload]]\nname = '{name}'\nsource = '{source}'\n{more}\n\
         link = [{{ import = 'wasi:keyvalue', capability = 'key-value', config = {{ {config} }} }}]\n"
    )
}

/// One that writes what it is asked to.
fn writer(config: &str) -> String {
    workload("kv", "kv.wasm", config, "trigger.http.route = '/...'")
}

fn host(workloads: &[String]) -> Host {
    Host::start(folder(GUESTS, &format!("name = 'a'\n{}", workloads.concat())))
}

fn write(host: &Host, operation: &str, key: &str, value: &str) -> String {
    let path = format!("/draft2/{operation}/w/{key}");
    let request = client::request("POST", &path, client::full(value.to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

fn task(host: &Host, workload: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{what} of {workload}"), || {
        Some(host.task(workload)).filter(|task| wanted(task))
    })
}

fn at(backend: &str, server: &Server) -> String {
    format!("backend = '{backend}', url = '{}'", server.url())
}

fn every_backend(test: impl Fn(&str)) {
    let (newest, oldest) =
        (Server::nats(Nats::Newest).unwrap(), Server::nats(Nats::Oldest).unwrap());
    test("backend = 'memory'");
    test("backend = 'embedded'");
    test(&at("redis", &Server::redis().unwrap()));
    test(&at("nats", &newest));
    test(&at("nats", &oldest));
    test(&at("postgres", &Server::postgres().unwrap()));
}

#[test]
fn what_is_set_and_deleted_is_told_to_all_who_watch() {
    every_backend(|config| {
        let host = host(&[
            writer(config),
            workload("one", "watch.wasm", config, "trigger.watch = { store = 'w' }"),
            workload("two", "draft.wasm", config, "trigger.watch = { store = 'w', prefix = 'k' }"),
        ]);
        for name in ["one", "two"] {
            task(&host, name, "a watch", |task| task["phase"] == "waiting");
        }
        assert_eq!(host.task("two")["trigger"], "watch w, k*");
        assert_eq!(write(&host, "set", "k.1", "hello"), "()");
        host.server.wait_for_log(&["k.1 was set to hello, and is hello", "a/one"]);
        host.server.wait_for_log(&["first draft: k.1 was set to hello, and is Ok(true)", "a/two"]);
        write(&host, "increment", "n", "7");
        host.server.wait_for_log(&["n was set to 7, and is 7", "a/one"]);
        write(&host, "delete", "k.1", "");
        host.server.wait_for_log(&["k.1 was deleted, and is nothing", "a/one"]);
        host.server.wait_for_log(&["first draft: k.1 was deleted, and is Ok(false)", "a/two"]);
        for (name, runs) in [("one", 3), ("two", 2)] {
            let task = task(&host, name, "all runs", |task| task["running"] == 0);
            assert_eq!((&task["runs"], &task["failures"]), (&runs.into(), &0.into()), "{config}");
        }
    });
}

#[test]
fn what_a_guest_traps_at_is_told_again_and_then_no_more() {
    for config in ["backend = 'memory'", "backend = 'embedded'"] {
        let watch = |name: &str, doing: &str| {
            let more = format!(
                "env = {{ DO = '{doing}' }}\n\
                 trigger.watch = {{ store = 'w', prefix = 'k', max-deliver = 3, backoff = '20ms' }}"
            );
            workload(name, "watch.wasm", config, &more)
        };
        let host = host(&[writer(config), watch("traps", "trap"), watch("once", "trap-once")]);
        write(&host, "set", "k", "1");
        write(&host, "set", "k", "2");
        // Both of them three times, as they are of one key.
        let traps =
            task(&host, "traps", "all tries", |task| task["runs"] == 6 && task["running"] == 0);
        assert_eq!(traps["failures"], 6, "{traps}");
        assert!(traps["last_failure"].as_str().unwrap().contains("trap"), "{traps}");
        let said = host.server.wait_for_log(&["A change is dropped", "trapped", "a/traps"]);
        assert_eq!((&said["key"], &said["deliveries"]), (&"k".into(), &3.into()), "{said}");
        let once =
            task(&host, "once", "a second try", |task| task["runs"] == 3 && task["running"] == 0);
        assert_eq!(once["failures"], 1, "{once}");
        host.server.wait_for_log(&["k was set to 2, and is 2", "a/once"]);
    }
}

#[test]
fn what_a_slow_watcher_misses_is_counted_and_said() {
    let config = "backend = 'memory'";
    let slow = "env = { DO = 'sleep', FOR = '20' }\nlimits = { queue = 4, requests = 1 }\n\
                trigger.watch = { store = 'w' }";
    let host = host(&[writer(config), workload("slow", "watch.wasm", config, slow)]);
    write(&host, "set-times-3000", "k", "");
    let slow =
        task(&host, "slow", "something missed", |task| task["dropped"].as_u64() > Some(1900));
    assert_eq!(slow["failures"], 0, "{slow}");
    host.server.wait_for_log(&["some are missed", "a/slow"]);
    assert!(host.told(&["ps"]).contains(" dropped"));
}

fn is_watched_again(mut server: Server, backend: &str, phase: &str) {
    let config = at(backend, &server);
    let host = host(&[
        writer(&config),
        workload("one", "watch.wasm", &config, "trigger.watch = { store = 'w' }"),
    ]);
    task(&host, "one", "a watch", |task| task["phase"] == "waiting");
    write(&host, "set", "before", "1");
    host.server.wait_for_log(&["before was set to 1"]);
    server.kill();
    task(&host, "one", "what becomes of it", |task| task["phase"] == phase);
    server.start_again().unwrap();
    task(&host, "one", "a watch again", |task| task["phase"] == "waiting");
    // Whether the watch is there again is not known but by what it tells.
    let mut number = 0;
    eventually("a change", || {
        number += 1;
        write(&host, "set", "after", &number.to_string());
        (host.task("one")["runs"].as_u64() > Some(1)).then_some(())
    });
    host.server.wait_for_log(&["after was set to"]);
    let task = task(&host, "one", "rest", |task| task["running"] == 0);
    assert_eq!(task["failures"], 0, "{task}");
}

#[test]
fn a_redis_that_is_restarted_is_watched_again() {
    is_watched_again(Server::redis().unwrap(), "redis", "connecting");
}

#[test]
fn a_postgres_that_is_restarted_is_watched_again() {
    is_watched_again(Server::postgres().unwrap(), "postgres", "connecting");
}

#[test]
fn a_nats_that_is_restarted_is_watched_again() {
    // Its client goes on by itself, from where it was.
    is_watched_again(Server::nats(Nats::Newest).unwrap(), "nats", "waiting");
}

#[test]
fn nats_tells_what_happened_while_its_server_could_not_be_reached() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    let config = at("nats", &server);
    let host = host(&[
        writer(&config),
        workload("one", "watch.wasm", &config, "trigger.watch = { store = 'w' }"),
    ]);
    // It was never told anything, and is not told of what was there before.
    server.kill();
    server.start_again().unwrap();
    for number in 0..5 {
        eventually("a write", || {
            (write(&host, "set", &format!("k{number}"), "1") == "()").then_some(())
        });
    }
    for number in 0..5 {
        host.server.wait_for_log(&[&format!("k{number} was set to 1"), "a/one"]);
    }
}

#[test]
fn a_watch_goes_on_when_its_application_changes() {
    let config = "backend = 'embedded'";
    let watch = |variable: &str| {
        let more = format!("env = {{ V = '{variable}' }}\ntrigger.watch = {{ store = 'w' }}");
        workload("one", "watch.wasm", config, &more)
    };
    let manifest = |variable: &str| format!("name = 'a'\n{}{}", writer(config), watch(variable));
    let host = Host::start(folder(GUESTS, &manifest("1")));
    for number in 0..4 {
        write(&host, "set", &format!("a{number}"), "1");
        host.write("reef.toml", &manifest(&format!("x{number}")));
        host.told(&["apply"]);
        write(&host, "set", &format!("b{number}"), "1");
    }
    for number in 0..4 {
        for key in ["a", "b"] {
            host.server.wait_for_log(&[&format!("{key}{number} was set to 1")]);
        }
    }
}

/// Tells a server of Redis something.
fn configure(server: &Server, command: &str) {
    assert_eq!(answer(server, command), "+OK\r\n");
}

/// The first line of what it answers.
fn answer(server: &Server, command: &str) -> String {
    let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{command}\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn what_cannot_be_watched_is_refused_with_what_would_help() {
    let redis = Server::redis().unwrap();
    configure(&redis, "CONFIG SET notify-keyspace-events \"\"");
    let watch = "trigger.watch = { store = 'w' }";
    let twice = "trigger.watch = { store = 'w', max-deliver = 0 }";
    let memory = "backend = 'memory'";
    let bare = format!("[[workload]]\nname = 'one'\nsource = 'watch.wasm'\n{watch}\n");
    let place = format!("{memory}, bucket = 'other'");
    for (workloads, status, expected) in [
        (
            workload("one", "watch.wasm", &at("redis", &redis), watch),
            125,
            "a/one cannot watch its store: the Redis server tells nobody of changes; add to its configuration: \
             notify-keyspace-events Kg$xe",
        ),
        (bare, 1, "add link = [{ import = \"wasi:keyvalue\", capability = \"key-value\" }]"),
        (workload("one", "watch.wasm", memory, twice), 1, "a change that is told 0 times"),
        (workload("one", "watch.wasm", &place, watch), 125, "add link = [{ import"),
        (
            workload("one", "kv.wasm", memory, watch),
            125,
            "a component that exports `wasi:keyvalue/watcher`",
        ),
        (workload("one", "http.wasm", memory, watch), 125, "this is something else: HTTP handler"),
    ] {
        let dir = folder(GUESTS, &format!("name = 'a'\n{workloads}"));
        let mut command = reef();
        command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
        command.env("REEF_DATA", dir.path().join("data"));
        let ended = finish(command, b"");
        ended.fails(status, &[expected]);
    }
}

#[test]
fn a_wadm_application_is_told_of_changes_by_the_store_that_it_names() {
    let redis = Server::redis().unwrap();
    let watcher = |name: &str, image: &str| {
        format!(
            "    - name: {name}\n      type: component\n      properties:\n        image: file://./{image}\n\
             \x20     traits:\n        - type: spreadscaler\n          properties:\n            instances: 1\n"
        )
    };
    let manifest = format!(
        r#"apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: a
  annotations:
    description: 'Components that are told of changes'
spec:
  components:
{all}{some}    - name: kvredis
      type: capability
      properties:
        image: ghcr.io/wasmcloud/keyvalue-redis:0.30.0
      traits:
        - type: spreadscaler
          properties:
            instances: 1
        - type: link
          properties:
            target: all
            namespace: wasi
            package: keyvalue
            interfaces: [watcher]
            target_config:
              - name: redis-url
                properties:
                  url: {url}
        - type: link
          properties:
            target: some
            name: some
            namespace: wasi
            package: keyvalue
            interfaces: [watcher]
            source:
              config:
                - name: redis-custom
                  properties:
                    url: {url}
                    watch: 'SET@name,DEL@gone'
"#,
        all = watcher("all", "draft.wasm"),
        some = watcher("some", "watch.wasm"),
        url = redis.url(),
    );
    let dir = folder(GUESTS, "");
    std::fs::remove_file(dir.path().join("reef.toml")).unwrap();
    std::fs::write(dir.path().join("wadm.yaml"), manifest).unwrap();
    let host = Host::with(dir, &["wadm.yaml"]);
    let all = task(&host, "all", "a watch", |task| task["phase"] == "waiting");
    assert_eq!(all["trigger"], "watch kvredis");
    for (command, expected) in [
        ("SET default:gone 1", "+OK"),
        ("DEL default:gone", ":1"),
        ("SET default:other 1", "+OK"),
        ("SET default:name 2", "+OK"),
    ] {
        assert_eq!(answer(&redis, command).trim_end(), expected, "{command}");
    }
    host.server.wait_for_log(&["first draft: other was set to 1", "a/all"]);
    host.server.wait_for_log(&["first draft: gone was deleted", "a/all"]);
    host.server.wait_for_log(&["gone was deleted", "a/some"]);
    host.server.wait_for_log(&["name was set to 2", "a/some"]);
    let status = host.status();
    let some = status["workloads"].as_array().unwrap().iter().find(|one| one["name"] == "some");
    let tasks = some.unwrap()["tasks"].as_array().unwrap();
    let triggers: Vec<_> = tasks.iter().map(|task| task["trigger"].as_str().unwrap()).collect();
    assert_eq!(triggers, ["watch kvredis, gone, deleted", "watch kvredis, name, set"]);
    assert_eq!(tasks[1]["runs"], 1, "{status}");
}
