//! How many instances each cell has: all parts of a spread and all failure domains at once.
//!
//! Parts that overlap leave open which part an instance on a host of several of them counts towards. That is a flow:
//! from the parts, each with its share, to the cells that are in them, each with its room, through the failure domains,
//! each with its bounds. The greatest flow places as much as can be; among those the cheapest one keeps what runs,
//! then prefers what the rules prefer, then is even. A flow that has all of it where it runs is the cheapest, and the
//! only such one: what was planned is planned again once it is there.

use crate::{
    cells::{Cell, Domain},
    desired::Topology,
    flow::Network,
};

/// More instances on a host cost more, in so many levels.
const LEVELS: [u32; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, u32::MAX];

// What a unit costs, from what matters least to what matters most. Each is more than any way through the network can
// make up for with what is before it.
const PENALTY: i64 = 1 << 4;
const UNEVEN: i64 = 1 << 15;
const REPLACED: i64 = 1 << 24;
const KEPT: i64 = 1 << 36;
const LEAST: i64 = 1 << 50;

/// How many instances may stay in a cell, be replaced there, and be put there, by level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    kept: [u64; LEVELS.len()],
    replaced: [u64; LEVELS.len()],
    more: [u64; LEVELS.len()],
}

/// How many instances each cell has.
#[derive(Debug)]
pub(crate) struct Apportioned {
    /// By cell.
    pub(crate) cells: Vec<u32>,
    /// By part.
    pub(crate) parts: Vec<u32>,
    /// By domain.
    pub(crate) domains: Vec<u32>,
}

impl Room {
    /// Adds a host where `kept` stay, `replaced` give way to others, and `more` can be put.
    pub(crate) fn add(&mut self, kept: u32, replaced: u32, more: u32) {
        let mut from = 0u32;
        let kinds =
            [(&mut self.kept, kept), (&mut self.replaced, replaced), (&mut self.more, more)];
        for (levels, count) in kinds {
            let to = from.saturating_add(count);
            let mut low = 0;
            for (level, high) in levels.iter_mut().zip(LEVELS) {
                *level += u64::from(to.min(high).saturating_sub(from.max(low)));
                low = high;
            }
            from = to;
        }
    }

    /// Whether so many instances could be put on hosts without any: more room makes no difference.
    pub(crate) fn has_cheapest(&self, instances: u32) -> bool {
        self.more[0] >= u64::from(instances)
    }

    fn kept(&self) -> u64 {
        self.kept.iter().chain(&self.replaced).sum()
    }

    fn all(&self) -> u64 {
        self.kept() + self.more.iter().sum::<u64>()
    }
}

/// Apportions instances to cells. `wanted` is by part; `even`: more on one host cost more.
pub(crate) fn apportion(
    wanted: &[u32],
    cells: &[Cell],
    rooms: &[Room],
    domains: &[Domain],
    topology: Option<&Topology>,
    even: bool,
) -> Apportioned {
    let Some(topology) = topology else { return flow(wanted, cells, rooms, &[], even).0 };
    let skew = topology.max_skew.max(1);
    let all: u64 = wanted.iter().map(|wanted| u64::from(*wanted)).sum();
    let counting = domains.iter().filter(|domain| domain.counts).count().max(1) as u64;
    let share = all / counting;
    if !topology.required {
        let even_share = all.div_ceil(counting);
        let edges = vec![(even_share, 0), (skew.into(), UNEVEN), (u64::MAX >> 8, 2 * UNEVEN)];
        return flow(wanted, cells, rooms, &vec![edges; domains.len()], even).0;
    }
    // A domain has between the least and that plus the skew. Which least keeps the most is tried: not more than its
    // share, and not so few that all together are too few.
    let mut kept_and_all = vec![(0, 0); domains.len()];
    for (cell, room) in cells.iter().zip(rooms) {
        if let Some(domain) = cell.domain {
            kept_and_all[domain].0 += room.kept();
            kept_and_all[domain].1 += room.all();
        }
    }
    let counted = || kept_and_all.iter().zip(domains).filter(|(_, domain)| domain.counts);
    let emptiest = counted().map(|((kept, _), _)| *kept).min().unwrap_or(0);
    let possible = counted().map(|((_, all), _)| *all).min().unwrap_or(0);
    let highest = share.min(possible);
    let lowest = share.saturating_sub(skew.into()).min(highest);
    let mut tried = vec![emptiest.clamp(lowest, highest)];
    tried.extend((lowest..=highest).rev().take(3));
    let mut best: Option<(u64, i128, Apportioned)> = None;
    for mut least in tried {
        let (found, total, cost) = loop {
            let bounds = domains.iter().map(|domain| {
                let low = if domain.counts { least } else { 0 };
                vec![(low, -LEAST), (least + u64::from(skew) - low, 0)]
            });
            let (found, cost) = flow(wanted, cells, rooms, &bounds.collect::<Vec<_>>(), even);
            let total: u64 = found.cells.iter().map(|count| u64::from(*count)).sum();
            let reached = found.domains.iter().zip(domains).filter(|(_, domain)| domain.counts);
            let reached = reached.map(|(count, _)| u64::from(*count)).min().unwrap_or(least);
            if reached >= least {
                // What bounds the domains below is not a cost to compare.
                let bounded = i128::from(least) * i128::from(counting) * i128::from(LEAST);
                break (found, total, cost.saturating_add(bounded));
            }
            least = reached;
        };
        if best
            .as_ref()
            .is_none_or(|(most, least, _)| total > *most || total == *most && cost < *least)
        {
            best = Some((total, cost, found));
        }
    }
    match best {
        Some((_, _, found)) => found,
        None => flow(wanted, cells, rooms, &[], even).0,
    }
}

/// The flow, and its cost. `bounds`: what each domain may have, in steps with a cost each.
fn flow(
    wanted: &[u32],
    cells: &[Cell],
    rooms: &[Room],
    bounds: &[Vec<(u64, i64)>],
    even: bool,
) -> (Apportioned, i128) {
    let (source, sink) = (0, 1);
    let part = |at: usize| 2 + at;
    let cell = |at: usize| 2 + wanted.len() + at;
    let domain = |at: usize| 2 + wanted.len() + cells.len() + at;
    let mut network = Network::new(2 + wanted.len() + cells.len() + bounds.len());
    let mut priced: Vec<(usize, i64)> = Vec::new();
    let mut parts = Vec::with_capacity(wanted.len());
    for (at, wanted) in wanted.iter().enumerate() {
        parts.push(network.edge(source, part(at), u64::from(*wanted), 0));
    }
    let mut edges: Vec<Vec<usize>> = Vec::with_capacity(cells.len());
    for (at, (one, room)) in cells.iter().zip(rooms).enumerate() {
        for in_part in &one.parts {
            network.edge(part(*in_part), cell(at), u64::MAX >> 8, 0);
        }
        let bounded = one.domain.filter(|_| !bounds.is_empty());
        let to = bounded.map_or(sink, domain);
        let outside = if !bounds.is_empty() && bounded.is_none() { 3 * UNEVEN } else { 0 };
        let mut out = Vec::new();
        let penalty = i64::from(one.penalty) * PENALTY + outside;
        let kinds = [(&room.kept, -KEPT), (&room.replaced, -REPLACED), (&room.more, penalty)];
        for (levels, cost) in kinds {
            for (level, capacity) in (0i64..).zip(levels).filter(|(_, capacity)| **capacity > 0) {
                let cost = if even { cost + level } else { cost };
                let edge = network.edge(cell(at), to, *capacity, cost);
                priced.push((edge, cost));
                out.push(edge);
            }
        }
        edges.push(out);
    }
    let mut through: Vec<Vec<usize>> = Vec::with_capacity(bounds.len());
    for (at, steps) in bounds.iter().enumerate() {
        let steps = steps.iter().filter(|(capacity, _)| *capacity > 0).map(|(capacity, cost)| {
            let edge = network.edge(domain(at), sink, *capacity, *cost);
            priced.push((edge, *cost));
            edge
        });
        through.push(steps.collect());
    }
    network.fill(source, sink);
    let carried = |edges: &[usize]| {
        let sum: u64 = edges.iter().map(|edge| network.carried(*edge)).sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    };
    let price = |(edge, cost): &(usize, i64)| {
        i128::from(*cost).saturating_mul(i128::from(network.carried(*edge)))
    };
    let cost = priced.iter().map(price).fold(0, i128::saturating_add);
    let found = Apportioned {
        cells: edges.iter().map(|edges| carried(edges)).collect(),
        parts: parts.iter().map(|edge| carried(&[*edge])).collect(),
        domains: through.iter().map(|edges| carried(edges)).collect(),
    };
    (found, cost)
}
