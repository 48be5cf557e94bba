//! NATS that is killed: one server, and one and two of three.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use reef_servers::Cluster;

use super::{Witness, kit_folder, set_kit};
use crate::lattice::{Lattice, load::Load};

const SCALE: &str = "scale.instances = 3";
const THREE: [(&str, &[&str]); 3] = [("one", &[]), ("two", &[]), ("three", &[])];

#[test]
fn what_was_acknowledged_is_there_after_nats_was_killed_and_hosts_go_on_meanwhile() {
    let mut lattice = Lattice::start(&THREE);
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 1);

    // It is killed while one version after the other is accepted.
    let nats = lattice.bus.id().unwrap().to_string();
    let acknowledged = thread::scope(|scope| {
        let applied = scope.spawn(|| {
            let mut acknowledged = 1;
            for version in 2..=9 {
                set_kit(shop.path(), version, SCALE);
                if lattice.tell(&["apply", shop.path().to_str().unwrap()]).status() != 0 {
                    break;
                }
                acknowledged = version;
            }
            acknowledged
        });
        load.goes_on(300);
        assert!(Command::new("kill").args(["-KILL", &nats]).status().unwrap().success());
        applied.join().unwrap()
    });
    load.goes_on(500);
    let refused = lattice.tell(&["get", "apps"]);
    refused.fails(125, &["NATS"]);

    lattice.bus.start_again().unwrap();
    lattice.heard(3);
    let (kept, wanted) = lattice.history("shop");
    let wanted = wanted.unwrap();
    assert!(wanted >= u64::from(acknowledged), "{wanted}, and {acknowledged} was acknowledged");
    assert_eq!(kept.last(), Some(&wanted), "{kept:?}");
    lattice.is_deployed("shop");
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(3);
    for host in 0..3 {
        let version = lattice.answers(host, "/env");
        assert_eq!(version, format!("env VERSION={wanted}\n"));
    }
}

#[test]
fn of_three_servers_one_may_go_and_without_two_hosts_go_on_as_they_are() {
    let cluster = Cluster::nats(3).unwrap();
    let url = cluster.url().replace(",nats://", ",");
    let mut lattice = Lattice::over(format!("{url}/test"), cluster);
    let witness = Witness::start(&lattice.url);
    for (name, flags) in THREE {
        lattice.join(name, flags);
    }
    lattice.heard(3);
    let shop = kit_folder(SCALE);
    lattice.apply(shop.path());
    let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 1);

    lattice.bus.kill(0);
    set_kit(shop.path(), 2, SCALE);
    // Who led the bucket's log may have been the one: that takes a moment.
    crate::support::eventually("a version that is accepted by two servers", || {
        let ended = lattice.tell(&["apply", shop.path().to_str().unwrap(), "--wait"]);
        (ended.status() == 0).then_some(())
    });
    assert_eq!(lattice.answers(1, "/env"), "env VERSION=2\n");

    lattice.bus.kill(1);
    load.goes_on(300);
    set_kit(shop.path(), 3, SCALE);
    let begun = Instant::now();
    let refused = lattice.tell(&["apply", shop.path().to_str().unwrap()]);
    assert_ne!(refused.status(), 0, "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{refused:?}");
    load.goes_on(300);

    lattice.bus.start_again(0).unwrap();
    lattice.bus.start_again(1).unwrap();
    lattice.heard(3);
    let (kept, wanted) = lattice.history("shop");
    assert!(kept.starts_with(&[1, 2]) && wanted >= Some(2), "{kept:?}, {wanted:?}");
    set_kit(shop.path(), 4, SCALE);
    crate::support::eventually("a version that is accepted by all of them", || {
        let ended = lattice.tell(&["apply", shop.path().to_str().unwrap(), "--wait"]);
        (ended.status() == 0).then_some(())
    });
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(3);
    (0..3).for_each(|host| assert_eq!(lattice.answers(host, "/env"), "env VERSION=4\n"));
}
