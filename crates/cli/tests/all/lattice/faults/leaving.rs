//! Hosts that leave and come back: told to, and while nobody can be told.

use std::thread;

use super::{Witness, kit_folder};
use crate::{
    lattice::{Lattice, load::Load},
    server::{Server, said},
    support::eventually,
};

const NAMES: [&str; 3] = ["one", "two", "three"];
const SCALE: &str = "scale.instances = 3";

fn addrs(lattice: &Lattice, but: usize) -> Vec<std::net::SocketAddr> {
    (0..3).filter(|host| *host != but).map(|host| lattice.host(host).addr).collect()
}

fn host(lattice: &mut Lattice, at: usize) -> &mut Server {
    lattice.hosts[at].as_mut().unwrap()
}

/// A host ends by itself, once others have what it ran.
fn left_well(lattice: &mut Lattice, at: usize) {
    let ended = host(lattice, at).ended();
    let log = lattice.host(at).log();
    let late = log.iter().any(|entry| said(entry, "was not taken elsewhere in time"));
    assert!(ended.success() && !late, "{ended}: {log:#?}");
}

#[test]
fn a_host_that_starts_while_nats_is_down_runs_what_it_was_told_last_and_joins_again() {
    let mut lattice = Lattice::start(&[("one", &[]), ("two", &[])]);
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 2");
    lattice.apply(shop.path());
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));

    lattice.bus.kill();
    lattice.kill(0);
    lattice.join_again(0, "one", &[]);
    assert_eq!(lattice.answers(0, "/env"), "env VERSION=1\n");
    lattice.host(0).wait_for_log(&["what was last assigned to this host runs"]);
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);
    load.goes_on(200);

    lattice.bus.start_again().unwrap();
    lattice.heard(2);
    witness.runs(2);
    witness.settled();
    witness.runs(2);
    load.goes_on(100);
    load.ends_well();
    let two = ["one", "two"].map(|host| (host.to_owned(), 1));
    eventually("one on each", || (lattice.ready_on() == two).then_some(()));
    assert_eq!(lattice.history("shop"), (vec![1], Some(1)));
}

#[test]
fn a_leader_that_is_told_to_end_leaves_without_a_failed_request() {
    let mut lattice = Lattice::start(&NAMES.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    let (leaving, term) = (lattice.leading(&witness, &NAMES), witness.term());
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    // One that is under way there is answered, too. Before others come, it is the only one.
    let begun = |host| lattice.host(host).metric("reef_requests_total", "");
    let all = || (0..3).map(begun).sum::<f64>();
    let (before, at) = (all(), lattice.host(leaving).addr);
    let slow = thread::spawn(move || crate::client::get(at, "/sleep?ms=2000").text());
    eventually("a request under way", || (all() > before).then_some(()));
    let load = Load::on(&addrs(&lattice, leaving), "/env", 2);
    load.goes_on(100);

    lattice.host(leaving).signal("TERM");
    left_well(&mut lattice, leaving);
    assert_eq!(slow.join().unwrap(), "awake\n");
    witness.led_after(term);
    witness.runs(3);
    load.goes_on(100);
    load.ends_well();
    lattice.heard(2);
    witness.settled();
}

#[test]
fn a_host_that_is_drained_to_leave_ends_by_itself() {
    let mut lattice = Lattice::start(&NAMES.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs(&lattice, 1), "/env", 2);
    load.goes_on(100);
    lattice.told(&["drain", "two", "--leave", "--wait", "--timeout", "120s"]);
    let ended = host(&mut lattice, 1).ended();
    assert!(ended.success(), "{ended}");
    witness.runs(3);
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    eventually("two hosts", || {
        let hosts = lattice.json(&["get", "hosts"]);
        (hosts.as_array().unwrap().len() == 2).then_some(())
    });
}

#[test]
fn all_hosts_are_replaced_one_after_the_other_and_no_request_fails() {
    let mut lattice = Lattice::start(&NAMES.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    for (at, name) in NAMES.into_iter().enumerate() {
        (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
        let load = Load::on(&addrs(&lattice, at), "/env", 2);
        load.goes_on(50);
        lattice.host(at).signal("TERM");
        left_well(&mut lattice, at);
        // As a newer version of it would.
        lattice.join_again(at, name, &[]);
        lattice.heard(3);
        witness.runs(3);
        load.goes_on(50);
        load.ends_well();
    }
    witness.settled();
    witness.runs(3);
    assert_eq!(lattice.history("shop"), (vec![1], Some(1)));
}
