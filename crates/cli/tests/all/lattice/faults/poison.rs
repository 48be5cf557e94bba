//! What makes no sense, or can never run: it is shown, and others go on.

use super::{Witness, kit_folder};
use crate::{
    host::folder,
    lattice::{Lattice, load::Load},
    support::eventually,
};

const GARBAGE: [&str; 4] = ["", "{ not at all", "\u{0}\u{1}\u{fffd}", "[[], {\"term\": -1}]"];

fn garbage(at: usize) -> &'static str {
    GARBAGE[at % GARBAGE.len()]
}

#[test]
fn records_and_requests_that_make_no_sense_hold_up_nobody() {
    let lattice = Lattice::start(&[("one", &[]), ("two", &[])]);
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 2");
    lattice.apply(shop.path());
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);

    // What the leader writes comes to be as it was; some of it in the next term.
    let two = witness.id("two");
    let own = [
        format!("want.{two}"),
        "route.default.shop".to_owned(),
        "status.default.shop".to_owned(),
        "rollout.default.shop.kit".to_owned(),
        "leader".to_owned(),
    ];
    for (at, key) in own.iter().enumerate() {
        for text in 0..GARBAGE.len() {
            witness.write(key, garbage(at + text));
        }
        load.goes_on(50);
    }
    witness.settled();
    witness.runs(2);
    // What is wanted stays as it was understood last.
    let wanted = ["app.default.shop", "rev.default.shop.1"];
    let before = wanted.map(|key| witness.read(key).unwrap().value);
    for (at, key) in wanted.iter().enumerate() {
        witness.write(key, garbage(at + 1));
    }
    load.goes_on(100);
    // What others write stays, too, and is nobody's.
    let others = [
        "app.default.poison",
        "rev.default.poison.1",
        "rev.default.shop.77",
        "rev.default.shop.x",
        "scale.default.shop.kit",
        "scale.default.poison.kit",
        "ns.other",
        "want.nobody",
        "route.default.poison",
        "status.default.poison",
        "what.nobody.knows",
        "app",
        "want",
    ];
    for (at, key) in others.iter().enumerate() {
        witness.write(key, garbage(at));
    }
    witness.write(&format!("sched.{two}"), garbage(1));
    for text in GARBAGE {
        let host = witness.id("one");
        witness.say(&format!("reef.test.heartbeat.{host}"), text);
        witness.say("reef.test.heartbeat.nobody", text);
        witness.say("reef.test.demand", text);
        for operation in ["accept", "get-hosts", "describe", "delete", "no-such-thing"] {
            let answer = witness.ask(&format!("reef.test.api.{operation}"), text);
            assert!(answer.is_some(), "{operation} {text:?}");
        }
        witness.ask("wadm.api.test.model.put", text);
    }
    load.goes_on(300);
    lattice.heard(2);
    witness.settled();
    witness.runs(2);

    let news = folder(
        &[("web.wasm", "p2-hello-http")],
        "name = 'news'\n[[workload]]\nname = 'web'\nsource = 'web.wasm'\n\
         trigger.http.route = '/news'\nscale.instances = 2\n",
    );
    lattice.apply(news.path());
    lattice.answers(0, "/news");
    lattice.answers(1, "/news");
    let apps = lattice.json(&["get", "apps"]);
    let ready = |app: &str| {
        apps.as_array().unwrap().iter().any(|one| one["app"] == app && one["phase"] == "deployed")
    };
    assert!(ready("news"), "{apps}");
    load.ends_well();

    // An operator takes it away, and all can be changed as before.
    others.iter().for_each(|key| witness.delete(key));
    witness.delete(&format!("sched.{two}"));
    for (key, value) in wanted.iter().zip(&before) {
        witness.write(key, std::str::from_utf8(value).unwrap());
    }
    super::set_kit(shop.path(), 2, "scale.instances = 4");
    lattice.apply(shop.path());
    witness.runs(6);
    witness.settled();
}

#[test]
fn a_workload_that_cannot_start_is_tried_ever_more_rarely_and_others_go_on() {
    let mut lattice = Lattice::start(&[("one", &[]), ("two", &[])]);
    let witness = Witness::start(&lattice.url);
    let shop = kit_folder("scale.instances = 2");
    lattice.apply(shop.path());
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/env", 1);
    // A directory that every host has to have, and that is not there any more when one comes that is to run it.
    let place = lattice.dir.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let broken = format!(
        "name = 'broken'\n[[workload]]\nname = 'web'\nsource = 'web.wasm'\n\
         dirs = ['{}::/data']\ntrigger.http.route = '/broken'\n{}\n",
        place.display(),
        super::only_in("x", 1)
    );
    let folder = folder(&[("web.wasm", "p2-hello-http")], &broken);
    lattice.told(&["apply", folder.path().to_str().unwrap()]);
    std::fs::remove_dir(&place).unwrap();
    let begun = std::time::Instant::now();
    lattice.join("three", &["--label", "zone=x"]);
    let crashes = || {
        let said = witness.said("three");
        let of =
            |one: &reef_lattice::record::Reported| one.trouble.as_ref().map_or(0, |it| it.crashes);
        said.placements.iter().map(of).sum::<u32>()
    };
    eventually("three tries", || (crashes() >= 3).then_some(()));
    // Once, then after about one second, and two.
    assert!(begun.elapsed() >= std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    let described = lattice.told(&["describe", "broken"]);
    assert!(described.contains(place.to_str().unwrap()), "{described}");
    load.goes_on(100);

    std::fs::create_dir(&place).unwrap();
    lattice.is_deployed("broken");
    lattice.answers(0, "/broken");
    load.ends_well();
    witness.settled();
    witness.runs(3);
    witness.only(|workload, host| (workload == "web") == (host == "three"));
}
