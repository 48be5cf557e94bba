//! Controllers on a lattice of this process, with hosts that do what they are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod carried;
mod support;
mod wadm;

use std::time::Duration;

use reef_controller::api::{
    CallError, Code, Delete, Describe, GetApps, GetHistory, GetHosts, GetPlacements, GetRollouts,
    Rollback, RolloutChange, Scale, SetNamespace, SetRollout, SetSchedule,
};
use reef_lattice::{
    Expected, Key,
    record::{Namespace, Routing, Scheduling},
};
use reef_planner::{Phase, Quota, Schedule, Verdict};

use support::{Place, app, until};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_runs_is_scaled_and_goes() {
    let place = Place::new();
    let _controller = place.controller();
    let (one, two) = (place.host("one", "a"), place.host("two", "b"));
    let client = place.client();
    place.heard(&client).await;
    let accepted = client.call(&app("shop", 1).accept()).await.unwrap();
    assert_eq!((accepted.number, accepted.created, accepted.unchanged), (1, true, false));
    let status = client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
    assert_eq!(status.workloads["web"].ready, 3);
    assert_eq!(one.instances() + two.instances(), 3);

    // The same again is nothing new.
    let again = client.call(&app("shop", 1).accept()).await.unwrap();
    assert!(again.unchanged, "{again:?}");

    let scale = Scale {
        namespace: "default".into(),
        app: "shop".into(),
        workload: "web".into(),
        instances: Some(6),
    };
    let scaled = client.call(&scale).await.unwrap();
    let status = client.wait("default", "shop", scaled.of, SOON, |_, _| {}).await.unwrap();
    assert_eq!(status.workloads["web"].ready, 6);
    let placements = client.call(&GetPlacements::default()).await.unwrap();
    assert_eq!(placements.iter().map(|one| one.ready).sum::<u32>(), 6);
    let hosts = client.call(&GetHosts {}).await.unwrap();
    assert_eq!(hosts.iter().map(|host| &*host.state).collect::<Vec<_>>(), ["ready", "ready"]);

    let named = Delete { namespace: "default".into(), app: "shop".into() };
    client.call(&named).await.unwrap();
    client.wait_gone("default", "shop", SOON).await.unwrap();
    assert_eq!(one.instances() + two.instances(), 0);
    assert!(client.call(&GetApps::default()).await.unwrap().is_empty());
    // Numbers are not used again.
    let anew = client.call(&app("shop", 1).accept()).await.unwrap();
    assert_eq!((anew.number, anew.created), (2, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_one_leads_when_the_leader_stops_and_a_lost_host_is_replaced() {
    let place = Place::new();
    let first = place.controller();
    until("it leads", || first.leads()).await;
    let second = place.controller();
    let (_one, two) = (place.host("one", "a"), place.host("two", "b"));
    let client = place.client();
    place.heard(&client).await;
    let accepted = client.call(&app("shop", 1).accept()).await.unwrap();
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();

    first.stop().await;
    until("the other one leads", || second.leads()).await;
    two.kill();
    let client = &client;
    let whole = || async move {
        let placements = client.call(&GetPlacements::default()).await.unwrap();
        let ready = placements.iter().filter(|one| one.host == "one").map(|one| one.ready).sum();
        Ok::<u32, ()>(ready).is_ok_and(|ready: u32| ready == 3)
    };
    support::until_async("one host has all of it", whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_host_is_empty_and_released() {
    let place = Place::new();
    let _controller = place.controller();
    let (one, two) = (place.host("one", "a"), place.host("two", "b"));
    let client = place.client();
    place.heard(&client).await;
    let accepted = client.call(&app("shop", 1).accept()).await.unwrap();
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
    let drain = SetSchedule { host: "two-name".into(), schedule: Schedule::Draining, leave: false };
    client.call(&drain).await.unwrap();
    let released = || async {
        let record: Option<Scheduling> = place.record("sched.two").await;
        record.is_some_and(|record| record.schedule == Schedule::Drained)
    };
    support::until_async("it is released", released).await;
    assert_eq!((one.instances(), two.instances()), (3, 0));
    let said = || async {
        let hosts = client.call(&GetHosts {}).await.unwrap();
        hosts.iter().map(|host| &*host.state).eq(["ready", "drained"])
    };
    support::until_async("it is said to be drained", said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let place = Place::new();
    let _controller = place.controller();
    let _host = place.host("one", "a");
    let client = place.client();
    place.heard(&client).await;
    let refused = |error: CallError| match error {
        CallError::Refused(error) => error,
        other => panic!("{other}"),
    };
    client.call(&app("shop", 1).accept()).await.unwrap();

    let mut other = app("other", 1).accept();
    let error = refused(client.call(&other).await.unwrap_err());
    assert_eq!(error.code, Code::Invalid);
    assert!(error.to_string().contains("`default/shop` has"), "{error}");

    other = app("shop", 2).accept();
    other.expected = Some(7);
    let error = refused(client.call(&other).await.unwrap_err());
    assert_eq!(error.code, Code::Conflict);

    other = app("shop", 2).accept();
    other.dry_run = true;
    let would = client.call(&other).await.unwrap();
    assert!(!would.unchanged && !would.plan.is_empty(), "{would:?}");
    let named = GetHistory { namespace: "default".into(), app: "shop".into() };
    assert_eq!(client.call(&named).await.unwrap().wanted, Some(1));

    let quota = Quota { instances: Some(4), ..Quota::default() };
    let namespace = Namespace { quota, ..Namespace::default() };
    client.call(&SetNamespace { name: "default".into(), namespace }).await.unwrap();
    let mut large = app("large", 1);
    large.route = "/large/...";
    let large = large.accept();
    let error = refused(client.call(&large).await.unwrap_err());
    assert_eq!(error.code, Code::Denied, "{error}");

    let nobody = Describe { namespace: "default".into(), app: "nobody".into() };
    let error = refused(client.call(&nobody).await.unwrap_err());
    assert_eq!(error.code, Code::NotFound);
    let scale = Scale {
        namespace: "default".into(),
        app: "shop".into(),
        workload: "wed".into(),
        instances: Some(1),
    };
    let error = refused(client.call(&scale).await.unwrap_err());
    assert!(error.message.contains("there is `web`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_that_want_one_route_at_the_same_moment_one_has_it() {
    let place = Place::new();
    let _controllers = [0, 1, 2].map(|_| place.controller());
    let _host = place.host("one", "a");
    let client = place.client();
    place.heard(&client).await;
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    for (round, route) in ["/1/...", "/2/...", "/3/...", "/4/..."].into_iter().enumerate() {
        let mut asked = tokio::task::JoinSet::new();
        for name in NAMES {
            let (client, mut one) = (client.clone(), app(name, 1));
            one.route = route;
            let mut accept = one.accept();
            accept.cause = format!("round {round}");
            asked.spawn(async move { client.call(&accept).await });
        }
        let all = asked.join_all().await;
        let accepted = all.iter().filter(|one| one.is_ok()).count();
        assert_eq!(accepted, 1, "{route}: {all:?}");
        for one in all.iter().filter_map(|one| one.as_ref().err()) {
            assert!(one.to_string().contains("` has: give it another path"), "{one}");
        }
        let deployed = client.call(&GetApps::default()).await.unwrap();
        for app in deployed.iter().filter(|app| app.revision.is_some()) {
            let named = Delete { namespace: "default".into(), app: app.app.clone() };
            client.call(&named).await.unwrap();
            client.wait_gone("default", &app.app, SOON).await.unwrap();
        }
    }
}

/// What an application had in an earlier revision is anybody's, and what it has now is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_free_when_no_wanted_revision_has_it() {
    let place = Place::new();
    let _controllers = [0, 1].map(|_| place.controller());
    let _host = place.host("one", "a");
    let client = place.client();
    place.heard(&client).await;
    let is_taken = |error: CallError| error.to_string().contains("` has: give it another path");
    for round in 0..3 {
        client.call(&app("shop", 2 * round + 1).accept()).await.unwrap();
        let other = app("other", 2 * round + 1).accept();
        assert!(is_taken(client.call(&other).await.unwrap_err()));

        let mut moved = app("shop", 2 * round + 2);
        moved.route = "/shop/...";
        client.call(&moved.accept()).await.unwrap();
        client.call(&other).await.unwrap();
        let back =
            Rollback { namespace: "default".into(), app: "shop".into(), to: None, dry_run: false };
        assert!(is_taken(client.call(&back).await.unwrap_err()));

        let named = Delete { namespace: "default".into(), app: "other".into() };
        client.call(&named).await.unwrap();
        client.wait_gone("default", "other", SOON).await.unwrap();
        client.call(&back).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_paused_resumed_and_rolled_back_from() {
    let place = Place::new();
    let _controller = place.controller();
    let _hosts = [place.host("one", "a"), place.host("two", "b")];
    let client = place.client();
    place.heard(&client).await;
    let accepted = client.call(&app("shop", 1).accept()).await.unwrap();
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
    let mut second = app("shop", 2);
    second.rollout = r#"rollout = { strategy = "canary", steps = [{ weight = 30, hold = "1h" }] }"#;
    client.call(&second.accept()).await.unwrap();
    let client = &client;
    let named = &GetRollouts { namespace: "default".into(), app: "shop".into() };
    let is = |verdict: Verdict, serving: bool| {
        let verdict = verdict.clone();
        move || {
            let verdict = verdict.clone();
            async move {
                let all = client.call(named).await.unwrap();
                all[0]
                    .state
                    .as_ref()
                    .is_some_and(|state| state.verdict == verdict && state.serving == serving)
            }
        }
    };
    support::until_async("it serves", is(Verdict::Going, true)).await;
    let to =
        |to| SetRollout { namespace: "default".into(), app: "shop".into(), workload: None, to };
    client.call(&to(RolloutChange::Pause)).await.unwrap();
    support::until_async("it is paused", is(Verdict::Paused, true)).await;
    client.call(&to(RolloutChange::Resume)).await.unwrap();
    support::until_async("it goes on", is(Verdict::Going, true)).await;
    client.call(&to(RolloutChange::Abort)).await.unwrap();
    let back = || async {
        let named = Describe { namespace: "default".into(), app: "shop".into() };
        let description = client.call(&named).await.unwrap();
        let status = description.status.as_ref().map(|status| status.phase);
        status == Some(Phase::Failed) && description.placements.iter().all(|one| one.revision == 1)
    };
    support::until_async("only the first one runs", back).await;

    let rollback =
        Rollback { namespace: "default".into(), app: "shop".into(), to: Some(1), dry_run: false };
    let accepted = client.call(&rollback).await.unwrap();
    assert_eq!(accepted.number, 3);
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_follow_the_load_and_come_from_none_on_demand() {
    let place = Place::new();
    let _controller = place.controller();
    let host = place.host("one", "a");
    let client = place.client();
    place.heard(&client).await;
    let mut shop = app("shop", 1);
    shop.scale = r#"scale.auto = { max = 8, scale-to-zero = "1s", target = { concurrency = 2 } }"#;
    let accepted = client.call(&shop.accept()).await.unwrap();
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
    until("there is none", || host.instances() == 0).await;
    // A host asks for as long as it has work.
    let host = &host;
    let asked = |least: u32| async move {
        host.demand("default/shop/web").await;
        host.instances() >= least
    };
    support::until_async("there is one", || asked(1)).await;
    host.load(12);
    support::until_async("there are more", || asked(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_forgotten_runs_on_until_somebody_says_otherwise() {
    let place = Place::new();
    let _controller = place.controller();
    let hosts = (place.host("one", "a"), place.host("two", "b"));
    let client = place.client();
    place.heard(&client).await;
    let all = || hosts.0.instances() + hosts.1.instances();
    client.call(&app("shop", 1).accept()).await.unwrap();
    until("three instances", || all() == 3).await;
    let forget = async |keys: &[&str]| {
        for key in keys {
            let key = Key::parse(key).unwrap();
            place.lattice.store.delete(&key, Expected::Any).await.unwrap();
        }
    };
    forget(&["app.default.shop", "rev.default.shop.1", "want.one", "want.two"]).await;

    // It is planned anew, and what nobody has heard of stays as it is.
    let mut other = app("other", 1);
    other.route = "/other/...";
    client.call(&other.accept()).await.unwrap();
    client.wait("default", "other", 0, SOON, |_, _| {}).await.unwrap();
    until("three more instances", || all() == 6).await;
    let routing = place.record::<Routing>("route.default.shop").await.unwrap();
    assert!(!routing.workloads.is_empty(), "{routing:?}");

    // What is applied then is not taken for what runs.
    let accepted = client.call(&app("shop", 2).accept()).await.unwrap();
    assert_eq!((accepted.number, accepted.created), (2, true));
    client.wait("default", "shop", accepted.of, SOON, |_, _| {}).await.unwrap();
    until("six instances", || all() == 6).await;

    // And what is not to be applied again can be deleted.
    forget(&["app.default.other", "rev.default.other.1"]).await;
    let delete = Delete { namespace: "default".into(), app: "other".into() };
    client.call(&delete).await.unwrap();
    until("three instances", || all() == 3).await;
    let error = client.call(&delete).await.unwrap_err();
    assert!(matches!(error, CallError::Refused(error) if error.code == Code::NotFound));
}
