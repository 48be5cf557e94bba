//! Messages over links to brokers: tried again, put aside, and not lost with their host.

use reef_servers::{Nats, Server};
use serde_json::Value;

use crate::{
    host::{Host, folder},
    support::eventually,
};

const GUEST: (&str, &str) = ("messages.wasm", "p2-messages");

/// The settings of a link to a broker that keeps messages.
fn nats(server: &Server) -> String {
    let url = server.url();
    format!("backend = 'nats', url = '{url}', stream = 'S', stream-subjects = 'orders.*,dead.*'")
}

fn redis(server: &Server) -> String {
    format!("backend = 'redis', url = '{}', durable = 'true'", server.url())
}

/// A link of the name, with terms beside the settings.
fn link(name: &str, settings: &str, terms: &str) -> String {
    format!(
        "[[workload.link]]\nimport = 'wasmcloud:messaging'\nname = '{name}'\n\
         capability = 'messaging'\nconfig = {{ {settings}{terms} }}\n"
    )
}

/// A workload that does something with messages.
fn workload(name: &str, doing: &str, trigger: &str, links: &str) -> String {
    format!(
        "[[workload]]\nname = '{name}'\nsource = 'messages.wasm'\nenv = {{ {doing} }}\n\
         trigger.message = {{ {trigger} }}\n{links}\n"
    )
}

/// One that passes on what is published on the host's own bus.
fn pass(settings: &str, to: &str) -> String {
    let links = link("default", settings, "");
    workload("in", &format!("DO = 'pass', TO = '{to}'"), "subject = 'in'", &links)
}

fn host(workloads: &[String]) -> Host {
    Host::start(folder(&[GUEST], &format!("name = 'a'\n{}", workloads.concat())))
}

fn task(host: &Host, workload: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{what} of {workload}"), || {
        Some(host.task(workload)).filter(|task| wanted(task))
    })
}

const TERMS: &str = ", max-deliver = '3', backoff = '20ms', dead-letter = 'dead.orders'";

fn is_tried_again_and_put_aside(settings: &str) {
    let over = |subject: &str| format!("subject = '{subject}', link = 'events'");
    let events = |terms: &str| link("events", settings, terms);
    let host = host(&[
        pass(settings, "orders.new"),
        workload("fails", "DO = 'fail'", &over("orders.new"), &events(TERMS)),
        workload("traps", "DO = 'trap'", &over("orders.new"), &events(TERMS)),
        workload("fine", "DO = 'print'", &over("orders.new"), &events(TERMS)),
        workload("dead", "DO = 'print'", &over("dead.orders"), &events("")),
    ]);
    host.told(&["publish", "in", "hello"]);
    for name in ["fails", "traps"] {
        let task =
            task(&host, name, "three tries", |task| task["runs"] == 3 && task["running"] == 0);
        assert_eq!((&task["failures"], &task["running"]), (&3.into(), &0.into()), "{task}");
        let said =
            host.server.wait_for_log(&["could not be handled, and is at `dead.orders`", name]);
        assert_eq!(said["link"], "events", "{said}");
    }
    let fine = task(&host, "fine", "one run", |task| task["runs"] == 1 && task["running"] == 0);
    assert_eq!(fine["failures"], 0, "{fine}");
    task(&host, "dead", "two letters", |task| task["runs"] == 2);
    host.server.wait_for_log(&["got hello at dead.orders"]);
    assert_eq!(host.task("fails")["runs"], 3, "it was put aside");
    assert_eq!(host.task("fine")["trigger"], "message orders.new over events");
}

fn is_not_lost_with_its_host(settings: &str) {
    let trigger = "subject = 'orders.new', link = 'events'";
    let manifest = |doing: &str| {
        let links = link("events", settings, ", ack-wait = '2s'");
        format!(
            "name = 'a'\n{}{}",
            pass(settings, "orders.new"),
            workload("w", doing, trigger, &links)
        )
    };
    // The first host is never done with its first message, however long it takes to end that host.
    let dir = folder(&[GUEST], &manifest("DO = 'sleep'"));
    let mut host = Host::start(dir);
    host.told(&["publish", "in", "600000"]);
    task(&host, "w", "the first try", |task| task["running"] == 1);
    host.told(&["publish", "in", "1"]);
    task(&host, "in", "both messages", |task| task["runs"] == 2 && task["running"] == 0);
    host.server.signal("KILL");
    host.server.ended();
    // What the dead one leaves behind.
    let Host { dir, .. } = host;
    let _ = std::fs::remove_file(dir.path().join("socket"));
    std::fs::write(dir.path().join("reef.toml"), manifest("DO = 'print'")).unwrap();
    let host = Host::start(dir);
    let task = task(&host, "w", "both again", |task| {
        task["runs"].as_u64() >= Some(1) && task["running"] == 0 && task["failures"] == 0
    });
    assert_eq!(task["last_failure"], Value::Null, "{task}");
    host.server.wait_for_log(&["got 600000 at orders.new"]);
}

#[test]
fn nats_tries_again_and_puts_aside() {
    is_tried_again_and_put_aside(&nats(&Server::nats(Nats::Newest).unwrap()));
}

#[test]
fn redis_tries_again_and_puts_aside() {
    is_tried_again_and_put_aside(&redis(&Server::redis().unwrap()));
}

#[test]
fn nats_loses_nothing_with_a_host_that_is_killed() {
    is_not_lost_with_its_host(&nats(&Server::nats(Nats::Newest).unwrap()));
}

#[test]
fn redis_loses_nothing_with_a_host_that_is_killed() {
    is_not_lost_with_its_host(&redis(&Server::redis().unwrap()));
}

/// A guest that takes too long is ended and the message is tried again; meanwhile nobody else waits for it.
fn too_slow_is_tried_again(settings: &str) {
    let over = |subject: &str| format!("subject = '{subject}', link = 'events'");
    let events = |terms: &str| link("events", settings, terms);
    let slow = workload("slow", "DO = 'sleep'", &over("orders.slow"), &events(TERMS));
    let slow = slow.replace("trigger.", "limits = { deadline = '300ms', requests = 1 }\ntrigger.");
    let host = host(&[
        workload(
            "in",
            "DO = 'pass', TO = 'orders.slow'",
            "subject = 'in'",
            &link("default", settings, ""),
        ),
        workload(
            "in-fast",
            "DO = 'pass', TO = 'orders.fast'",
            "subject = 'in-fast'",
            &link("default", settings, ""),
        ),
        slow,
        workload("fast", "DO = 'sleep'", &over("orders.fast"), &events("")),
        workload("dead", "DO = 'print'", &over("dead.orders"), &events("")),
    ]);
    for name in ["slow", "fast", "dead"] {
        task(&host, name, "a subscription", |task| task["phase"] == "waiting");
    }
    for body in ["60000", "1", "60000"] {
        host.told(&["publish", "in", body]);
    }
    for _ in 0..5 {
        host.told(&["publish", "in-fast", "1"]);
    }
    let fast = task(&host, "fast", "all of its messages", |task| task["runs"] == 5);
    assert_eq!(fast["failures"], 0, "{fast}");
    task(&host, "dead", "two letters", |task| task["runs"] == 2);
    // The quick one may have been too late, too: then it was tried once more.
    let slow = task(&host, "slow", "all tries", |task| {
        let failures = task["failures"].as_u64().unwrap_or(0);
        failures >= 6 && task["runs"] == failures + 1 && task["running"] == 0
    });
    assert_eq!(slow["phase"], "waiting", "{slow}");
    host.server.wait_for_log(&["could not be handled, and is at `dead.orders`", "slow"]);
}

#[test]
fn nats_delivers_again_what_a_guest_took_too_long_for() {
    too_slow_is_tried_again(&nats(&Server::nats(Nats::Newest).unwrap()));
}

#[test]
fn redis_delivers_again_what_a_guest_took_too_long_for() {
    too_slow_is_tried_again(&redis(&Server::redis().unwrap()));
}

#[test]
fn mqtt_delivers_again_what_a_guest_took_too_long_for() {
    let server = Server::mosquitto().unwrap();
    let settings = format!("backend = 'mqtt', url = '{}', session = 's'", server.url());
    too_slow_is_tried_again(&settings);
}

#[test]
fn what_a_guest_took_too_long_for_is_handled_again_without_a_broker() {
    too_slow_is_tried_again("timeout = '5s'");
}

#[test]
fn a_question_is_answered_over_the_link_that_it_came_over() {
    let server = Server::nats(Nats::Newest).unwrap();
    let settings = format!("backend = 'nats', url = '{}'", server.url());
    let trigger = "subject = 'ask.*', link = 'events'";
    let nowhere = link("events", &settings, ", subjects = ''");
    let ask = link("default", &settings, "");
    let host = host(&[
        workload("front", "DO = 'ask', TO = 'ask.it'", "subject = 'front'", &ask),
        workload("back", "DO = 'answer'", trigger, &nowhere),
    ]);
    task(&host, "back", "a connection", |task| task["phase"] == "waiting");
    // The front was asked on this host's own bus, and answers there.
    let said = host.told(&["publish", "front", "what?", "--request"]);
    assert_eq!(said, "answer to what?");
    host.server.wait_for_log(&["got what? at ask.it", "a/back"]);
    assert_eq!(host.task("back")["failures"], 0);
}

#[test]
fn a_broker_that_is_not_there_is_waited_for() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    server.kill();
    let settings = format!("backend = 'nats', url = '{}'", server.url());
    let trigger = "subject = 'orders.new', link = 'events'";
    let host = host(&[
        pass(&settings, "orders.new"),
        workload("w", "DO = 'print'", trigger, &link("events", &settings, "")),
    ]);
    let task = |what: &str, wanted: &dyn Fn(&Value) -> bool| task(&host, "w", what, wanted);
    task("no connection", &|task| task["phase"] == "connecting");
    host.server.wait_for_log(&["No messages come", "a/w", "events"]);
    server.start_again().unwrap();
    task("a connection", &|task| task["phase"] == "waiting");
    eventually("a message", || {
        host.told(&["publish", "in", "hello"]);
        (host.task("w")["runs"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn what_is_wrong_with_a_link_is_said() {
    let url = "redis://user:S3CRET@127.0.0.1:1";
    let settings = format!("backend = 'redis', url = '{url}', durabel = 'true'");
    for (trigger, links, expected) in [
        ("subject = 'x', link = 'events'", String::new(), "name = \"events\""),
        ("subject = 'x'", link("default", &settings, ""), "did you mean `durable`?"),
        ("subject = 'x'", link("default", "backend = 'kafka'", ""), "there is no backend `kafka`"),
    ] {
        let manifest = format!("name = 'a'\n{}", workload("w", "DO = 'print'", trigger, &links));
        let dir = folder(&[GUEST], &manifest);
        let mut command = crate::support::reef();
        command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
        let ended = crate::process::finish(command, b"");
        assert!(!format!("{ended:?}").contains("S3CRET"), "{ended:?}");
        ended.fails(125, &[expected]);
    }
}

#[test]
fn every_version_of_the_interfaces_publishes_asks_and_handles() {
    let one = |name: &str, source: &str, doing: &str, trigger: &str, rest: &str| {
        format!(
            "[[workload]]\nname = '{name}'\nsource = '{source}'\nenv = {{ {doing} }}\n\
             trigger.message = {{ {trigger} }}\n{rest}\n"
        )
    };
    let linked = link("default", "", "");
    let terms = link("default", "max-deliver = '2', backoff = '20ms', dead-letter = 'dead'", "");
    let ask = "DO = 'ask', TO = 'back', LINK = 'default'";
    let over = |subject: &str| format!("subject = '{subject}', link = 'default'");
    let workloads = [
        one("back", "messages.wasm", "DO = 'answer'", "subject = 'back'", &linked),
        one("back3", "p3.wasm", "DO = 'answer'", "subject = 'back3'", &linked),
        one("wback", "wasi.wasm", "DO = 'answer'", "subject = 'wback'", &linked),
        one("ask3", "p3.wasm", ask, "subject = 'ask3'", &linked),
        one("wask", "wasi.wasm", ask, "subject = 'wask'", &linked),
        one("retry", "p3.wasm", "DO = 'retry'", &over("retry"), &terms),
        one("reject", "p3.wasm", "DO = 'reject'", &over("reject"), &terms),
        one("wfail", "wasi.wasm", "DO = 'fail'", &over("wfail"), &terms),
        one(
            "pass",
            "wasi.wasm",
            "DO = 'pass', TO = 'sink', LINK = 'default'",
            "subject = 'pass'",
            &linked,
        ),
        one("sink", "wasi.wasm", "DO = 'print'", "subject = 'sink'", ""),
        one("dead", "wasi.wasm", "DO = 'print'", "subject = 'dead'", ""),
        one("nothing", "wasi.wasm", "DO = 'pass', LINK = 'default'", "subject = 'nothing'", ""),
    ];
    let guests = [GUEST, ("p3.wasm", "p3-messages"), ("wasi.wasm", "p2-wasi-messages")];
    let manifest = format!("name = 'a'\n{}", workloads.concat());
    let host = Host::start(folder(&guests, &manifest));
    for subject in ["back3", "wback", "ask3", "wask"] {
        let said = host.told(&["publish", subject, "it", "--request"]);
        assert_eq!(said, "answer to it", "{subject}");
    }
    for (name, runs) in [("retry", 2), ("reject", 1), ("wfail", 2)] {
        host.told(&["publish", name, name]);
        task(&host, name, "all tries", |task| task["runs"] == runs && task["running"] == 0);
        host.server.wait_for_log(&[&format!("got {name} at dead"), "Reef-Deliveries"]);
        assert_eq!(host.task(name)["runs"], runs);
    }
    host.told(&["publish", "pass", "it"]);
    host.server.wait_for_log(&["got it at sink", "text/plain", "two"]);
    host.told(&["publish", "nothing", "it"]);
    task(&host, "nothing", "a refusal", |task| task["failures"] == 1);
    host.server.wait_for_log(&["a/nothing may not use", "add link = [{ import"]);
}

#[test]
fn a_wadm_application_has_its_messages_from_the_servers_that_it_names() {
    let server = Server::nats(Nats::Oldest).unwrap();
    let manifest = format!(
        r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: echo
  annotations: {{ version: v0.1.0 }}
spec:
  components:
    - name: echo
      type: component
      properties: {{ image: file://./messages.wasm }}
      traits:
        - type: spreadscaler
          properties: {{ instances: 1 }}
        - type: link
          properties:
            target:
              name: nats
              config: [{{ name: broker, properties: {{ cluster_uris: '{url}' }} }}]
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
    - name: nats
      type: capability
      properties: {{ image: ghcr.io/wasmcloud/messaging-nats:0.27.0 }}
      traits:
        - type: link
          properties:
            target: {{ name: echo }}
            namespace: wasmcloud
            package: messaging
            interfaces: [handler]
            source:
              config:
                - name: sub
                  properties: {{ subscriptions: 'wasmcloud.echo|workers', cluster_uris: '{url}' }}
"#,
        url = server.url()
    );
    let dir = folder(&[GUEST], "");
    std::fs::remove_file(dir.path().join("reef.toml")).unwrap();
    std::fs::write(dir.path().join("wadm.yaml"), manifest).unwrap();
    let host = Host::with(dir, &["wadm.yaml"]);
    let task = task(&host, "echo", "a connection", |task| task["phase"] == "waiting");
    assert_eq!(task["trigger"], "message wasmcloud.echo over nats, shared by workers");
    let answer = ask(&server, "wasmcloud.echo", "hello");
    assert_eq!(answer, "answer to hello");
}

/// Asks as any client of NATS does.
fn ask(server: &Server, subject: &str, body: &str) -> String {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let length = body.len();
    let connect =
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"test\",\"version\":\"1\"}";
    write!(stream, "{connect}\r\nSUB inbox.1 1\r\nPUB {subject} inbox.1 {length}\r\n{body}\r\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some(rest) = line.strip_prefix("MSG inbox.1 1 ") else {
            assert!(!line.is_empty(), "it closed the connection");
            continue;
        };
        let mut body = vec![0; rest.trim().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        return String::from_utf8(body).unwrap();
    }
}
