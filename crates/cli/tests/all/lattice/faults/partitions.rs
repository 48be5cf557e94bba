//! Networks that are cut: between hosts and NATS, the leading controller and NATS, hosts and hosts.

use super::{
    kit_folder,
    network::{NATS, Network, apart, machine},
    only_in,
};
use crate::{lattice::load::Load, support::eventually};

const THREE: [(&str, &[&str]); 3] = [("one", &[]), ("two", &[]), ("three", &[])];

/// A host that does not lead is cut off from NATS in some way, and comes back.
fn cut_off(cut: fn(&Network, usize), heal: fn(&Network, usize)) {
    apart(&THREE, |lattice, network, witness| {
        let shop = kit_folder("scale.instances = 3");
        lattice.apply(shop.path());
        let leading = lattice.leading(witness, &["one", "two", "three"]);
        let term = witness.term();
        let off = (leading + 1) % 3;
        let name = THREE[off].0;
        (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
        let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
        let load = Load::on(&addrs, "/env", 1);
        load.goes_on(100);

        cut(network, machine(off));
        // The others have all of it.
        eventually("what the host ran on the others", || {
            let on = lattice.ready_on();
            (on.iter().all(|(host, _)| host != name)
                && on.iter().map(|one| one.1).sum::<u64>() == 3)
                .then_some(())
        });
        // It goes on, too: nobody sees that it is cut off.
        load.goes_on(300);
        assert_eq!(lattice.get(off, "/env").status, 200);

        heal(network, machine(off));
        lattice.heard(3);
        witness.runs(3);
        load.goes_on(300);
        load.ends_well();
        witness.settled();
        witness.runs(3);
        witness.led_on(term);
    });
}

#[test]
fn a_host_that_is_cut_off_from_nats_goes_on_and_comes_back_without_a_duplicate() {
    cut_off(|network, host| network.cut(host, NATS), |network, host| network.heal(host, NATS));
}

#[test]
fn so_does_one_that_hears_and_is_not_heard() {
    cut_off(
        |network, host| network.cut_one_way(host, NATS),
        |network, host| network.heal_one_way(host, NATS),
    );
}

#[test]
fn so_does_one_that_is_heard_and_does_not_hear() {
    cut_off(
        |network, host| network.cut_one_way(NATS, host),
        |network, host| network.heal_one_way(NATS, host),
    );
}

#[test]
fn a_leader_that_is_cut_off_from_nats_acts_no_more_and_another_one_does() {
    apart(&THREE, |lattice, network, witness| {
        let shop = kit_folder("scale.instances = 3");
        lattice.apply(shop.path());
        let off = lattice.leading(witness, &["one", "two", "three"]);
        let term = witness.term();
        (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
        let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
        let load = Load::on(&addrs, "/env", 1);

        network.cut(machine(off), NATS);
        witness.led_after(term);
        let over = format!("does not lead any more; term {term} is over");
        lattice.host(off).wait_for_log(&[&over]);
        // What is acknowledged meanwhile is what comes to be everywhere.
        super::set_kit(shop.path(), 2, "scale.instances = 3");
        eventually("an answer of one who is not cut off", || {
            let ended = lattice.tell(&["apply", shop.path().to_str().unwrap(), "--wait"]);
            (ended.status() == 0).then_some(())
        });
        network.heal(machine(off), NATS);
        lattice.heard(3);
        witness.runs(3);
        load.goes_on(300);
        load.ends_well();
        eventually("the new version at every host", || {
            (0..3).all(|host| lattice.get(host, "/env").text() == "env VERSION=2\n").then_some(())
        });
        witness.settled();
        assert_eq!(lattice.history("shop"), (vec![1, 2], Some(2)));
    });
}

/// Requests at one host for instances on two others, one of which it cannot reach, or hear.
fn hosts_apart(cut: fn(&Network, usize, usize), heal: fn(&Network, usize, usize)) {
    let zone = ["--label", "zone=b"];
    let hosts: [(&str, &[&str]); 3] = [("door", &[]), ("one", &zone), ("two", &zone)];
    apart(&hosts, |lattice, network, witness| {
        let shop = kit_folder(&only_in("b", 4));
        lattice.apply(shop.path());
        assert_eq!(lattice.answers(0, "/env"), "env VERSION=1\n");
        let load = Load::on(&[lattice.host(0).addr], "/env", 4);
        load.goes_on(200);

        cut(network, machine(0), machine(1));
        load.goes_on(2000);
        heal(network, machine(0), machine(1));
        load.goes_on(200);
        load.ends_well();
        // Nobody else saw anything.
        witness.settled();
        witness.only(|_, host| host != "door");
        let two = ["one", "two"].map(|host| (host.to_owned(), 2));
        eventually("two on each", || (lattice.ready_on() == two).then_some(()));
    });
}

#[test]
fn hosts_that_cannot_reach_each_other_send_requests_to_those_that_they_can() {
    hosts_apart(Network::cut, Network::heal);
}

#[test]
fn so_do_those_whose_answers_are_lost() {
    hosts_apart(
        |network, door, host| network.cut_one_way(host, door),
        |network, door, host| network.heal_one_way(host, door),
    );
}
