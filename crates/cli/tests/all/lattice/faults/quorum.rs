//! Servers of NATS that are cut off from each other.

use std::{
    mem,
    time::{Duration, Instant},
};

use super::{
    kit_folder,
    network::{clustered, nats},
    set_kit,
};
use crate::{lattice::load::Load, support::eventually};

const SCALE: &str = "scale.instances = 3";

#[test]
fn a_server_of_nats_without_the_others_acknowledges_nothing_and_its_host_goes_on() {
    clustered(&[("one", &[]), ("two", &[]), ("three", &[])], |lattice, network, witness, first| {
        let shop = kit_folder(SCALE);
        lattice.apply(shop.path());
        lattice.has_lead(witness, &["one", "two", "three"], 0);
        let term = witness.term();
        (0..3).for_each(|host| drop(lattice.answers(host, "/env")));
        let addrs: Vec<_> = (0..3).map(|host| lattice.host(host).addr).collect();
        let load = Load::on(&addrs, "/env", 1);
        load.goes_on(100);

        network.cut(nats(0), nats(1));
        network.cut(nats(0), nats(2));
        // Where most of the servers are, another one leads.
        witness.led_after(term);
        let over = format!("does not lead any more; term {term} is over");
        lattice.host(0).wait_for_log(&[&over]);
        eventually("what the first host ran on the others", || {
            let on = lattice.ready_on();
            (on.iter().all(|(host, _)| host != "one")
                && on.iter().map(|one| one.1).sum::<u64>() == 3)
                .then_some(())
        });
        set_kit(shop.path(), 2, SCALE);
        eventually("a version that is accepted by most of the servers", || {
            let ended = lattice.tell(&["apply", shop.path().to_str().unwrap(), "--wait"]);
            (ended.status() == 0).then_some(())
        });
        // Who knows the one without the others is told that nothing comes of it.
        set_kit(shop.path(), 3, SCALE);
        let others = mem::replace(&mut lattice.url, first.to_owned());
        let begun = Instant::now();
        let refused = lattice.tell(&["apply", shop.path().to_str().unwrap()]);
        lattice.url = others;
        assert_ne!(refused.status(), 0, "{refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{refused:?}");
        assert!(refused.stderr.contains("JetStream"), "{refused:?}");
        load.goes_on(300);

        network.heal(nats(0), nats(1));
        network.heal(nats(0), nats(2));
        lattice.heard(3);
        witness.runs(3);
        let (kept, wanted) = lattice.history("shop");
        assert!(kept.starts_with(&[1, 2]) && wanted >= Some(2), "{kept:?}, {wanted:?}");
        set_kit(shop.path(), 4, SCALE);
        lattice.apply(shop.path());
        eventually("the last version at every host", || {
            (0..3).all(|host| lattice.get(host, "/env").text() == "env VERSION=4\n").then_some(())
        });
        load.goes_on(300);
        load.ends_well();
        witness.settled();
        witness.runs(3);
    });
}
