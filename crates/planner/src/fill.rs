//! Which hosts of a cell have how many instances.

use std::collections::BTreeMap;

use crate::{cells::Cell, desired::Packing, hosts::Hosts};

/// A host that has instances of the workload already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) host: u32,
    /// How many may stay, or be replaced there.
    pub(crate) keep: u32,
    /// Those of them that are of the revision that is wanted.
    pub(crate) wanted: u32,
    /// Those of the wanted that are not ready.
    pub(crate) unready: u32,
}

/// Leaves `left` of the instances that may stay. First go those that are to be replaced anyway, so that a new instance
/// that was started somewhere stays there; then those that are not ready; then others. Each time the hosts with the
/// most give first (or, where hosts are packed, those that are used least).
pub(crate) fn shed(hosts: &Hosts, packing: Packing, kept: &mut [Kept], left: u32) {
    let sum = kept.iter().map(|one| u64::from(one.keep)).sum::<u64>();
    if sum <= u64::from(left) {
        return;
    }
    kept.sort_by_key(|one| hosts.use_of(one.host));
    let floors: [fn(&Kept) -> u32; 3] =
        [|one| one.wanted.min(one.keep), |one| one.keep.saturating_sub(one.unready), |_| 0];
    for floor in floors {
        match packing {
            Packing::BinPack => drop_from_first(kept, left, floor),
            Packing::Even => lower(kept, left, floor),
        }
    }
}

/// Lowers the hosts one after the other, none below its floor.
fn drop_from_first(kept: &mut [Kept], left: u32, floor: fn(&Kept) -> u32) {
    let sum = kept.iter().map(|one| u64::from(one.keep)).sum::<u64>();
    let mut surplus = sum.saturating_sub(left.into());
    for one in kept {
        let spare = one.keep.saturating_sub(floor(one));
        let less = u32::try_from(surplus).unwrap_or(u32::MAX).min(spare);
        one.keep -= less;
        surplus -= u64::from(less);
    }
}

/// Lowers the hosts with the most to one level, none below its floor.
fn lower(kept: &mut [Kept], left: u32, floor: fn(&Kept) -> u32) {
    let at = |one: &Kept, level: u32| one.keep.min(level.max(floor(one)));
    let sum = |level: u32| kept.iter().map(|one| u64::from(at(one, level))).sum::<u64>();
    let highest = kept.iter().map(|one| one.keep).max().unwrap_or(0);
    let level = greatest(highest, |level| sum(level) <= u64::from(left));
    // Those used least have what does not go into whole levels.
    let mut more = u64::from(left).saturating_sub(sum(level));
    for one in kept {
        let lowered = at(one, level);
        if more > 0 && at(one, level.saturating_add(1)) > lowered {
            one.keep = lowered + 1;
            more -= 1;
        } else {
            one.keep = lowered;
        }
    }
}

/// Gives `wanted` new instances to the hosts of a cell, as far as `room` says that they have some. `kept` is what they
/// have already.
pub(crate) fn fill(
    hosts: &Hosts,
    packing: Packing,
    cell: &Cell,
    kept: &BTreeMap<u32, u32>,
    wanted: u32,
    room: impl Fn(u32) -> u32,
) -> Vec<(u32, u32)> {
    let mut left = wanted;
    let mut given = Vec::new();
    match packing {
        Packing::BinPack => {
            for host in hosts.by_use().rev().filter(|host| cell.hosts.contains(*host)) {
                if left == 0 {
                    break;
                }
                let more = room(host).min(left);
                if more > 0 {
                    given.push((host, more));
                    left -= more;
                }
            }
        }
        Packing::Even => {
            // One for each host without any: mostly that is all, and only as many hosts are looked at.
            for host in hosts.by_use().filter(|host| cell.hosts.contains(*host)) {
                if left == 0 {
                    return given;
                }
                if kept.get(&host).is_none_or(|kept| *kept == 0) && room(host) > 0 {
                    given.push((host, 1));
                    left -= 1;
                }
            }
            if left > 0 {
                given = evenly(hosts, cell, kept, wanted, room);
            }
        }
    }
    given
}

/// Raises the hosts with the fewest to one level, as water would.
fn evenly(
    hosts: &Hosts,
    cell: &Cell,
    kept: &BTreeMap<u32, u32>,
    wanted: u32,
    room: impl Fn(u32) -> u32,
) -> Vec<(u32, u32)> {
    let rows = cell.hosts.iter().map(|host| (host, *kept.get(&host).unwrap_or(&0), room(host)));
    let mut rows: Vec<(u32, u32, u32)> = rows.filter(|(_, _, room)| *room > 0).collect();
    let raised = |level: u32, has: u32, room: u32| level.saturating_sub(has).min(room);
    let below = |level: u32| {
        let given = rows.iter().map(|(_, has, room)| u64::from(raised(level, *has, *room)));
        given.sum::<u64>() <= u64::from(wanted)
    };
    let highest = rows.iter().map(|(_, has, room)| has.saturating_add(*room)).max().unwrap_or(0);
    let level = greatest(highest, below);
    rows.sort_by_key(|(host, _, _)| hosts.use_of(*host));
    let given = rows.iter().map(|(_, has, room)| raised(level, *has, *room)).sum::<u32>();
    let mut more = wanted - given;
    let mut result = Vec::with_capacity(rows.len());
    for (host, has, room) in rows {
        let mut one = raised(level, has, room);
        if more > 0 && one < room && has.saturating_add(one) == level {
            one += 1;
            more -= 1;
        }
        if one > 0 {
            result.push((host, one));
        }
    }
    result
}

/// The greatest number up to `highest` for which `holds`, which holds for nothing and up to some number.
fn greatest(highest: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, highest);
    while low < high {
        let middle = high - (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
