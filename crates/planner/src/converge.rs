//! From where instances are to where they are to be, within a workload's budgets.
//!
//! New ones are started as far as hosts have room at this moment and as many may be there at once; what is in the wrong
//! place, or of the wrong revision, or too much, is stopped as far as enough stay ready. What is not ready serves
//! nobody, and is stopped at once.

use std::collections::BTreeMap;

use crate::{
    hosts::{Hosts, Standing},
    id::{Id, Time, WorkloadKey},
    plan::Action,
    reason::Reason,
    resources::Resources,
};

/// Instances of a revision on a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) instances: u32,
    pub(crate) ready: u32,
    /// What each holds.
    pub(crate) requests: Resources,
}

/// A revision that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) revision: u64,
    pub(crate) requests: Resources,
    /// How many instances are wanted, whether they have a host or not.
    pub(crate) instances: u32,
    /// By host.
    pub(crate) targets: BTreeMap<u32, u32>,
    /// Until when none is started, after how many crashes.
    pub(crate) held_back: Option<(u32, Time)>,
}

/// A workload on its way.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    pub(crate) workload: &'a WorkloadKey,
    /// What is there, by host and revision.
    pub(crate) live: &'a BTreeMap<(u32, u64), Live>,
    pub(crate) wanted: &'a [Wanted],
    /// How many have to stay ready.
    pub(crate) floor: u32,
    /// How many there may be beyond those that are wanted.
    pub(crate) max_surge: u32,
    /// Whether traffic goes where it is to go: before, nothing that serves is stopped.
    pub(crate) routed: bool,
}

/// Says what is to be done now, and why not more.
pub(crate) fn converge(
    hosts: &mut Hosts,
    way: &Way<'_>,
    actions: &mut Vec<Action>,
    reasons: &mut Vec<Reason>,
) {
    start(hosts, way, actions, reasons);
    stop(hosts, way, actions, reasons);
}

fn start(hosts: &mut Hosts, way: &Way<'_>, actions: &mut Vec<Action>, reasons: &mut Vec<Reason>) {
    let total: u64 = way.live.values().map(|live| u64::from(live.instances)).sum();
    let wanted: u64 = way.wanted.iter().map(|wanted| u64::from(wanted.instances)).sum();
    let mut may = (wanted + u64::from(way.max_surge)).saturating_sub(total);
    let mut not_yet: Option<(u32, Id)> = None;
    for wanted in way.wanted {
        for (host, target) in &wanted.targets {
            let live = way.live.get(&(*host, wanted.revision));
            let from = live.map_or(0, |live| live.instances);
            if *target <= from || hosts.standing(*host) != Standing::Open {
                continue;
            }
            if let Some((crashes, until)) = wanted.held_back {
                reasons.push(Reason::BackOff { crashes, until });
                break;
            }
            let missing = *target - from;
            let room = hosts.free_now(*host).room(wanted.requests, missing);
            if room < missing {
                let (instances, _) = not_yet.get_or_insert_with(|| (0, hosts.id(*host).clone()));
                *instances = instances.saturating_add(missing - room);
            }
            let more = u32::try_from(may).unwrap_or(u32::MAX).min(room);
            if more == 0 {
                continue;
            }
            may -= u64::from(more);
            hosts.start(*host, wanted.requests.times(more.into()));
            actions.push(scale(hosts, way, *host, wanted.revision, from, from + more));
        }
    }
    if let Some((instances, example)) = not_yet {
        reasons.push(Reason::NotYetFree { instances, example });
    }
}

fn stop(hosts: &Hosts, way: &Way<'_>, actions: &mut Vec<Action>, reasons: &mut Vec<Reason>) {
    let ready: u64 = way.live.values().map(|live| u64::from(live.ready)).sum();
    let mut may = if way.routed { ready.saturating_sub(way.floor.into()) } else { 0 };
    let target = |host: u32, revision: u64| {
        let wanted = way.wanted.iter().find(|wanted| wanted.revision == revision);
        wanted.and_then(|wanted| wanted.targets.get(&host)).copied().unwrap_or(0)
    };
    let beyond = way.live.iter().filter_map(|((host, revision), live)| {
        let surplus = live.instances.saturating_sub(target(*host, *revision));
        let reached = hosts.standing(*host) != Standing::Silent;
        (surplus > 0 && reached).then_some((*host, *revision, live, surplus))
    });
    // What leaves a host goes first, so that the host can.
    let mut beyond: Vec<_> = beyond.collect();
    beyond.sort_by_key(|(host, ..)| hosts.standing(*host) != Standing::Leaving);
    let mut kept = 0u32;
    for (host, revision, live, surplus) in beyond {
        let idle = (live.instances - live.ready).min(surplus);
        let serving = u32::try_from(may).unwrap_or(u32::MAX).min(surplus - idle);
        may -= u64::from(serving);
        kept = kept.saturating_add(surplus - idle - serving);
        if idle + serving > 0 {
            let to = live.instances - idle - serving;
            actions.push(scale(hosts, way, host, revision, live.instances, to));
        }
    }
    if kept > 0 {
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        reasons.push(Reason::Budget { kept, floor: way.floor, ready });
    }
}

fn scale(hosts: &Hosts, way: &Way<'_>, host: u32, revision: u64, from: u32, to: u32) -> Action {
    let (host, workload) = (hosts.id(host).clone(), way.workload.clone());
    Action::Scale { host, workload, revision, from, to }
}
