//! A store whose data are gone.

use std::fs;

use super::{Lattice, Witness, kit_folder, set_kit};
use crate::{host::folder, lattice::load::Load, support::eventually};

const SCALE: &str = "scale.instances = 2";
const HOSTS: [(&str, &[&str]); 2] = [("one", &[]), ("two", &[])];

/// Another application, on each host.
const OTHER: &str = "name = 'other'\n[[workload]]\nname = 'hello'\nsource = 'hello.wasm'\n\
                     trigger.http.route = '/hello'\nscale.daemon = 1\n";

#[test]
fn what_runs_goes_on_when_the_store_was_emptied_until_it_is_applied_or_deleted() {
    let mut lattice = Lattice::start(&HOSTS);
    let shop = kit_folder(SCALE);
    let other = folder(&[("hello.wasm", "p2-hello-http")], OTHER);
    lattice.apply(other.path());
    lattice.apply(shop.path());
    set_kit(shop.path(), 2, SCALE);
    lattice.apply(shop.path());
    let addrs = [lattice.host(0).addr];
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let loads = [Load::on(&addrs, "/env", 1), Load::on(&addrs, "/hello", 1)];
    let go_on = |many| loads.iter().for_each(|load| load.goes_on(many));
    go_on(50);

    lattice.bus.kill();
    for entry in fs::read_dir(lattice.bus.folder().join("data")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    lattice.bus.start_again().unwrap();
    lattice.heard(2);
    assert_eq!(lattice.json(&["get", "apps"]), serde_json::json!([]));
    // Hosts have said so, and still run it: what they are told is what they run.
    (0..2).for_each(|host| drop(lattice.host(host).wait_for_log(&["it was emptied"])));
    go_on(500);
    lattice.ready(4);

    // One that starts then goes on with it, too.
    lattice.kill(1);
    lattice.join_again(1, "two", HOSTS[1].1);
    lattice.ready(4);
    drop(lattice.answers(1, "/hello"));

    set_kit(shop.path(), 3, SCALE);
    lattice.apply(shop.path());
    let (_, wanted) = lattice.history("shop");
    assert!(wanted > Some(2), "{wanted:?}: what runs still is another one");
    for host in 0..2 {
        assert_eq!(lattice.answers(host, "/env"), "env VERSION=3\n");
    }
    lattice.ready(4);
    go_on(50);
    let [load, other] = loads;
    load.ends_well();
    other.ends_well();

    // What nobody applied again is ended by who says so.
    lattice.told(&["delete", "other"]);
    lattice.ready(2);
    eventually("nothing at its route", || {
        (0..2).all(|host| lattice.get(host, "/hello").status == 404).then_some(())
    });
}

/// It knows a store in which everything is of a higher revision.
#[test]
fn who_is_the_second_to_see_an_emptied_store_leads_it_after_the_first() {
    let mut lattice = Lattice::start(&HOSTS);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    lattice.host(0).signal("STOP");
    lattice.bus.kill();
    for entry in fs::read_dir(lattice.bus.folder().join("data")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    lattice.bus.start_again().unwrap();
    let witness = Witness::start(&lattice.url);
    assert_eq!(lattice.leading(&witness, &["one", "two"]), 1);
    lattice.host(0).signal("CONT");
    lattice.host(0).wait_for_log(&["it was emptied"]);
    let term = witness.term();
    lattice.kill(1);
    witness.led_after(term);
    set_kit(shop.path(), 2, SCALE);
    lattice.apply(shop.path());
    lattice.ready(2);
}
