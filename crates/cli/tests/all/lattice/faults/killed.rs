//! Processes that are killed: hosts, the leading controller, also one that runs by itself.

use std::process::{Child, Command, Stdio};

use super::{Witness, kit_folder, set_kit};
use crate::{
    lattice::{Lattice, load::Load},
    support::reef,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

#[test]
fn a_killed_host_with_the_leader_on_it_is_replaced_and_no_request_fails() {
    let mut lattice = Lattice::start(&NAMES.map(|name| (name, &[] as &[&str])));
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 3");
    lattice.apply(shop.path());
    for round in 0..2 {
        // The leader's, and then one that does not lead.
        let (leading, term) = (lattice.leading(&witness, &NAMES), witness.term());
        let killed = if round == 0 { leading } else { (leading + 1) % 3 };
        let others: Vec<_> = (0..3).filter(|host| *host != killed).collect();
        let addrs: Vec<_> = others.iter().map(|host| lattice.host(*host).addr).collect();
        others.iter().for_each(|host| drop(lattice.answers(*host, "/env")));
        let load = Load::on(&addrs, "/env", 2);
        load.goes_on(100);

        lattice.kill(killed);
        if killed == leading {
            witness.led_after(term);
        }
        witness.runs(3);
        lattice.ready(3);
        lattice.join_again(killed, NAMES[killed], &[]);
        lattice.heard(3);
        load.goes_on(100);
        load.ends_well();
        witness.settled();
        witness.runs(3);
    }
    assert_eq!(lattice.history("shop"), (vec![1], Some(1)));
}

/// A controller by itself; killed when dropped.
struct Controller(Child);

impl Controller {
    fn start(lattice: &Lattice, name: &str) -> Self {
        let mut command: Command = reef();
        command.args(["controller", "--name", name, "--lattice", &lattice.url]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn of_controllers_that_run_by_themselves_one_leads_and_another_one_when_it_is_killed() {
    let bus = reef_servers::Server::nats(reef_servers::Nats::Newest).unwrap();
    let mut lattice = Lattice::over(format!("{}/test", bus.url()), bus);
    let witness = Witness::start(&lattice.url);
    let names = ["first", "second"];
    let mut controllers = names.map(|name| Some(Controller::start(&lattice, name)));
    lattice.join("one", &["--no-controller"]);
    lattice.join("two", &["--no-controller"]);
    lattice.heard(2);
    let shop = kit_folder("scale.instances = 2");
    lattice.apply(shop.path());
    let (leading, term) = (lattice.leading(&witness, &names), witness.term());
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);

    controllers[leading] = None;
    witness.led_after(term);
    assert_eq!(lattice.leading(&witness, &names), 1 - leading);
    set_kit(shop.path(), 2, "scale.instances = 4");
    lattice.apply(shop.path());
    witness.runs(4);
    // Without any, all goes on as it is.
    controllers[1 - leading] = None;
    load.goes_on(300);
    let refused = lattice.tell(&["get", "hosts"]);
    assert_ne!(refused.status(), 0, "{refused:?}");
    controllers[leading] = Some(Controller::start(&lattice, names[leading]));
    lattice.heard(2);
    load.goes_on(100);
    load.ends_well();
    witness.settled();
    witness.runs(4);
    assert_eq!(lattice.history("shop"), (vec![1, 2], Some(2)));
}
