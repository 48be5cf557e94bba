//! Where the instances of one revision of a workload are to be.
//!
//! What runs stays, as far as the rules, the host and the number of instances allow. The rest is put where the rules
//! prefer it. What is found does not depend on the order of anything but the hosts' ids.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    apportion::{Room, apportion},
    cells::{Cell, cells},
    desired::{MOST_INSTANCES, Packing, Rules},
    fill::{Kept, fill, shed},
    hosts::{Hosts, Standing},
    id::Id,
    plan::SpreadStatus,
    reason::Reason,
    resources::Resources,
    shares::shares,
    shortage::{Held, shortage},
};

/// What is to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) instances: u32,
    /// What one of them asks for.
    pub(crate) requests: Resources,
    /// What there is of them.
    pub(crate) running: &'a BTreeMap<u32, Running>,
    /// Whether a new instance has to be ready before the old one that it replaces stops: then a host with old ones
    /// needs room for one more.
    pub(crate) surge_first: bool,
    /// Whether what runs on a host that leaves may stay there.
    pub(crate) as_if_staying: bool,
}

/// What runs on a host of what is to be placed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Running {
    /// Instances of the revision that is wanted.
    pub(crate) wanted: u32,
    /// Instances of others, which it replaces.
    pub(crate) replaced: u32,
    /// Those of the wanted that are not ready.
    pub(crate) unready: u32,
}

/// Where it is to be.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// How many on which host.
    pub(crate) targets: BTreeMap<u32, u32>,
    /// How many there could be if nothing were moved or replaced.
    pub(crate) able: u32,
    pub(crate) spread: Vec<SpreadStatus>,
    pub(crate) reasons: Vec<Reason>,
}

impl Ask<'_> {
    /// Whether a host needs room for one more than it is to have.
    pub(crate) fn reserves(&self, host: u32) -> bool {
        self.surge_first && self.running.get(&host).is_some_and(|running| running.replaced > 0)
    }
}

/// Finds a place for so many instances. What they use today is not planned for in `hosts`; what they are to use is
/// afterwards.
pub(crate) fn place(hosts: &mut Hosts, ask: &Ask<'_>) -> Placed {
    let mut result = find(hosts, ask);
    result.able = result.targets.values().sum();
    let leaves = |host: &u32| hosts.standing(*host) == Standing::Leaving;
    if result.able < ask.instances && (ask.surge_first || ask.running.keys().any(leaves)) {
        let unmoved = find(hosts, &Ask { surge_first: false, as_if_staying: true, ..*ask });
        result.able = result.able.max(unmoved.targets.values().sum());
    }
    for (host, count) in &result.targets {
        hosts.change(*host, Resources::default(), ask.requests.times((*count).into()));
    }
    result
}

fn find(hosts: &mut Hosts, ask: &Ask<'_>) -> Placed {
    let among = if ask.as_if_staying { hosts.staying() } else { hosts.usable() };
    let (cells, domains) = cells(hosts, ask.rules, among);
    let rules = ask.rules;
    let parts = match rules.spread.len() {
        0 => vec![ask.instances],
        _ => shares(ask.instances, &rules.spread.iter().map(|one| one.weight).collect::<Vec<_>>()),
    };
    let mut kept: Vec<Vec<Kept>> = vec![Vec::new(); cells.len()];
    for (host, running) in ask.running {
        if let Some(cell) = cells.iter().position(|cell| cell.hosts.contains(*host)) {
            let keep = keep(hosts, ask, *host, *running);
            let wanted = running.wanted.min(keep);
            let unready = running.unready.min(wanted);
            kept[cell].push(Kept { host: *host, keep, wanted, unready });
        }
    }
    let may_stay = |kept: &[Kept]| kept.iter().map(|one| u64::from(one.keep)).sum::<u64>();
    let simple = cells.len() == 1 && domains.is_empty() && parts.len() == 1;
    let solve = |rooms: &[Room]| {
        let even = rules.packing == Packing::Even;
        apportion(&parts, &cells, rooms, &domains, rules.topology.as_ref(), even)
    };
    // Mostly all is where it belongs, and then no host has to be looked at.
    let all: u64 = kept.iter().map(|kept| may_stay(kept)).sum();
    let as_is = if all != u64::from(ask.instances) {
        None
    } else if simple {
        Some((vec![ask.instances], vec![ask.instances]))
    } else {
        let found = solve(&kept.iter().map(|kept| room_of_kept(kept)).collect::<Vec<_>>());
        let whole = found.cells.iter().sum::<u32>() == ask.instances;
        whole.then_some((found.cells, found.parts))
    };
    if as_is.is_none() {
        hosts.reorder();
    }
    let hosts = &*hosts;
    let before = kept.iter().flatten().filter(|_| as_is.is_none());
    let has: BTreeMap<u32, u32> = before.map(|one| (one.host, one.keep)).collect();
    let room = |host: u32| more(hosts, ask, host, *has.get(&host).unwrap_or(&0));
    let (wanted, mut placed) = match as_is {
        Some(found) => found,
        None if simple => (vec![ask.instances], vec![0]),
        None => {
            let of = |(cell, kept): (&Cell, &Vec<Kept>)| rooms(cell, kept, ask.instances, room);
            let found = solve(&cells.iter().zip(&kept).map(of).collect::<Vec<_>>());
            (found.cells, found.parts)
        }
    };
    for (kept, wanted) in kept.iter_mut().zip(&wanted) {
        shed(hosts, rules.packing, kept, *wanted);
    }
    let mut targets: BTreeMap<u32, u32> =
        kept.iter().flatten().map(|one| (one.host, one.keep)).collect();
    let mut given = Vec::new();
    for ((cell, kept), wanted) in cells.iter().zip(&kept).zip(wanted) {
        let staying = u32::try_from(may_stay(kept)).unwrap_or(u32::MAX);
        if staying < wanted {
            given.extend(fill(hosts, rules.packing, cell, &targets, wanted - staying, room));
        }
    }
    for (host, count) in given {
        *targets.entry(host).or_insert(0) += count;
    }
    targets.retain(|_, count| *count > 0);
    if simple {
        placed = vec![targets.values().sum()];
    }
    let mut result = Placed { targets, ..Placed::default() };
    for (at, (wanted, placed)) in parts.into_iter().zip(placed).enumerate() {
        let part = rules.spread.get(at);
        let name = part.map_or_else(|| Id::from(""), |part| part.name.clone());
        result.spread.push(SpreadStatus { name, wanted, placed });
        if placed < wanted {
            let held = Held { targets: &result.targets, cells: &cells, domains: &domains };
            result.reasons.push(Reason::NoHost(shortage(hosts, ask, part, wanted - placed, &held)));
        }
    }
    result
}

/// The room of a cell for what is there.
fn room_of_kept(kept: &[Kept]) -> Room {
    let mut room = Room::default();
    kept.iter().for_each(|one| room.add(one.wanted, one.keep - one.wanted, 0));
    room
}

/// The room of a cell, as far as `instances` can need it.
fn rooms(cell: &Cell, kept: &[Kept], instances: u32, more: impl Fn(u32) -> u32) -> Room {
    let mut room = Room::default();
    for one in kept {
        room.add(one.wanted, one.keep - one.wanted, more(one.host));
    }
    let has: BTreeSet<u32> = kept.iter().map(|one| one.host).collect();
    for host in cell.hosts.iter().filter(|host| !has.contains(host)) {
        if room.has_cheapest(instances) {
            break;
        }
        room.add(0, 0, more(host));
    }
    room
}

/// How many instances a host can have in all.
fn slots(hosts: &Hosts, ask: &Ask<'_>, host: u32) -> u32 {
    let limit = ask.rules.per_host.unwrap_or(MOST_INSTANCES).min(MOST_INSTANCES);
    let spare = u32::from(ask.reserves(host));
    hosts.free(host).room(ask.requests, MOST_INSTANCES).saturating_sub(spare).min(limit)
}

/// How many of those that run on a host may stay there (or be replaced there).
fn keep(hosts: &Hosts, ask: &Ask<'_>, host: u32, running: Running) -> u32 {
    match hosts.standing(host) {
        Standing::Open => (running.wanted + running.replaced).min(slots(hosts, ask, host)),
        Standing::Cordoned => running.wanted.min(slots(hosts, ask, host)),
        // What cannot be reached cannot be changed.
        Standing::Silent => running.wanted + running.replaced,
        Standing::Leaving if ask.as_if_staying => {
            (running.wanted + running.replaced).min(slots(hosts, ask, host))
        }
        Standing::Leaving | Standing::Lost => 0,
    }
}

/// How many a host can take beyond those that stay.
fn more(hosts: &Hosts, ask: &Ask<'_>, host: u32, kept: u32) -> u32 {
    match hosts.standing(host) {
        Standing::Open => slots(hosts, ask, host).saturating_sub(kept),
        _ => 0,
    }
}
