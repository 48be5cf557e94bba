//! All at once, rolling, blue and green: with requests coming in all the time, none of which fails.

use std::{collections::BTreeMap, fs, thread};

use reef_servers::Nats;
use serde_json::{Value, json};

use super::{
    Lattice,
    canary::{rollout, verdict},
    load::Load,
};
use crate::{
    client::{Connection, Version, wait},
    host::folder,
    support::eventually,
};

/// Revision, instances and ready ones, over all hosts.
pub(super) fn revisions(lattice: &Lattice) -> Vec<(u64, u64, u64)> {
    of_revisions(&lattice.json(&["get", "placements"]))
}

fn of_revisions(placements: &Value) -> Vec<(u64, u64, u64)> {
    let mut revisions: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for one in placements.as_array().unwrap().iter().filter(|one| one["heard"] == true) {
        let number = |name: &str| one[name].as_u64().unwrap();
        let sum = revisions.entry(number("revision")).or_default();
        *sum = (sum.0 + number("instances"), sum.1 + number("ready"));
    }
    revisions.into_iter().map(|(revision, (all, ready))| (revision, all, ready)).collect()
}

/// Version, instances, and how one gives way to the next.
fn manifest(version: u32, instances: u32, rollout: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n\
         scale.instances = {instances}\n[workload.rollout]\n{rollout}\n"
    )
}

/// An application on two hosts, of which one controls, and requests to both.
fn start(manifest: &str) -> (Lattice, tempfile::TempDir, Load) {
    let lattice = Lattice::led(Nats::Newest, &[("one", &[]), ("two", &[])]);
    let shop = folder(&[("kit.wasm", "p2-http-kit")], manifest);
    lattice.apply(shop.path());
    let addrs: Vec<_> = (0..2).map(|host| lattice.host(host).addr).collect();
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 1);
    load.goes_on(20);
    (lattice, shop, load)
}

fn version(number: u32) -> String {
    format!("env VERSION={number}\n")
}

#[test]
fn rolling_keeps_to_how_many_may_be_missing_and_beyond() {
    let rolling = |version, missing: u32, surge: u32| {
        let bounds = format!("max-unavailable = {missing}\nmax-surge = {surge}");
        manifest(version, 6, &format!("strategy = 'rolling'\n{bounds}"))
    };
    let (lattice, shop, load) = start(&rolling(1, 0, 1));
    for (version, missing, surge) in [(2, 0, 1), (3, 2, 0)] {
        fs::write(shop.path().join("reef.toml"), rolling(version, missing, surge)).unwrap();
        let (mut least, mut most) = (6, 6);
        thread::scope(|scope| {
            let applying = scope.spawn(|| lattice.apply(shop.path()));
            while !applying.is_finished() {
                let all = lattice.json(&["get", "placements"]);
                // Of a host that is not heard of it is not known how many are ready.
                if all.as_array().unwrap().iter().any(|one| one["heard"] != true) {
                    continue;
                }
                let now = of_revisions(&all);
                let sum = |of: fn(&(u64, u64, u64)) -> u64| now.iter().map(of).sum::<u64>();
                (least, most) = (least.min(sum(|one| one.2)), most.max(sum(|one| one.1)));
            }
            applying.join().unwrap();
        });
        assert!(least >= 6 - u64::from(missing), "{least} ready at some time");
        assert!(most <= 6 + u64::from(surge), "{most} at some time");
        assert_eq!(revisions(&lattice), [(version.into(), 6, 6)]);
        load.goes_on(20);
    }
    assert!(load.answered(&version(3)) > 0);
    load.ends_well();
}

#[test]
fn all_at_once_makes_requests_wait_and_fails_none() {
    let at_once = |version| manifest(version, 3, "strategy = 'all-at-once'");
    let (lattice, shop, load) = start(&at_once(1));
    for version in 2..=3 {
        fs::write(shop.path().join("reef.toml"), at_once(version)).unwrap();
        lattice.apply(shop.path());
        assert_eq!(revisions(&lattice), [(version.into(), 3, 3)]);
        load.goes_on(20);
    }
    load.ends_well();
}

#[test]
fn blue_and_green_run_side_by_side_until_it_is_decided() {
    let hold = |version, hold: &str| {
        manifest(version, 2, &format!("strategy = 'blue-green'\nhold = '{hold}'"))
    };
    let (lattice, shop, load) = start(&hold(1, "1h"));
    let turned = |to: u32| {
        eventually("all requests at the other revision", || {
            let (mine, all) = (load.answered(&version(to)), load.total());
            load.goes_on(20);
            (load.answered(&version(to)) - mine == load.total() - all).then_some(())
        });
    };
    fs::write(shop.path().join("reef.toml"), hold(2, "1h")).unwrap();
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    eventually("the new ones to serve", || {
        (rollout(&lattice, "shop")["state"]["serving"] == true).then_some(())
    });
    turned(2);
    assert_eq!(rollout(&lattice, "shop")["weights"], json!({ "2": 100 }));
    assert_eq!(revisions(&lattice), [(1, 2, 2), (2, 2, 2)]);

    lattice.told(&["rollout", "abort", "shop"]);
    let back = verdict(&lattice, "shop", "rolled-back");
    assert_eq!(back["state"]["verdict"]["rolled-back"], "aborted");
    turned(1);
    eventually("the old ones alone", || (revisions(&lattice) == [(1, 2, 2)]).then_some(()));

    fs::write(shop.path().join("reef.toml"), hold(3, "1s")).unwrap();
    lattice.apply(shop.path());
    assert_eq!(rollout(&lattice, "shop")["state"]["verdict"], "complete");
    assert_eq!(revisions(&lattice), [(3, 2, 2)]);
    turned(3);
    load.ends_well();
}

#[test]
fn a_component_that_is_swapped_changes_nothing_of_the_others() {
    let flags = ["--label", "zone=a", "--idle-timeout", "10m"];
    let lattice = Lattice::led(Nats::Newest, &[("one", &flags), ("two", &[])]);
    let manifest = |source: &str| {
        format!(
            "name = 'shop'\n\
             [[workload]]\nname = 'kit'\nsource = 'kit.wasm'\ntrigger.http.route = '/...'\n\
             scale.instances = 1\nscale.idle = '1h'\n\
             scale.spread = [{{ labels = {{ zone = 'a' }} }}]\n\
             [[workload]]\nname = 'web'\nsource = '{source}'\ntrigger.http.route = '/web/...'\n\
             scale.instances = 4\n"
        )
    };
    let guests =
        [("kit.wasm", "p3-http-kit"), ("one.wasm", "p2-hello-http"), ("two.wasm", "p2-http-kit")];
    let shop = folder(&guests, &manifest("one.wasm"));
    lattice.apply(shop.path());
    // A connection is one worker's, and each of them may have an instance of its own.
    let mut kit = wait(Connection::open(lattice.host(0).addr, Version::H1));
    let mut count = || -> u64 { wait(kit.get("/count")).unwrap().text().trim().parse().unwrap() };
    eventually("the routes", || {
        let all =
            ["/", "/web/"].iter().flat_map(|path| [lattice.get(0, path), lattice.get(1, path)]);
        all.into_iter().all(|reply| reply.status == 200).then_some(())
    });
    let web = Load::on(&[lattice.host(0).addr, lattice.host(1).addr], "/web/", 1);
    let mut last = count();
    for source in ["two.wasm", "one.wasm", "two.wasm"] {
        fs::write(shop.path().join("reef.toml"), manifest(source)).unwrap();
        let said = lattice.apply(shop.path());
        assert!(said.contains("web") && said.contains("shop is ready."), "{said}");
        web.goes_on(20);
        let now = count();
        assert_eq!(now, last + 1, "another instance answers");
        last = now;
    }
    // The one that nothing was said of is still at its first revision.
    let placements = lattice.json(&["get", "placements"]);
    let of = |name: &str| -> Vec<u64> {
        let all = placements.as_array().unwrap().iter();
        all.filter(|one| one["workload"] == name)
            .map(|one| one["revision"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(of("kit"), [1]);
    assert!(of("web").iter().all(|revision| *revision == 4), "{placements}");
    web.ends_well();
}
