//! Planning one workload.

use std::collections::BTreeMap;

use crate::{
    converge::{Live, Wanted, Way, converge},
    daemon,
    desired::{Desired, MOST_INSTANCES, Policy, Revision, Scale, Workload},
    entries::{Entry, Lives},
    hosts::Hosts,
    id::Time,
    observed::{Crashes, Observed},
    place::{Ask, Placed, Running, place},
    plan::{Action, Phase, Plan, SpreadStatus, Status, Target},
    reason::Reason,
    resources::Resources,
    rollout::{Course, Facts, course},
};

/// Stops what is not wanted.
pub(crate) fn undeploy(hosts: &mut Hosts, entry: &Entry, actions: &mut Vec<Action>) -> Status {
    let Entry { key, live, .. } = entry;
    let mut reasons = Vec::new();
    silent(hosts, live, &mut reasons);
    release(hosts, live);
    let way = Way { workload: key, live, wanted: &[], floor: 0, max_surge: 0, routed: true };
    converge(hosts, &way, actions, &mut reasons);
    Status {
        phase: Phase::Undeployed,
        wanted: 0,
        running: count(live),
        ready: 0,
        targets: Vec::new(),
        spread: Vec::new(),
        reasons,
    }
}

/// Plans one workload. Its status, and whether it rests: whatever becomes of other workloads, and of hosts where it is
/// not, it would be planned the same.
pub(crate) fn one(
    (desired, observed, now): (&Desired, &Observed, Time),
    hosts: &mut Hosts,
    workload: &Workload,
    entry: &Entry,
    plan: &mut Plan,
) -> (Status, bool) {
    let Entry { key, live, granted, .. } = entry;
    let number = workload.revision.number;
    let of_new = |((_, revision), _): &(&(u32, u64), &Live)| *revision == number;
    let facts = Facts {
        instances: *granted,
        ready: live.iter().filter(of_new).fold(0, |sum, (_, live)| sum.saturating_add(live.ready)),
        others: live.keys().any(|(_, revision)| *revision != number),
        state: observed.rollouts.get(key),
        measure: observed.measures.get(key),
        now,
    };
    let course = course(workload, &facts);
    let mut reasons = entry.reasons.clone();
    reasons.extend(course.reasons.iter().cloned());
    release(hosts, live);
    let (mut wanted, able, spread) = targets(hosts, workload, entry, &course, &mut reasons);
    for one in &mut wanted {
        let crashes = observed.crashes.get(key).and_then(|crashes| crashes.get(&one.revision));
        one.held_back = crashes.and_then(|crashes| held_back(&desired.policy, crashes, now));
    }
    let before = plan.actions.len();
    if let Some(state) = &course.record {
        let (workload, state) = (key.clone(), state.clone());
        plan.actions.push(Action::Record { workload, state });
    }
    let routed = observed.weights.get(key) == course.weights.as_ref();
    if !routed {
        let (workload, weights) = (key.clone(), course.weights.clone());
        plan.actions.push(Action::Route { workload, weights });
    }
    let floor = able.min(*granted).saturating_sub(course.max_unavailable);
    let max_surge = course.max_surge;
    let way = Way { workload: key, live, wanted: &wanted, floor, max_surge, routed };
    converge(hosts, &way, &mut plan.actions, &mut reasons);
    silent(hosts, live, &mut reasons);
    let back_off = reasons.iter().filter_map(|reason| match reason {
        Reason::BackOff { until, .. } => Some(*until),
        _ => None,
    });
    plan.wake = back_off.chain(course.wake).chain(plan.wake).min();
    let acted = plan.actions.len() > before;
    let status = status(hosts, entry, &course, wanted, spread, reasons, acted);
    let rests = status.phase == Phase::Deployed && course.wake.is_none() && entry.is_exact();
    (status, rests)
}

/// Where the instances of each revision are to be, and how many could be ready meanwhile.
fn targets(
    hosts: &mut Hosts,
    workload: &Workload,
    entry: &Entry,
    course: &Course<'_>,
    reasons: &mut Vec<Reason>,
) -> (Vec<Wanted>, u32, Vec<SpreadStatus>) {
    let Entry { live, granted, .. } = entry;
    let alone = course.sets.len() == 1;
    let mut spread = Vec::new();
    let mut able = None;
    let mut wanted: Vec<Wanted> = Vec::new();
    for (revision, instances) in &course.sets {
        let running = running(live, revision.number, alone);
        let replacing = running.values().any(|running| running.replaced > 0);
        let mut ask = ask(workload, revision, *instances, &running);
        ask.surge_first = course.max_unavailable == 0 && replacing && course.frozen.is_none();
        let placed: Placed = match workload.scale {
            Scale::Instances(_) => place(hosts, &ask),
            Scale::Daemon(instances) => daemon::place(hosts, &Ask { instances, ..ask }, *granted),
        };
        reasons.extend(placed.reasons);
        able.get_or_insert(placed.able);
        spread = placed.spread;
        wanted.push(Wanted {
            revision: revision.number,
            requests: revision.requests,
            instances: *instances,
            targets: placed.targets,
            held_back: None,
        });
    }
    if let (Some(old), [new]) = (course.frozen, wanted.as_mut_slice()) {
        let mut rest = BTreeMap::new();
        for (host, target) in &mut new.targets {
            let has = live.get(&(*host, new.revision)).map_or(0, |live| live.instances);
            let stays = has.min(*target);
            if stays < *target {
                rest.insert(*host, *target - stays);
            }
            *target = stays;
        }
        new.targets.retain(|_, target| *target > 0);
        let of_old: u32 = rest.values().sum();
        new.instances = new.instances.saturating_sub(of_old);
        wanted.push(Wanted {
            revision: old.number,
            requests: old.requests,
            instances: of_old,
            targets: rest,
            held_back: None,
        });
    }
    (wanted, able.unwrap_or(0), spread)
}

fn status(
    hosts: &Hosts,
    entry: &Entry,
    course: &Course<'_>,
    wanted: Vec<Wanted>,
    spread: Vec<SpreadStatus>,
    reasons: Vec<Reason>,
    acted: bool,
) -> Status {
    let live = &entry.live;
    let mut targets = Vec::new();
    let mut met = true;
    let mut ready = 0u32;
    for one in &wanted {
        for (host, target) in &one.targets {
            let revision = one.revision;
            let there = live.get(&(*host, revision));
            met &= there.is_some_and(|live| live.instances == *target && live.ready == *target);
            targets.push(Target { host: hosts.id(*host).clone(), revision, instances: *target });
        }
        let of_one = live.iter().filter(|((_, revision), _)| *revision == one.revision);
        ready = of_one.fold(ready, |sum, (_, live)| sum.saturating_add(live.ready));
    }
    targets.sort();
    met &= targets.len() == live.len();
    let whole = spread.iter().all(|part| part.placed == part.wanted);
    let unhealthy =
        |reason: &Reason| matches!(reason, Reason::BackOff { .. } | Reason::Silent { .. });
    let phase = if reasons.iter().any(Reason::is_failure) {
        Phase::Failed
    } else if acted {
        Phase::Reconciling
    } else if reasons.iter().any(Reason::is_wait) {
        Phase::Waiting
    } else if reasons.iter().any(unhealthy) {
        Phase::Unhealthy
    } else if met && whole && reasons.is_empty() && !course.going {
        Phase::Deployed
    } else {
        Phase::Reconciling
    };
    let wanted = wanted.iter().fold(0u32, |sum, one| sum.saturating_add(one.instances));
    let asked = u32::try_from(entry.wanted).unwrap_or(u32::MAX);
    let wanted = wanted.saturating_add(asked - entry.granted);
    Status { phase, wanted, running: count(live), ready, targets, spread, reasons }
}

/// What runs, by host: of a revision, and (if it is `alone`) of those that it replaces.
pub(crate) fn running(live: &Lives, revision: u64, alone: bool) -> BTreeMap<u32, Running> {
    let mut running: BTreeMap<u32, Running> = BTreeMap::new();
    for ((host, number), live) in live {
        if *number != revision && !alone {
            continue;
        }
        let one = running.entry(*host).or_default();
        let count = if *number == revision { &mut one.wanted } else { &mut one.replaced };
        *count = count.saturating_add(live.instances).min(MOST_INSTANCES);
        if *number == revision {
            one.unready = live.instances - live.ready;
        }
    }
    running
}

pub(crate) fn ask<'a>(
    workload: &'a Workload,
    revision: &Revision,
    instances: u32,
    running: &'a BTreeMap<u32, Running>,
) -> Ask<'a> {
    let (rules, requests) = (&workload.rules, revision.requests);
    Ask { rules, instances, requests, running, surge_first: false, as_if_staying: false }
}

/// Takes what a workload uses out of what is planned.
fn release(hosts: &mut Hosts, live: &Lives) {
    for ((host, _), live) in live {
        let used = live.requests.times(live.instances.into());
        hosts.change(*host, used, Resources::default());
    }
}

/// Adds that hosts with instances are not heard of.
fn silent(hosts: &Hosts, live: &Lives, reasons: &mut Vec<Reason>) {
    let mut found: Vec<(u32, Time)> =
        live.keys().filter_map(|(host, _)| Some((*host, hosts.until(*host)?))).collect();
    found.dedup_by_key(|(host, _)| *host);
    if let Some(until) = found.iter().map(|(_, until)| *until).min() {
        let hosts = u32::try_from(found.len()).unwrap_or(u32::MAX);
        reasons.push(Reason::Silent { hosts, until });
    }
}

/// Until when a revision that crashed waits.
fn held_back(policy: &Policy, crashes: &Crashes, now: Time) -> Option<(u32, Time)> {
    let back_off = &policy.back_off;
    if crashes.count == 0 || now >= crashes.last.after(back_off.forget) {
        return None;
    }
    let doubled = 1u32.checked_shl(crashes.count - 1).unwrap_or(u32::MAX);
    let wait = back_off.first.saturating_mul(doubled).min(back_off.longest);
    let until = crashes.last.after(wait);
    (now < until).then_some((crashes.count, until))
}

fn count(live: &Lives) -> u32 {
    live.values().fold(0, |sum, live| sum.saturating_add(live.instances))
}
