//! Which hosts of a cell have how many instances.

use std::collections::BTreeMap;

use crate::{cells::Cell, desired::Packing, hosts::Hosts};

/// A host that has instances of the workload already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) host: u32,
    /// How many may stay.
    pub(crate) keep: u32,
    /// Those of them that are not ready.
    pub(crate) unready: u32,
}

/// Leaves `wanted` of the instances that may stay: those that are not ready go first, then those of the hosts with the
/// most (or, where hosts are packed, of those that are used least).
pub(crate) fn shed(hosts: &Hosts<'_>, packing: Packing, kept: &mut [Kept], wanted: u32) {
    let sum = |kept: &[Kept]| kept.iter().map(|one| u64::from(one.keep)).sum::<u64>();
    let mut surplus = sum(kept).saturating_sub(wanted.into());
    if surplus == 0 {
        return;
    }
    // The most used last, as they are looked at from the end.
    kept.sort_by_key(|one| hosts.use_of(one.host));
    let take = |one: &mut Kept, most: u32, surplus: &mut u64| {
        let less = u32::try_from(*surplus).unwrap_or(u32::MAX).min(most);
        one.keep -= less;
        *surplus -= u64::from(less);
    };
    for one in kept.iter_mut().rev() {
        take(one, one.unready.min(one.keep), &mut surplus);
    }
    match packing {
        Packing::BinPack => kept.iter_mut().for_each(|one| take(one, one.keep, &mut surplus)),
        Packing::Even if surplus > 0 => {
            let under = |level: u32| {
                kept.iter().map(|one| u64::from(one.keep.min(level))).sum::<u64>()
                    <= u64::from(wanted)
            };
            let highest = kept.iter().map(|one| one.keep).max().unwrap_or(0);
            let level = greatest(highest, under);
            let mut more = u64::from(wanted)
                - kept.iter().map(|one| u64::from(one.keep.min(level))).sum::<u64>();
            for one in kept.iter_mut().filter(|one| one.keep > level) {
                one.keep = if more > 0 { level + 1 } else { level };
                more = more.saturating_sub(1);
            }
        }
        Packing::Even => {}
    }
}

/// Gives `wanted` new instances to the hosts of a cell, as far as `room` says that they have some. `kept` is what they
/// have already.
pub(crate) fn fill(
    hosts: &Hosts<'_>,
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
    hosts: &Hosts<'_>,
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
