//! What is heard twice, late, or in another order.

use reef_lattice::record::{self, Heartbeat};

use super::{Witness, kit_folder};
use crate::{
    lattice::{Lattice, load::Load},
    server::said,
    support::eventually,
};

/// Heartbeats that are listened to before they are said anew.
const ENOUGH: usize = 15;

#[test]
fn heartbeats_that_come_again_or_late_or_from_a_start_before_change_nothing() {
    let names = ["one", "two", "three"];
    let mut lattice = Lattice::start(&names.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 3");
    // What hosts said before there was anything is the worst to believe.
    eventually("heartbeats", || (witness.beats().len() >= ENOUGH).then_some(()));
    lattice.apply(shop.path());
    let addrs: Vec<_> = [0, 1].iter().map(|host| lattice.host(*host).addr).collect();
    (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 1);
    let before = witness.said("three").boot;
    lattice.kill(2);
    lattice.join_again(2, "three", &[]);
    eventually("the host, started again", || (witness.said("three").boot != before).then_some(()));
    lattice.heard(3);
    witness.runs(3);
    witness.settled();

    let placements = eventually("all instances", || {
        let all = lattice.placements();
        (all.iter().map(|one| one.3).sum::<u64>() == 3).then_some(all)
    });
    let missed = || {
        let entries = (0..3).flat_map(|host| lattice.host(host).log());
        entries.filter(|entry| said(entry, "is not heard of")).count()
    };
    let (writes, undisturbed) = (witness.writes(), (witness.term(), missed()));
    let mut old = witness.beats();
    for _ in 0..5 {
        fastrand::shuffle(&mut old);
        for beat in &old {
            witness.say(beat.subject(), beat.body().clone());
        }
        load.goes_on(20);
    }
    // It did not leave: it had ended before.
    let last = old.iter().filter_map(|beat| {
        let said: Heartbeat = record::decode("", beat.body()).ok()?;
        (said.boot == before).then_some((beat.subject().to_owned(), said))
    });
    let (subject, mut left) = last.max_by_key(|(_, said)| said.sequence).unwrap();
    (left.left, left.sequence) = (true, left.sequence + 1000);
    witness.say(&subject, record::encode(&left).unwrap());
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(3);
    // A host that had no time for a while is rightly missed, or leads no more.
    if (witness.term(), missed()) == undisturbed {
        assert_eq!(witness.writes(), writes);
    }
    eventually("instances where they were", || (lattice.placements() == placements).then_some(()));
}
