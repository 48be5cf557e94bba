//! As many instances as the work needs.

use std::time::Instant;

use reef_servers::Nats;

use super::{Lattice, load::Load};
use crate::{client::Reply, host::folder, support::eventually};

/// A kit whose instances follow its load.
fn manifest(auto: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         trigger.http.route = '/...'\nlimits.queue-timeout = '60s'\nscale.auto = {{ {auto} }}\n"
    )
}

fn start(hosts: &[&str], auto: &str) -> Lattice {
    let hosts: Vec<_> = hosts.iter().map(|name| (*name, &[] as &[&str])).collect();
    let lattice = Lattice::led(Nats::Newest, &hosts);
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &manifest(auto));
    lattice.apply(shop.path());
    (0..hosts.len()).for_each(|host| drop(lattice.answers(host, "/env")));
    lattice
}

#[test]
fn there_are_more_with_more_requests_at_once_and_fewer_with_fewer() {
    let auto = "max = 4, target = { concurrency = 2 }, down-after = '2s'";
    let lattice = start(&["one", "two"], auto);
    lattice.ready(1);
    let addrs: Vec<_> = (0..2).map(|host| lattice.host(host).addr).collect();
    let load = Load::on(&addrs, "/sleep?ms=200", 6);
    // Twelve at once are two each for more than there may be.
    lattice.ready(4);
    load.goes_on(50);
    load.ends_well();
    eventually("one instance, and nothing to do", || {
        let apps = lattice.json(&["get", "apps"]);
        (apps[0]["phase"] == "deployed" && apps[0]["ready"] == 1).then_some(())
    });
}

#[test]
fn there_are_more_where_requests_wait_too_long() {
    let auto = "max = 5, target = { queue-time = '20ms' }, down-after = '2s'";
    let lattice = start(&["one"], auto);
    let load = Load::on(&[lattice.host(0).addr], "/sleep?ms=100", 4);
    eventually("more instances", || {
        let ready: u64 = lattice.placements().iter().map(|one| one.3).sum();
        (ready >= 3).then_some(())
    });
    load.ends_well();
    lattice.ready(1);
}

#[test]
fn without_requests_there_is_none_and_the_first_one_is_answered_all_the_same() {
    let auto = "max = 3, scale-to-zero = '1s', target = { concurrency = 10 }";
    let lattice = start(&["one", "two"], auto);
    let gone = || {
        eventually("no instances", || {
            let apps = lattice.json(&["get", "apps"]);
            let none = lattice.json(&["get", "placements"]).as_array().unwrap().is_empty();
            (none && apps[0]["phase"] == "deployed").then_some(())
        });
    };
    for round in 0..3 {
        gone();
        let before = Instant::now();
        // Whichever host is asked.
        let reply: Reply = lattice.get(round % 2, "/env");
        assert_eq!(reply.status, 200, "{}", reply.text());
        eprintln!("from zero: {:?}", before.elapsed());
    }
}

/// An application that says how much there is to do: ten of it for each instance.
fn deep(metric: &str) -> String {
    format!(
        "name = 'deep'\n[[workload]]\nname = 'observe'\nsource = 'observe.wasm'\n\
         trigger.http.route = '/...'\n\
         scale.auto = {{ max = 4, target = {{ metric = '{metric}', value = 10 }}, down-after = '2s' }}\n"
    )
}

#[test]
fn there_are_as_many_as_a_metric_of_the_guest_needs() {
    let lattice = Lattice::start(&[("one", &[])]);
    let folder = folder(&[("observe.wasm", "p2-observe")], &deep("depth"));
    lattice.apply(folder.path());
    lattice.answers(0, "/?");
    lattice.ready(1);
    let say = |value: u64| lattice.get(0, &format!("/gauge/{value}")).text();
    assert_eq!(say(25), "Ok(())");
    lattice.ready(3);
    // No more than there may be.
    say(1000);
    lattice.ready(4);
    say(15);
    lattice.ready(2);
    say(0);
    lattice.ready(1);

    // Another one, which the host counts, with nothing made anew.
    std::fs::write(folder.path().join("reef.toml"), deep("reef.requests")).unwrap();
    lattice.apply(folder.path());
    let load = Load::on(&[lattice.host(0).addr], "/?", 2);
    lattice.ready(4);
    load.ends_well();
    lattice.ready(1);
    let placements = lattice.json(&["get", "placements"]);
    assert_eq!(placements[0]["revision"], 1, "{placements}");
}
