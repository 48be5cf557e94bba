//! Messages of an MQTT broker, which comes and goes.

use std::process::Command;

use reef_servers::Server;
use serde_json::Value;

use crate::{
    host::{Host, folder},
    support::eventually,
};

fn publish(broker: &Server, topic: &str, qos: u8, payload: &[u8]) {
    use std::io::Write as _;
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command.args(["-u", "reef", "-P", "open sesame", "-t", topic, "-q", &qos.to_string()]);
    command.arg(if payload.is_empty() { "-n" } else { "-s" });
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(payload).unwrap();
    assert!(child.wait().unwrap().success());
}

fn handler(broker: &Server, name: &str, source: &str, topic: &str, rest: &str) -> String {
    format!(
        "[[workload]]\nname = '{name}'\nsource = '{source}'\n\
         trigger.mqtt = {{ address = 'mqtt://{}', topic = '{topic}', username = 'reef', \
         password = '{{{{ password }}}}', keep-alive = '5s', {rest} }}\n",
        broker.addr()
    )
}

fn host(guests: &[(&str, &str)], workloads: &[String]) -> Host {
    let manifest = format!(
        "name = 'a'\n[variables.password]\ndefault = 'open sesame'\n{}",
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
fn a_topics_messages_are_handled_by_every_contract() {
    let broker = Server::guarded_mosquitto().unwrap();
    let guests =
        [("spin.wasm", "spin-events-3"), ("messages.wasm", "p2-messages"), ("cat.wasm", "p1-cat")];
    let messages = handler(&broker, "messages", "messages.wasm", "rooms/#", "qos = 1")
        .replace("trigger", "env = { DO = 'print' }\ntrigger");
    let workloads = [
        handler(&broker, "spin", "spin.wasm", "rooms/+/heat", "qos = 2"),
        messages,
        handler(&broker, "cat", "cat.wasm", "rooms/#", "qos = 0"),
    ];
    let host = host(&guests, &workloads);
    ["a/spin", "a/messages", "a/cat"].iter().for_each(|name| listens(&host, name));
    for qos in 0..3 {
        publish(&broker, "rooms/kitchen/heat", qos, format!("tea {qos}").as_bytes());
    }
    for qos in 0..3 {
        let text = format!("got tea {qos} at rooms/kitchen/heat");
        host.server.wait_for_log(&[&text, "a/spin"]);
        host.server.wait_for_log(&[&text, "a/messages"]);
        host.server.wait_for_log(&[&format!("tea {qos}"), "a/cat"]);
    }
    let task = task(&host, "spin", "all runs", |task| task["runs"] == 3 && task["running"] == 0);
    assert_eq!(task["failures"], 0, "{task}");
    assert_eq!(task["trigger"], format!("mqtt rooms/+/heat at {}", broker.addr()));
    let log = format!("{:?}", host.server.log());
    assert!(!log.contains("sesame") && !host.told(&["ps", "--json"]).contains("sesame"), "{log}");
}

#[test]
fn a_handler_that_fails_and_a_broker_that_goes_away_are_survived() {
    let mut broker = Server::guarded_mosquitto().unwrap();
    let workload = handler(&broker, "spin", "spin.wasm", "orders", "qos = 1");
    let host = host(&[("spin.wasm", "spin-events-3")], &[workload]);
    listens(&host, "a/spin");
    let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for payload in [&garbage[..], b"", b"fail", b"trap", b"tea"] {
        publish(&broker, "orders", 1, payload);
    }
    // What failed was told to the broker as well: it does not come again.
    let all = task(&host, "spin", "all runs", |task| task["runs"] == 5 && task["running"] == 0);
    assert_eq!(all["failures"], 2, "{all}");
    host.server.wait_for_log(&["told to fail", "a/spin"]);
    host.server.wait_for_log(&["unreachable", "a/spin"]);
    broker.kill();
    let lost = task(&host, "spin", "the loss", |task| task["phase"] == "connecting");
    assert!(!lost["last_failure"].is_null(), "{lost}");
    broker.start_again().unwrap();
    task(&host, "spin", "the broker", |task| task["phase"] == "waiting");
    publish(&broker, "orders", 1, b"more tea");
    host.server.wait_for_log(&["got more tea at orders", "a/spin"]);
    assert_eq!(host.task("spin")["runs"], 6);
}

/// More than the broker sends ahead, one after the other.
#[test]
fn a_broker_waits_for_what_is_to_be_delivered() {
    let broker = Server::guarded_mosquitto().unwrap();
    let workload = handler(&broker, "spin", "spin.wasm", "orders", "qos = 1")
        .replace("trigger", "limits = { requests = 1, queue = 2 }\ntrigger");
    let mut host = host(&[("spin.wasm", "spin-events-3")], &[workload]);
    listens(&host, "a/spin");
    for _ in 0..60 {
        publish(&broker, "orders", 1, b"20");
    }
    let all = task(&host, "spin", "all runs", |task| task["runs"] == 60 && task["running"] == 0);
    assert_eq!((&all["dropped"], &all["failures"]), (&0.into(), &0.into()), "{all}");
    publish(&broker, "orders", 1, b"1000");
    host.server.wait_for_log(&["got 1000 at orders", "a/spin"]);
    host.told(&["stop"]);
    assert!(host.server.ended().success());
    assert!(!format!("{:?}", host.server.log()).contains("given up"));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let broker = Server::guarded_mosquitto().unwrap();
    let workload =
        handler(&broker, "spin", "spin.wasm", "orders", "qos = 1").replace("'reef'", "'you'");
    let host = host(&[("spin.wasm", "spin-events-3")], &[workload]);
    let refused = task(&host, "spin", "the refusal", |task| !task["last_failure"].is_null());
    let why = refused["last_failure"].as_str().unwrap();
    assert!(why.contains("refused") && refused["phase"] == "connecting", "{refused}");
}
