//! New revisions that get a share of the requests, and are judged by what hosts measure of them.

use std::{
    fs,
    time::{Duration, Instant},
};

use reef_servers::Nats;
use serde_json::{Value, json};

use super::{Lattice, load::Load, strategies::revisions};
use crate::{client::Reply, host::folder, support::eventually};

/// Longer than it takes to pause.
const HOLD: Duration = Duration::from_secs(12);

/// How a rollout of the only workload of an application is.
pub(super) fn rollout(lattice: &Lattice, app: &str) -> Value {
    let all = lattice.json(&["rollout", "status", app]);
    all[0].clone()
}

/// Waits until a rollout is where it is wanted.
pub(super) fn verdict(lattice: &Lattice, app: &str, wanted: &str) -> Value {
    eventually(&format!("the rollout of {app} to be {wanted}"), || {
        let now = rollout(lattice, app);
        let verdict = &now["state"]["verdict"];
        (verdict == wanted || verdict.get(wanted).is_some()).then_some(now)
    })
}

#[test]
fn a_canary_gets_its_share_is_promoted_and_stays_as_it_is_while_paused() {
    let lattice = Lattice::led(Nats::Newest, &[("one", &[]), ("two", &[])]);
    let manifest = |version: u32| {
        format!(
            "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
             env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n\
             scale.instances = 4\n[workload.rollout]\nstrategy = 'canary'\n\
             steps = [{{ weight = 20, hold = '{}s' }}, {{ weight = 50, hold = '1s' }}]\n\
             gates = {{ max-error-rate = '1%', min-requests = 20 }}\n",
            HOLD.as_secs()
        )
    };
    let shop = folder(&[("kit.wasm", "p2-http-kit")], &manifest(1));
    lattice.apply(shop.path());
    let addrs: Vec<_> = (0..2).map(|host| lattice.host(host).addr).collect();
    (0..2).for_each(|host| drop(lattice.answers(host, "/env")));
    let load = Load::on(&addrs, "/env", 2);
    load.goes_on(50);

    fs::write(shop.path().join("reef.toml"), manifest(2)).unwrap();
    lattice.told(&["apply", shop.path().to_str().unwrap()]);
    eventually("the first step", || {
        (rollout(&lattice, "shop")["state"]["serving"] == true).then_some(())
    });
    let began = Instant::now();
    lattice.told(&["rollout", "pause", "shop"]);
    verdict(&lattice, "shop", "paused");
    let text = lattice.told(&["rollout", "status", "shop"]);
    for part in ["from revision 1 to revision 2", "paused at step 1", "20 % of the requests"] {
        assert!(text.contains(part), "{text}");
    }
    let (old, new) = ("env VERSION=1\n", "env VERSION=2\n");
    // What is known of the weights comes to each host in its own time.
    for host in 0..2 {
        eventually("the new revision at each host", || {
            (lattice.get(host, "/env").text() == new).then_some(())
        });
    }
    let count = || (load.answered(old), load.answered(new));
    let before = count();
    load.goes_on(1000);
    let (olds, news) = (count().0 - before.0, count().1 - before.1);
    let share = 100 * news / (olds + news);
    assert!((10..=30).contains(&share), "{share} % of the requests");

    // Paused, it does not matter how long it is held.
    eventually("the time of the step to be over", || (began.elapsed() > HOLD).then_some(()));
    load.goes_on(100);
    let paused = eventually("what was measured", || {
        let now = rollout(&lattice, "shop");
        (now["measured"]["requests"].as_u64() >= Some(100)).then_some(now)
    });
    assert_eq!(
        (&paused["state"]["step"], &paused["weights"]),
        (&json!(0), &json!({ "1": 80, "2": 20 }))
    );

    lattice.told(&["rollout", "resume", "shop"]);
    verdict(&lattice, "shop", "complete");
    lattice.told(&["wait", "shop"]);
    assert_eq!(revisions(&lattice), [(2, 4, 4)]);
    load.goes_on(100);
    load.ends_well();
    // No answer of the revision before.
    let load = Load::judged(&addrs, "/env", 2, |reply| reply.text() == "env VERSION=2\n");
    load.goes_on(100);
    load.ends_well();
}

/// A revision that works gives way to one that does not, where its path says how.
fn manifest(case: &Case, source: &str) -> String {
    let Case { name, gates, .. } = case;
    format!(
        "name = '{name}'\n[[workload]]\nname = 'web'\nsource = '{source}'\n\
         trigger.http.route = '/{name}/...'\nlimits.queue-timeout = '60s'\nscale.instances = 4\n\
         [workload.rollout]\nstrategy = 'canary'\nsteps = [{{ weight = 25, hold = '1h' }}]\n\
         gates = {{ {gates}, min-requests = 10 }}\n"
    )
}

struct Case {
    name: &'static str,
    /// What is asked for: `hello` answers everything.
    path: &'static str,
    gates: &'static str,
    /// What the new revision may answer.
    is_fine: fn(&Reply) -> bool,
    /// Of the reason, as it is kept and as it is told.
    cause: &'static str,
    told: &'static str,
}

const CASES: [Case; 3] = [
    Case {
        name: "errors",
        path: "/errors/status?code=500",
        gates: "max-error-rate = '5%'",
        is_fine: |reply| {
            reply.status == 200 || (reply.status == 500 && reply.text() == "as asked\n")
        },
        cause: "errors",
        told: "requests failed",
    },
    Case {
        name: "slow",
        path: "/slow/sleep?ms=1500",
        gates: "max-latency = '1s', percentile = 90.0",
        is_fine: |reply| reply.status == 200,
        cause: "latency",
        told: "1000 ms is the limit",
    },
    Case {
        name: "traps",
        path: "/traps/trap",
        gates: "max-traps = 3",
        is_fine: |reply| reply.status == 200 || reply.status == 500,
        cause: "traps",
        told: "traps, 3 may be",
    },
];

#[test]
fn what_fails_is_slow_or_traps_goes_back_by_itself() {
    let lattice = Lattice::led(Nats::Newest, &[("one", &[]), ("two", &[])]);
    let addrs: Vec<_> = (0..2).map(|host| lattice.host(host).addr).collect();
    let guests = [("hello.wasm", "p2-hello-http"), ("kit.wasm", "p2-http-kit")];
    for case in &CASES {
        let app = folder(&guests, &manifest(case, "hello.wasm"));
        lattice.apply(app.path());
        (0..2).for_each(|host| drop(lattice.answers(host, case.path)));
        let load = Load::judged(&addrs, case.path, 2, case.is_fine);
        load.goes_on(20);

        fs::write(app.path().join("reef.toml"), manifest(case, "kit.wasm")).unwrap();
        // Who waits for it hears at once that it is not to be, and why.
        let path = app.path().to_str().unwrap();
        let ended = lattice.tell(&["apply", path, "--wait", "--timeout", "120s"]);
        assert_ne!(ended.status(), 0, "{ended:?}");
        for part in ["went back to the revision before", "revision 2 was rolled back", case.told] {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
        let state = verdict(&lattice, case.name, "rolled-back");
        let cause = &state["state"]["verdict"]["rolled-back"];
        assert!(cause.get(case.cause).is_some(), "{state}");
        let text = lattice.told(&["rollout", "status", case.name]);
        assert!(text.contains("went back: ") && text.contains(case.told), "{text}");

        // Nothing of it is left, and no client sees anything of it any more.
        eventually("the revision before alone", || {
            let now = lattice.json(&["describe", case.name]);
            let all = now["placements"].as_array().unwrap();
            let mut here = all.iter().filter(|one| one["heard"] == true);
            // Hosts follow the routes that there are now.
            let routed = now["unrouted"] == json!([]);
            (here.all(|one| one["revision"] == 1) && routed).then_some(())
        });
        load.goes_on(20);
        load.ends_well();
        let load = Load::judged(&addrs, case.path, 2, |reply| reply.text() == "hello\n");
        load.goes_on(100);
        load.ends_well();
        lattice.told(&["delete", case.name]);
    }
}
