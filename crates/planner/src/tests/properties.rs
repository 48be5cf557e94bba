//! Whatever happens to a lattice, it settles, within its rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    scenario::{Scenario, begin, happen, name, scenario},
    world::World,
    *,
};
use crate::{
    Action, Amount, Host, Labels, MOST_INSTANCES, Reason, Schedule, Strategy as Steps, plan,
    shares::shares,
};

/// What holds of every plan, however bad things are.
fn check_plan(world: &World) {
    let (desired, observed, plan) = (&world.desired, &world.observed, &world.last);
    let mut starting: BTreeMap<&Id, Resources> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for action in &plan.actions {
        let Action::Scale { host: id, workload, revision, from, to } = action else { continue };
        let host = &observed.hosts[id];
        assert!(seen.insert((id, workload, revision)), "told twice: {action}");
        assert_eq!(host.reach, crate::Reach::Reachable, "{action}");
        if to > from {
            assert_eq!(host.schedule, Schedule::Open, "{action}");
            let wanted = &desired.workloads[workload];
            let all = [Some(&wanted.revision), wanted.previous.as_ref()];
            let found = all.into_iter().flatten().find(|one| one.number == *revision);
            let requests = found.map(|one| one.requests).unwrap_or_default();
            let sum = starting.entry(id).or_default();
            *sum = sum.plus(requests.times((to - from).into()));
            assert!(fits(host, &wanted.rules), "against the rules: {action}");
        }
    }
    for (id, starting) in starting {
        let host = &observed.hosts[id];
        let used = host
            .placements
            .iter()
            .fold(starting, |sum, one| sum.plus(one.requests.times(one.instances.into())));
        assert!(
            used.memory <= host.capacity.memory && used.cpu <= host.capacity.cpu,
            "{id} is too full"
        );
    }
    for (workload, status) in &plan.workloads {
        check_budget(world, workload, status);
        if status.phase == Phase::Deployed {
            assert_eq!((status.running, status.ready), (status.wanted, status.wanted));
            assert!(status.reasons.is_empty());
        }
    }
}

/// Stopping leaves as many ready as there have to be, if there were so many.
fn check_budget(world: &World, key: &WorkloadKey, status: &Status) {
    let Some(workload) = world.desired.workloads.get(key) else { return };
    let Steps::Rolling { max_unavailable, .. } = workload.rollout.strategy else { return };
    let short =
        |reason: &Reason| matches!(reason, Reason::NoHost(_) | Reason::DaemonWithoutRoom { .. });
    if workload.max_unavailable.is_some()
        || status.reasons.iter().any(short)
        || world.desired.quotas.contains_key("default")
    {
        return;
    }
    let floor = status.wanted - max_unavailable.down(status.wanted).min(status.wanted);
    let (mut before, mut after) = (0, 0);
    for (id, host) in &world.observed.hosts {
        if host.reach != crate::Reach::Reachable {
            continue;
        }
        for one in host.placements.iter().filter(|one| &one.workload == key) {
            before += one.ready;
            let told = world.last.actions.iter().find_map(|action| match action {
                Action::Scale { host, workload, revision, to, .. }
                    if (host, workload, *revision) == (id, key, one.revision) =>
                {
                    Some(*to)
                }
                _ => None,
            });
            after += told.map_or(one.ready, |to| one.ready.min(to));
        }
    }
    assert!(after >= before.min(floor), "{key}: {before} ready, then {after}, {floor} have to be");
}

fn fits(host: &Host, rules: &Rules) -> bool {
    let satisfied = |constraint: &Constraint| match constraint {
        Constraint::In(label, values) => {
            host.labels.get(label).is_some_and(|value| values.contains(value))
        }
        Constraint::NotIn(label, values) => {
            !host.labels.get(label).is_some_and(|value| values.contains(value))
        }
        Constraint::Exists(label) => host.labels.contains_key(label),
        Constraint::Missing(label) => !host.labels.contains_key(label),
    };
    let part =
        rules.spread.is_empty() || rules.spread.iter().any(|part| is_in(host, &part.requirements));
    let topology = rules.topology.as_ref().filter(|topology| topology.required);
    part && rules.required.iter().all(satisfied)
        && topology.is_none_or(|topology| host.labels.contains_key(&topology.label))
}

fn is_in(host: &Host, requirements: &Labels) -> bool {
    requirements.iter().all(|(label, value)| host.labels.get(label) == Some(value))
}

/// What holds once nothing is left to be done.
fn check_settled(world: &World) {
    let again = plan(&world.desired, &world.observed, world.now);
    assert_eq!(actions(&again), Vec::<String>::new());
    for (key, status) in &again.workloads {
        let Some(workload) = world.desired.workloads.get(key) else {
            continue;
        };
        let text = status.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let mut live: BTreeMap<&Id, u32> = BTreeMap::new();
        for (id, host) in &world.observed.hosts {
            let is_lost = host.reach != crate::Reach::Reachable;
            for one in host.placements.iter().filter(|one| &one.workload == key && !is_lost) {
                *live.entry(id).or_default() += one.instances;
            }
        }
        let total: u32 = live.values().sum();
        let explained = !status.reasons.is_empty();
        let ready = status.ready == total;
        if total != status.wanted || !ready {
            let crashing = world.crashing.iter().any(|(one, _)| one == key);
            assert!(explained || crashing, "{key}: {total} of {} and no reason", status.wanted);
        }
        for id in live.keys() {
            let host = &world.observed.hosts[*id];
            let held = explained || world.crashing.iter().any(|(one, _)| one == key);
            assert!(fits(host, &workload.rules) || held, "{key} on {id} against the rules");
            assert!(
                !matches!(host.schedule, Schedule::Draining | Schedule::Drained) || held,
                "{key} is still on {id}: {text}"
            );
        }
        for reason in &status.reasons {
            check_shortage(world, &again, workload, &live, reason);
        }
        if !explained && ready && total == status.wanted {
            check_rules(world, workload, status, &live);
        }
    }
}

/// Where instances have no host, no host that fits has room for one, and takes it.
fn check_shortage(
    world: &World,
    plan: &crate::Plan,
    workload: &Workload,
    live: &BTreeMap<&Id, u32>,
    reason: &Reason,
) {
    let Reason::NoHost(shortage) = reason else { return };
    // What is about to be started or stopped, and cannot yet, has a say in what is free.
    let waits =
        |reason: &Reason| matches!(reason, Reason::NotYetFree { .. } | Reason::Budget { .. });
    let waits = plan.workloads.values().any(|status| status.reasons.iter().any(waits));
    let even = workload.rules.topology.as_ref().is_some_and(|topology| topology.required);
    if waits || even || !world.crashing.is_empty() || shortage.surge > 0 {
        return;
    }
    for (id, host) in &world.observed.hosts {
        let open = host.schedule == Schedule::Open && host.reach == crate::Reach::Reachable;
        if !open || !fits(host, &workload.rules) || !is_in(host, &shortage.requirements) {
            continue;
        }
        let used = host
            .placements
            .iter()
            .fold(shortage.requests, |sum, one| sum.plus(one.requests.times(one.instances.into())));
        let full = used.memory > host.capacity.memory || used.cpu > host.capacity.cpu;
        let limit = workload.rules.per_host.unwrap_or(MOST_INSTANCES);
        let many = live.get(id).is_some_and(|count| *count >= limit);
        assert!(full || many, "{id} has room, and still: {reason}");
    }
}

/// Parts of the spread have their shares, domains are even, no host has too many.
fn check_rules(world: &World, workload: &Workload, status: &Status, live: &BTreeMap<&Id, u32>) {
    if let Scale::Daemon(_) = workload.scale {
        return;
    }
    let rules = &workload.rules;
    let limit = rules.per_host.unwrap_or(MOST_INSTANCES);
    assert!(live.values().all(|count| *count <= limit));
    // Any set of parts has, on its hosts, at least the shares of those parts.
    let weights: Vec<u32> = rules.spread.iter().map(|part| part.weight).collect();
    let shares = shares(status.wanted, &weights);
    for set in 0..1usize << rules.spread.len() {
        let parts = || (0..rules.spread.len()).filter(|at| set >> at & 1 == 1);
        let of_set = |id: &Id| {
            parts().any(|at| is_in(&world.observed.hosts[id], &rules.spread[at].requirements))
        };
        let there: u32 = live.iter().filter(|(id, _)| of_set(id)).map(|(_, count)| *count).sum();
        assert!(there >= parts().map(|at| shares[at]).sum(), "{set:b} has {there}");
    }
    if let Some(topology) = rules.topology.as_ref().filter(|topology| topology.required) {
        let fitting = || world.observed.hosts.iter().filter(|(_, host)| fits(host, rules));
        let is_open =
            |host: &Host| host.schedule == Schedule::Open && host.reach == crate::Reach::Reachable;
        let open = fitting().filter(|(_, host)| is_open(host));
        let open = open.filter_map(|(_, host)| host.labels.get(&topology.label));
        let mut domains: BTreeMap<&Id, u32> = open.map(|domain| (domain, 0)).collect();
        for (id, host) in fitting() {
            let domain = host.labels.get(&topology.label).and_then(|one| domains.get_mut(one));
            domain.into_iter().for_each(|count| *count += live.get(id).copied().unwrap_or(0));
        }
        let all = || domains.values().copied();
        let skew = all().max().unwrap_or(0) - all().min().unwrap_or(0);
        assert!(skew <= topology.max_skew, "{domains:?}");
    }
}

/// Numbers at which something may go wrong.
fn edge() -> impl Strategy<Value = u64> {
    let most = u64::from(u32::MAX);
    prop_oneof![
        0u64..4,
        Just(most),
        Just(most - 1),
        Just(u64::MAX),
        Just(u64::MAX / 2),
        any::<u64>()
    ]
}

/// A thousand, unless `PROPTEST_CASES` says otherwise.
pub(super) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_happens_it_settles_within_its_rules(scenario in scenario()) {
        let mut world = begin(&scenario);
        for event in &scenario.events {
            happen(&mut world, event, check_plan);
        }
        world.settle();
        check_settled(&world);
    }

    /// What a plan is for is what the next one finds, once it is there and has left its former place to others.
    #[test]
    fn what_was_planned_is_planned_again(scenario in scenario()) {
        let mut world = begin(&Scenario { loss: 0, twice: 0, delay: 0, ..scenario.clone() });
        for event in scenario.events.iter().take(3) {
            happen(&mut world, event, check_plan);
        }
        world.observed.rollouts.clear();
        world.desired.workloads.values_mut().for_each(|one| one.previous = None);
        world.observed.hosts.values_mut().for_each(|host| host.reach = crate::Reach::Reachable);
        let first = plan(&world.desired, &world.observed, world.now);
        prop_assert_eq!(&first, &plan(&world.desired, &world.observed, world.now));
        let mut first = first;
        for _ in 0..=world.desired.workloads.len() {
            place_targets(&mut world, &first);
            first = plan(&world.desired, &world.observed, world.now);
        }
        place_targets(&mut world, &first);
        let second = plan(&world.desired, &world.observed, world.now);
        for (key, status) in &first.workloads {
            let again = second.workloads.get(key).map(|status| &status.targets);
            prop_assert!(again.unwrap_or(&Vec::new()) == &status.targets, "{}: {:?} {:?}", key, status, again);
        }
        let scales = second.actions.iter().filter(|action| matches!(action, Action::Scale { .. }));
        prop_assert_eq!(scales.count(), 0, "{:#?}", second.actions);
    }

    /// No numbers are too great, too small or at odds with each other to be planned with.
    #[test]
    fn every_input_has_a_plan(
        mut scenario in scenario(),
        numbers in prop::collection::vec(edge(), 24),
        now: u64,
    ) {
        let mut next = numbers.iter().copied().cycle();
        let mut number = || next.next().unwrap_or(0);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        for workload in &mut scenario.workloads {
            workload.revision.requests = Resources::new(number(), number());
            workload.previous = Some(Revision { number: number(), ..revision(0) });
            workload.scale = match workload.scale {
                Scale::Instances(_) => Scale::Instances(small(number())),
                Scale::Daemon(_) => Scale::Daemon(small(number())),
            };
            workload.max_unavailable = Some(Amount::Percent(small(number())));
            workload.rules.spread.iter_mut().for_each(|part| part.weight = small(number()));
            let topology = workload.rules.topology.iter_mut();
            topology.for_each(|topology| topology.max_skew = small(number()));
        }
        let mut world = begin(&scenario);
        let keys: Vec<WorkloadKey> = (0..3).map(name).collect();
        for host in world.observed.hosts.values_mut() {
            host.capacity = Resources::new(number(), number());
            for workload in keys.iter().cycle().take(4).cloned() {
                host.placements.push(Placement {
                    workload,
                    revision: number() % 3,
                    instances: small(number()),
                    ready: small(number()),
                    requests: Resources::new(number(), number()),
                });
            }
        }
        for key in keys {
            let crashes = crate::Crashes { count: small(number()), last: Time(number()) };
            world.observed.crashes.insert(key, BTreeMap::from([(1, crashes)]));
        }
        let plan = plan(&world.desired, &world.observed, Time(now));
        prop_assert!(serde_json::to_string(&plan).is_ok());
        for status in plan.workloads.values() {
            prop_assert!(status.reasons.iter().all(|reason| !reason.to_string().is_empty()));
        }
    }

    /// What a lost host ran is all that starts, and nothing stops.
    #[test]
    fn a_lost_host_moves_only_what_it_ran(counts in prop::collection::vec(0u32..30, 1..4), lost in 0usize..4) {
        let all = [("a", "zone=a"), ("b", "zone=b"), ("c", "zone=c"), ("d", "zone=a")];
        let mut world = World::new(Desired::default(), hosts(&all));
        for (at, count) in counts.iter().enumerate() {
            let mut one = workload(*count, Rules::default());
            one.revision.requests = Resources::new(1, 1);
            world.desired.workloads.insert(name(at), one);
        }
        world.settle();
        let gone = world.observed.hosts.remove(all[lost].0).unwrap_or_default();
        let gone: u32 = gone.placements.iter().map(|one| one.instances).sum();
        let plan = plan(&world.desired, &world.observed, world.now);
        let mut started = 0;
        for action in &plan.actions {
            if let Action::Scale { from, to, .. } = action {
                prop_assert!(to > from);
                started += to - from;
            }
        }
        prop_assert_eq!(started, gone);
    }
}

fn place_targets(world: &mut World, first: &crate::Plan) {
    world.observed.hosts.values_mut().for_each(|host| host.placements.clear());
    for (workload, status) in &first.workloads {
        for target in &status.targets {
            let host = world.observed.hosts.get_mut(&target.host);
            let requests = world.desired.workloads[workload].revision.requests;
            let (workload, revision, instances) =
                (workload.clone(), target.revision, target.instances);
            let one = Placement { workload, revision, instances, ready: instances, requests };
            host.into_iter().for_each(|host| host.placements.push(one.clone()));
        }
    }
}
