//! A host behind a leaf node, and a hub that is cut off from it.

use std::path::Path;

use reef_servers::{Cluster, Nats, Server as Bus};

use super::Lattice;
use crate::{
    client,
    host::{folder, tell},
    server::{Server, serving},
    support::eventually,
};

/// One workload at the edge that writes, one that passes messages on; at the hub one that reads, and one that is told.
fn manifest(hub: &Bus, leaf: &Bus) -> String {
    let link = |import: &str, capability: &str, config: &str, more: &str| {
        format!(
            "link = [{{ import = '{import}', capability = '{capability}', config = {{ backend = 'nats', {config} }}{more} }}]"
        )
    };
    let (hub, leaf) =
        (format!("url = '{}'", hub.url()), format!("url = '{}', domain = 'hub'", leaf.url()));
    let stream = "stream = 'S', stream-subjects = 'orders.*'";
    let queue = ", offline = 'queue'";
    let on = |zone: &str| format!("scale.spread = [{{ labels = {{ zone = '{zone}' }} }}]");
    format!(
        "name = 'shop'\n\
         [[workload]]\nname = 'write'\nsource = 'kv.wasm'\n{edge}\n\
         trigger.http.route = '/draft2/...'\n{write}\n\
         [[workload]]\nname = 'pass'\nsource = 'messages.wasm'\n{edge}\n\
         env = {{ DO = 'pass', TO = 'orders.new' }}\ntrigger.message = {{ subject = 'in' }}\nlimits.requests = 1\n{pass}\n\
         [[workload]]\nname = 'read'\nsource = 'kv.wasm'\n{at_hub}\n\
         trigger.http.route = '/draft/...'\n{read}\n\
         [[workload]]\nname = 'told'\nsource = 'messages.wasm'\n{at_hub}\n\
         env = {{ DO = 'print' }}\ntrigger.message = {{ subject = 'orders.*', link = 'default' }}\nlimits.requests = 1\n{told}\n",
        edge = on("edge"),
        at_hub = on("hub"),
        write = link("wasi:keyvalue", "key-value", &leaf, queue),
        pass = link("wasmcloud:messaging", "messaging", &format!("{leaf}, {stream}"), queue),
        read = link("wasi:keyvalue", "key-value", &hub, ""),
        told = link("wasmcloud:messaging", "messaging", &format!("{hub}, {stream}"), ""),
    )
}

/// The host behind the leaf node.
fn edge(leaf: &Bus, dir: &Path) -> Server {
    let mut command = serving("host", ["--name", "edge", "--label", "zone=edge"]);
    command.args(["--lattice", &format!("{}/test?domain=hub", leaf.url()), "--data"]);
    command.arg(dir.join("edge")).arg("--socket").arg(dir.join("edge.socket"));
    command.args(["--no-controller", "--memory", "64GiB", "--cpu", "1000"]);
    Server::spawn(command)
}

fn write(host: &Server, operation: &str, key: &str, value: &str) -> String {
    let path = format!("/draft2/{operation}/w/{key}");
    let request = client::request("POST", &path, client::full(value.to_owned()));
    let answer = client::ask(client::Version::H1, host.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

#[test]
fn a_host_that_is_cut_off_goes_on_and_what_it_did_arrives_when_it_is_back() {
    let (hub, leaf) = Cluster::hub_and_leaf(Nats::Newest).unwrap();
    let manifest = manifest(&hub, &leaf);
    let mut lattice = Lattice::over(format!("{}/test", hub.url()), hub);
    lattice.join("hub", &["--label", "zone=hub"]);
    let mut host = edge(&leaf, lattice.dir.path());
    lattice.heard(2);
    let guests = [("kv.wasm", "p2-key-value"), ("messages.wasm", "p2-messages")];
    let shop = folder(&guests, &manifest);
    lattice.apply(shop.path());
    let pass = |lattice: &Lattice, body: &str| {
        let dir = lattice.dir.path();
        let told = tell(&dir.join("edge.socket"), dir, &["publish", "in", body]);
        assert!(told.stdout.contains("one subscriber"), "{told:?}");
    };
    let read = |lattice: &Lattice, key: &str| lattice.get(0, &format!("/draft/get/w/{key}")).text();
    assert_eq!(write(&host, "set", "a", "1"), "()");
    assert_eq!(write(&host, "increment", "n", "5"), "5");
    pass(&lattice, "m0");
    lattice.host(0).wait_for_log(&["got m0 at orders.new"]);
    eventually("the value at the hub", || (read(&lattice, "a") == "Some(\"1\")").then_some(()));

    lattice.bus.kill();
    assert_eq!(write(&host, "set", "a", "2"), "()");
    assert_eq!(write(&host, "get", "a", ""), "Some(\"2\")");
    write(&host, "increment", "n", "7");
    pass(&lattice, "m1");
    pass(&lattice, "m2");
    let acknowledged = || {
        let one = |task: &serde_json::Value| task["runs"] == 3;
        let status =
            tell(&lattice.dir.path().join("edge.socket"), lattice.dir.path(), &["ps", "--json"]);
        let all: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let workloads = all[0]["applications"][0]["workloads"].as_array().unwrap().clone();
        let pass = workloads.iter().find(|one| one["name"] == "pass")?.clone();
        pass["tasks"].as_array()?.iter().any(one).then_some(())
    };
    eventually("messages that are kept", acknowledged);

    // A power cut, and nobody to ask.
    host.signal("KILL");
    drop(host);
    host = edge(&leaf, lattice.dir.path());
    eventually("an answer from what the host has", || {
        (client::get(host.addr, "/draft2/get/w/a").text() == "Some(\"2\")").then_some(())
    });
    assert_eq!(write(&host, "set", "b", "3"), "()");

    lattice.bus.start_again().unwrap();
    eventually("the values at the hub", || {
        let all = ["a", "b", "n"].map(|key| read(&lattice, key));
        (all == ["Some(\"2\")", "Some(\"3\")", "Some(\"12\")"]).then_some(())
    });
    lattice.host(0).wait_for_log(&["got m2 at orders.new"]);
    let got = lattice.host(0).log();
    let got = got.iter().map(ToString::to_string).filter(|line| line.contains("at orders.new"));
    let got: Vec<_> =
        got.map(|line| (0..3).find(|n| line.contains(&format!("got m{n} "))).unwrap()).collect();
    // The hub may have ended before it was told that the first one was taken: then it comes once more.
    let got: Vec<_> = got.into_iter().filter(|n| *n > 0).collect();
    assert_eq!(got, [1, 2]);
    // It is what it was, once.
    lattice.told(&["wait", "shop"]);
    let on = |host: &str| lattice.placements().iter().filter(|one| one.1 == host).count();
    eventually("each workload once", || ((on("hub"), on("edge")) == (2, 2)).then_some(()));
}
