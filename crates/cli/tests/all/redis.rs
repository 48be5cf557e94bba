//! Messages of a Redis server, which comes and goes.

use std::process::Command;

use reef_servers::Server;
use serde_json::Value;

use crate::{
    host::{Host, folder},
    support::eventually,
};

const PASSWORD: &str = "open sesame";

fn cli(server: &Server) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string()]);
    command
}

/// Publishes; how many have it.
fn publish(server: &Server, channel: &str, payload: &[u8]) -> u64 {
    // The last argument is read from standard input. A server without a password has a word to say of it.
    let mut command = cli(server);
    command.args(["-a", PASSWORD, "--no-auth-warning", "-x", "publish", channel]);
    let said = crate::process::finish(command, payload).stdout;
    let said = said.lines().last().unwrap_or_default();
    said.trim().parse().unwrap_or_else(|_| panic!("{said}"))
}

/// A handler of a channel.
fn handler(server: &Server, name: &str, source: &str, channel: &str, rest: &str) -> String {
    format!(
        "[[workload]]\nname = '{name}'\nsource = '{source}'\n\
         trigger.redis = {{ address = 'redis://{}', channel = '{channel}' }}\n{rest}\n",
        server.addr()
    )
}

fn host(guests: &[(&str, &str)], workloads: &[String]) -> Host {
    let manifest = format!(
        "name = 'a'\n[variables.password]\ndefault = 'open%20sesame'\n{}",
        workloads.concat()
    );
    Host::start(folder(guests, &manifest))
}

fn task(host: &Host, workload: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{what} of {workload}"), || {
        Some(host.task(workload)).filter(|task| wanted(task))
    })
}

fn listens(host: &Host, workload: &str) {
    host.server.wait_for_log(&["Messages come from now on.", workload]);
}

#[test]
fn a_channels_messages_are_handled_by_every_contract() {
    let server = Server::redis().unwrap();
    let mut guard = cli(&server);
    guard.args(["config", "set", "requirepass", PASSWORD]);
    assert_eq!(crate::process::finish(guard, b"").stdout, "OK\n");
    let guests = [
        ("three.wasm", "spin-redis"),
        ("two.wasm", "spin-events-2"),
        ("module.wasm", "spin5-redis"),
        ("messages.wasm", "p2-messages"),
        ("cat.wasm", "p1-cat"),
    ];
    let names = ["three", "two", "module", "messages", "cat"];
    let one = |name: &&str| {
        let rest = if *name == "messages" { "env = { DO = 'print' }" } else { "" };
        let handler = handler(&server, name, &format!("{name}.wasm"), "orders", rest);
        handler.replace("redis://", "redis://:{{ password }}@")
    };
    let host = host(&guests, &names.iter().map(one).collect::<Vec<_>>());
    names.iter().for_each(|name| listens(&host, &format!("a/{name}")));
    assert_eq!(publish(&server, "orders", b"tea"), 5);
    for (name, said) in [
        ("three", "got tea"),
        ("two", "got tea"),
        ("module", "got tea"),
        ("messages", "got tea at orders"),
        ("cat", "tea"),
    ] {
        host.server.wait_for_log(&[said, &format!("a/{name}")]);
        let task = task(&host, name, "a run", |task| task["runs"] == 1 && task["running"] == 0);
        assert_eq!(task["failures"], 0, "{name}: {task}");
        assert_eq!(task["trigger"], format!("redis orders at {}", server.addr()));
    }
    // Neither in what is shown nor in the log.
    let log = format!("{:?}", host.server.log());
    assert!(!log.contains("sesame") && !host.told(&["ps", "--json"]).contains("sesame"), "{log}");
}

#[test]
fn a_handler_that_fails_and_a_server_that_goes_away_are_survived() {
    let mut server = Server::redis().unwrap();
    let guests = [("three.wasm", "spin-redis"), ("two.wasm", "spin-events-2")];
    let host = host(
        &guests,
        &[
            handler(&server, "three", "three.wasm", "orders", ""),
            handler(&server, "two", "two.wasm", "orders", ""),
        ],
    );
    ["a/three", "a/two"].iter().for_each(|name| listens(&host, name));
    // Not text, nothing at all, and what breaks the handler.
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for payload in [&garbage[..], b"", b"fail", b"trap", b"tea"] {
        assert_eq!(publish(&server, "orders", payload), 2);
    }
    for (name, said) in [("three", "told to fail"), ("two", "it returned an error")] {
        let task = task(&host, name, "all runs", |task| task["runs"] == 5 && task["running"] == 0);
        assert_eq!(task["failures"], 2, "{task}");
        host.server.wait_for_log(&[said, &format!("a/{name}")]);
        host.server.wait_for_log(&["unreachable", &format!("a/{name}")]);
    }
    server.kill();
    let task_ = task(&host, "three", "the loss", |task| task["phase"] == "connecting");
    assert!(!task_["last_failure"].is_null(), "{task_}");
    // Both: what still takes itself for subscribed would be waited for in vain.
    task(&host, "two", "the loss", |task| task["phase"] == "connecting");
    server.start_again().unwrap();
    task(&host, "three", "the server", |task| task["phase"] == "waiting");
    task(&host, "two", "the server", |task| task["phase"] == "waiting");
    assert_eq!(publish(&server, "orders", b"more tea"), 2);
    host.server.wait_for_log(&["got more tea", "a/three"]);
    host.server.wait_for_log(&["got more tea", "a/two"]);
}

#[test]
fn what_is_too_much_is_dropped_and_what_was_begun_is_finished() {
    let server = Server::redis().unwrap();
    let rest = "limits = { requests = 1, queue = 2 }";
    let slow = handler(&server, "slow", "three.wasm", "orders", rest);
    let mut host = host(&[("three.wasm", "spin-redis")], &[slow]);
    listens(&host, "a/slow");
    assert_eq!(publish(&server, "orders", b"10000"), 1);
    task(&host, "slow", "a run", |task| task["running"] == 1);
    for _ in 0..5 {
        publish(&server, "orders", b"2");
    }
    let full = task(&host, "slow", "what was dropped", |task| task["dropped"] == 3);
    assert_eq!(full["phase"], "running", "{full}");
    host.server.wait_for_log(&["the newest are dropped", "a/slow"]);
    assert!(host.told(&["ps"]).contains("3 dropped"));
    // What waits has a turn before the end, and no more comes.
    host.told(&["stop"]);
    assert!(host.server.ended().success());
    let said = host.server.log();
    assert_eq!(
        said.iter().filter(|entry| entry.to_string().contains("got 2")).count(),
        2,
        "{said:#?}"
    );
}

#[test]
fn messages_are_not_lost_while_a_revision_changes() {
    let server = Server::redis().unwrap();
    let workload = |what: &str| {
        let rest = format!("env = {{ WHAT = '{what}' }}");
        handler(&server, "three", "three.wasm", "orders", &rest)
    };
    let host = host(&[("three.wasm", "spin-redis")], &[workload("old")]);
    listens(&host, "a/three");
    let text = std::fs::read_to_string(host.path("reef.toml")).unwrap();
    for turn in 0..3 {
        let changed = text.replace("WHAT = 'old'", &format!("WHAT = 'new {turn}'"));
        host.write("reef.toml", &changed);
        // Somebody is subscribed at any time.
        let publishing = std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                (0..20)
                    .all(|n| publish(&server, "orders", format!("{turn}.{n} tea").as_bytes()) == 1)
            });
            host.told(&["apply"]);
            publishing.join().unwrap()
        });
        assert!(publishing);
    }
    for turn in 0..3 {
        for n in 0..20 {
            host.server.wait_for_log(&[&format!("got {turn}.{n} tea")]);
        }
    }
}

#[test]
fn what_cannot_listen_is_refused_with_a_reason() {
    for (manifest, said) in [
        (
            "source = 'three.wasm'\ntrigger.redis = { address = 'http://sesame', channel = 'c' }",
            "this is not the address of a Redis server",
        ),
        (
            "source = 'three.wasm'\ntrigger.mqtt = { address = 'mqtt://localhost', topic = 'a/#/b' }",
            "is not a filter of MQTT topics",
        ),
        (
            "source = 'kit.wasm'\ntrigger.redis = { address = 'redis://localhost', channel = 'c' }",
            "messages of Redis go to a component that exports",
        ),
    ] {
        let guests = [("three.wasm", "spin-redis"), ("kit.wasm", "p2-http-kit")];
        let dir = folder(&guests, &format!("name = 'a'\n[[workload]]\nname = 'w'\n{manifest}\n"));
        let mut command = crate::support::reef();
        command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
        command.arg("--socket").arg(dir.path().join("socket"));
        let ended = crate::process::finish(command, b"");
        assert_ne!(ended.status(), 0, "{ended:?}");
        assert!(ended.stderr.contains(said) && !ended.stderr.contains("sesame"), "{ended:?}");
    }
}
