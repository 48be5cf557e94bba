//! Hosts: joining, leaving, being lost.

use reef_servers::Nats;

use super::Lattice;
use crate::{host::folder, support::eventually};

const SHOP: &str = r#"
name = "shop"

[[workload]]
name = "web"
source = "web.wasm"
trigger.http.route = "/..."
scale.instances = 4
"#;

#[test]
fn what_a_killed_host_ran_runs_elsewhere_and_a_drained_one_has_nothing_left() {
    one_is_killed_and_one_drained(Nats::Newest);
}

pub(super) fn one_is_killed_and_one_drained(version: Nats) {
    let mut lattice = Lattice::on(version, &[("one", &[]), ("two", &[]), ("three", &[])]);
    let shop = folder(&[("web.wasm", "p2-hello-http")], SHOP);
    lattice.apply(shop.path());
    lattice.ready(4);

    lattice.kill(0);
    lattice.ready(4);
    let on = |lattice: &Lattice, host: &str| {
        lattice.placements().iter().filter(|(_, on, ..)| on == host).map(|one| one.2).sum::<u64>()
    };
    eventually("nothing on the lost host", || (on(&lattice, "one") == 0).then_some(()));
    assert_eq!(lattice.get(1, "/").status, 200);

    lattice.told(&["drain", "two", "--wait", "--timeout", "120s"]);
    // Another controller may be asked than the one that was waited for.
    eventually("all on the third", || {
        ((on(&lattice, "two"), on(&lattice, "three")) == (0, 4)).then_some(())
    });
    // A host without instances answers for those that have some.
    assert_eq!(lattice.get(1, "/").status, 200);
    lattice.told(&["uncordon", "two"]);
}
