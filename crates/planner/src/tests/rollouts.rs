use std::time::Duration;

use super::{world::World, *};
use crate::{
    Amount, CanaryStep, Gates, Measure, RollbackCause, Rollout, RolloutState, Strategy, Verdict,
    plan,
};

const SECOND: Duration = Duration::from_secs(1);

/// Four instances of revision 2, where revision 1 was before.
fn next(strategy: Strategy) -> Workload {
    Workload {
        revision: revision(2),
        previous: Some(revision(1)),
        rollout: Rollout { strategy, ..Rollout::default() },
        ..workload(4, Rules::default())
    }
}

fn rolling(max_unavailable: u32, max_surge: u32) -> Strategy {
    let (max_unavailable, max_surge) = (Amount::Count(max_unavailable), Amount::Count(max_surge));
    Strategy::Rolling { max_unavailable, max_surge }
}

fn canary() -> Strategy {
    let step = |weight| CanaryStep { weight, hold: SECOND };
    Strategy::Canary { steps: vec![step(10), step(50)] }
}

/// A world in which four instances of revision 1 run, and `workload` is wanted.
fn running(workload: Workload, ids: &[(&str, &str)]) -> World {
    let old = Workload { revision: revision(1), previous: None, ..workload.clone() };
    let mut world = World::new(desired(old), hosts(ids));
    world.settle();
    world.desired = desired(workload);
    world
}

/// Ready instances by revision.
fn ready(world: &World, revision: u64) -> u32 {
    let all = world.observed.hosts.values().flat_map(|host| &host.placements);
    all.filter(|one| one.revision == revision).map(|one| one.ready).sum()
}

fn state(world: &World) -> &RolloutState {
    &world.observed.rollouts[&key("web")]
}

fn weights(world: &World) -> Vec<(u64, u32)> {
    let weights = world.observed.weights.get(&key("web"));
    weights.into_iter().flatten().map(|(revision, weight)| (*revision, *weight)).collect()
}

fn measured(world: &mut World, requests: u64, errors: u64, latency_ms: u64) {
    let since = world.now;
    let measure = Measure { since, requests, errors, latency_ms, traps: 0 };
    world.observed.measures.insert(key("web"), measure);
}

#[test]
fn rolling_keeps_to_what_may_be_missing_and_beyond() {
    for (missing, beyond) in [(0, 1), (1, 0), (2, 2), (0, 0)] {
        let mut world = running(next(rolling(missing, beyond)), &[("a", ""), ("b", "")]);
        for _ in 0..100 {
            world.tick();
            let both = ready(&world, 1) + ready(&world, 2);
            assert!(both >= 4 - missing, "{both} ready with {missing}, {beyond}");
            let all = world.observed.hosts.values().flat_map(|host| &host.placements);
            let all: u32 = all.map(|one| one.instances).sum();
            assert!(
                all <= 4 + beyond.max(u32::from(missing == 0)),
                "{all} with {missing}, {beyond}"
            );
        }
        assert_eq!((ready(&world, 1), ready(&world, 2)), (0, 4));
        assert_eq!(state(&world).verdict, Verdict::Complete);
        assert_deployed(&plan(&world.desired, &world.observed, world.now));
    }
}

#[test]
fn a_full_host_needs_one_to_be_missing() {
    let mut world = running(next(rolling(0, 1)), &[("a", "")]);
    if let Some(host) = world.observed.hosts.get_mut("a") {
        host.capacity.memory = 4 * 64 * MIB;
    }
    let stuck = plan(&world.desired, &world.observed, world.now);
    assert!(reasons(&stuck).contains("1 have no room for a new one beside"), "{}", reasons(&stuck));
    world.desired = desired(next(rolling(1, 0)));
    world.settle();
    assert_eq!(ready(&world, 2), 4);
}

#[test]
fn a_full_host_hands_over_to_another_one() {
    let mut world = running(next(rolling(0, 1)), &[("a", "")]);
    if let Some(host) = world.observed.hosts.get_mut("a") {
        host.capacity.memory = 4 * 64 * MIB;
    }
    world.observed.hosts.extend(hosts(&[("b", "")]).hosts);
    world.settle();
    assert_eq!(ready(&world, 2), 4);
}

#[test]
fn all_at_once_waits_for_nothing() {
    let world = running(next(Strategy::AllAtOnce), &[("a", "")]);
    let plan = plan(&world.desired, &world.observed, world.now);
    let expected = [
        "record web: revision 2, step 0",
        "web revision 2 on a: 0 -> 4",
        "web revision 1 on a: 4 -> 0",
    ];
    assert_eq!(actions(&plan), expected);
}

#[test]
fn blue_green_switches_when_all_are_ready_and_stops_the_old_after_a_while() {
    let mut world = running(next(Strategy::BlueGreen { hold: SECOND }), &[("a", "")]);
    let mut seen = Vec::new();
    for _ in 0..100 {
        world.tick();
        seen.push((ready(&world, 1), ready(&world, 2), weights(&world)));
    }
    seen.dedup();
    let expected = [
        (4, 0, vec![(1, 100)]),
        (4, 4, vec![(1, 100)]),
        (4, 4, vec![(2, 100)]),
        (0, 4, vec![(2, 100)]),
        (0, 4, vec![]),
    ];
    assert!(seen.ends_with(&expected), "{seen:?}");
}

#[test]
fn a_canary_goes_step_by_step_and_takes_over() {
    let mut world = running(next(canary()), &[("a", ""), ("b", "")]);
    let mut seen = Vec::new();
    for _ in 0..200 {
        world.tick();
        assert!(ready(&world, 1) + ready(&world, 2) >= 4);
        if world.observed.rollouts.contains_key(&key("web")) {
            seen.push((state(&world).step, weights(&world)));
        }
    }
    seen.dedup();
    let steps = [(0, vec![(1, 100)]), (0, vec![(1, 90), (2, 10)]), (1, vec![(1, 90), (2, 10)])];
    let rest = [(1, vec![(1, 50), (2, 50)]), (1, vec![])];
    assert!(seen.ends_with(&[&steps[..], &rest].concat()), "{seen:?}");
    assert_eq!((ready(&world, 1), ready(&world, 2)), (0, 4));
    assert_eq!(state(&world).verdict, Verdict::Complete);
}

#[test]
fn a_canary_goes_back_by_what_is_measured() {
    let gates = Gates {
        max_errors_per_million: Some(10_000),
        max_latency_ms: Some(200),
        max_traps: Some(0),
        min_requests: 100,
    };
    let cases = [
        ((1000, 11, 0, 0), Some(RollbackCause::Errors { measured: 11_000, limit: 10_000 })),
        ((1000, 9, 201, 0), Some(RollbackCause::Latency { measured: 201, limit: 200 })),
        ((0, 0, 0, 1), Some(RollbackCause::Traps { measured: 1, limit: 0 })),
        ((99, 99, 999, 0), None),
    ];
    for ((requests, errors, latency_ms, traps), expected) in cases {
        let mut workload = next(canary());
        workload.rollout.gates = gates;
        let mut world = running(workload, &[("a", "")]);
        (0..20).for_each(|_| world.tick());
        assert_eq!(weights(&world), [(1, 90), (2, 10)]);
        measured(&mut world, requests, errors, latency_ms);
        if let Some(measure) = world.observed.measures.get_mut(&key("web")) {
            measure.traps = traps;
        }
        (0..40).for_each(|_| world.tick());
        let plan = plan(&world.desired, &world.observed, world.now);
        match expected {
            Some(cause) => {
                assert_eq!(state(&world).verdict, Verdict::RolledBack(cause));
                assert_eq!((ready(&world, 1), ready(&world, 2)), (4, 0));
                assert_eq!(weights(&world), []);
                assert_eq!(web(&plan).phase, Phase::Failed);
                assert!(plan.is_settled());
            }
            None => {
                assert_eq!(weights(&world), [(1, 90), (2, 10)]);
                assert!(reasons(&plan).contains("99 requests were measured, and 100"), "{plan:?}");
            }
        }
    }
}

#[test]
fn what_was_measured_before_a_step_says_nothing_of_it() {
    let mut workload = next(canary());
    workload.rollout.gates = Gates { max_traps: Some(0), ..Gates::default() };
    let mut world = running(workload, &[("a", "")]);
    let measure = Measure { since: Time(0), traps: 9, ..Measure::default() };
    world.observed.measures.insert(key("web"), measure);
    (0..200).for_each(|_| world.tick());
    assert_eq!(state(&world).verdict, Verdict::Complete);
}

#[test]
fn paused_is_frozen_and_what_is_lost_is_replaced() {
    let mut world = running(next(rolling(0, 1)), &[("a", ""), ("b", "")]);
    while ready(&world, 2) < 2 {
        world.tick();
    }
    if let Some(state) = world.observed.rollouts.get_mut(&key("web")) {
        state.verdict = Verdict::Paused;
    }
    world.settle();
    let both = (ready(&world, 1), ready(&world, 2));
    assert_eq!(both.0 + both.1, 4, "{both:?}");
    let paused = plan(&world.desired, &world.observed, world.now);
    assert_eq!(web(&paused).phase, Phase::Waiting);
    world.observed.hosts.remove("b");
    world.settle();
    assert_eq!(ready(&world, 1) + ready(&world, 2), 4);
    assert!(ready(&world, 2) <= both.1);
    if let Some(state) = world.observed.rollouts.get_mut(&key("web")) {
        state.verdict = Verdict::RolledBack(RollbackCause::Aborted);
    }
    world.settle();
    assert_eq!((ready(&world, 1), ready(&world, 2)), (4, 0));
}

#[test]
fn what_is_not_ready_in_time_goes_back() {
    let mut workload = next(rolling(0, 1));
    workload.rollout.deadline = Some(5 * SECOND);
    let mut world = running(workload, &[("a", "")]);
    world.crashing.insert((key("web"), 2));
    for _ in 0..200 {
        world.tick();
        assert_eq!(ready(&world, 1), 4);
    }
    assert_eq!(state(&world).verdict, Verdict::RolledBack(RollbackCause::Deadline));
    assert_eq!(ready(&world, 2), 0);
}

#[test]
fn what_crashes_waits_for_longer_each_time() {
    let mut observed = hosts(&[("a", "")]);
    let desired = desired(workload(2, Rules::default()));
    for (count, wait) in [(1, 1000), (2, 2000), (5, 16_000), (30, 300_000), (u32::MAX, 300_000)] {
        let crashes = crate::Crashes { count, last: NOW };
        observed.crashes.insert(key("web"), BTreeMap::from([(1, crashes)]));
        let held = plan(&desired, &observed, Time(NOW.0 + wait - 1));
        assert_eq!((held.actions.len(), held.wake), (0, Some(Time(NOW.0 + wait))), "{count}");
        assert_eq!(web(&held).phase, Phase::Unhealthy);
        assert_eq!(plan(&desired, &observed, Time(NOW.0 + wait)).actions.len(), 1);
    }
}

#[test]
fn a_daemon_is_rolled_out_host_by_host() {
    let mut daemon = next(canary());
    daemon.scale = Scale::Daemon(1);
    let mut world = running(daemon, &[("a", ""), ("b", ""), ("c", "")]);
    for _ in 0..100 {
        world.tick();
        assert!(ready(&world, 1) + ready(&world, 2) >= 3);
    }
    assert_eq!((ready(&world, 1), ready(&world, 2)), (0, 3));
}

#[test]
fn from_one_host_to_three_zones_by_the_manifest_alone() {
    let ids = [("a", "zone=a"), ("b", "zone=b"), ("c", "zone=c")];
    let mut world = World::new(desired(workload(12, Rules::default())), hosts(&ids[..1]));
    world.settle();
    world.observed.hosts.extend(hosts(&ids[1..]).hosts);
    let spread = vec![part("a", "zone=a", 1), part("b", "zone=b", 1), part("c", "zone=c", 1)];
    world.desired = desired(workload(12, Rules { spread, ..Rules::default() }));
    let mut deployed = false;
    for _ in 0..60 {
        world.tick();
        let counts: Vec<u32> = world.observed.hosts.values().map(instances).collect();
        let total: u32 = counts.iter().sum();
        assert!((12..=15).contains(&total) && ready(&world, 1) >= 12, "{counts:?}");
        deployed = web(&world.last).phase == Phase::Deployed;
        assert_eq!(deployed, counts == [4, 4, 4] && ready(&world, 1) == 12, "{counts:?}");
    }
    assert!(deployed);
}

fn instances(host: &crate::Host) -> u32 {
    host.placements.iter().map(|one| one.instances).sum()
}
