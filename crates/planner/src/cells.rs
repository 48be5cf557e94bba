//! Hosts that the rules of a workload do not tell apart.

use std::collections::BTreeMap;

use crate::{
    bits::Bits,
    desired::{Rules, Topology},
    hosts::Hosts,
    id::Id,
};

/// Penalties of all preferences together are at most this.
const MOST_PENALTY: u32 = 1000;

/// Hosts that the rules of a workload do not tell apart.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) hosts: Bits,
    /// The parts of the spread that they are in, by their places there; of a workload without parts, the one.
    pub(crate) parts: Vec<usize>,
    /// Weights of the preferences that they do not satisfy.
    pub(crate) penalty: u32,
    /// The failure domain, by its place.
    pub(crate) domain: Option<usize>,
}

/// A failure domain.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) name: Id,
    /// Whether the others are held back when it is behind: whether some host of it takes instances.
    pub(crate) counts: bool,
}

/// The hosts that the rules allow: labels, constraints, and parts of the spread.
pub(crate) fn allowed(hosts: &Hosts, rules: &Rules, among: &Bits) -> Bits {
    let mut allowed = among.clone();
    for constraint in &rules.required {
        allowed.intersect(&hosts.satisfying(constraint));
    }
    if let Some(topology) = rules.topology.as_ref().filter(|topology| topology.required) {
        let mut labelled = Bits::none(hosts.len());
        hosts.values(&topology.label).for_each(|(_, with)| labelled.unite(with));
        allowed.intersect(&labelled);
    }
    if !rules.spread.is_empty() {
        let mut some = Bits::none(hosts.len());
        for part in &rules.spread {
            let mut matching = allowed.clone();
            hosts.keep_labelled(&part.requirements, &mut matching);
            some.unite(&matching);
        }
        allowed = some;
    }
    allowed
}

/// The hosts `among` some that the rules allow, by what the rules say of them.
pub(crate) fn cells(hosts: &Hosts, rules: &Rules, among: &Bits) -> (Vec<Cell>, Vec<Domain>) {
    let all = allowed(hosts, rules, among);
    let parts = if rules.spread.is_empty() { vec![0] } else { Vec::new() };
    let mut cells = vec![Cell { hosts: all, parts, penalty: 0, domain: None }];
    for (at, part) in rules.spread.iter().enumerate() {
        let mut matching = among.clone();
        hosts.keep_labelled(&part.requirements, &mut matching);
        split(&mut cells, &matching, |cell, inside| {
            if inside {
                cell.parts.push(at);
            }
        });
    }
    for (constraint, weight) in &rules.preferred {
        split(&mut cells, &hosts.satisfying(constraint), |cell, inside| {
            if !inside {
                cell.penalty = cell.penalty.saturating_add(*weight).min(MOST_PENALTY);
            }
        });
    }
    let domains = match &rules.topology {
        Some(topology) => by_domain(hosts, topology, &mut cells),
        None => Vec::new(),
    };
    cells.retain(|cell| !cell.hosts.is_empty());
    (cells, domains)
}

/// Splits each cell in those inside and outside of a set, as far as there are both.
fn split(cells: &mut Vec<Cell>, set: &Bits, mark: impl Fn(&mut Cell, bool)) {
    for mut cell in std::mem::take(cells) {
        let mut inside = cell.hosts.clone();
        inside.intersect(set);
        cell.hosts.subtract(set);
        if !inside.is_empty() {
            let mut one = Cell { hosts: inside, parts: cell.parts.clone(), ..cell };
            mark(&mut one, true);
            cells.push(one);
        }
        if !cell.hosts.is_empty() {
            mark(&mut cell, false);
            cells.push(cell);
        }
    }
}

/// Splits the cells by the values of a label. Without the label there is no domain.
fn by_domain(hosts: &Hosts, topology: &Topology, cells: &mut Vec<Cell>) -> Vec<Domain> {
    let mut found: BTreeMap<&Id, usize> = BTreeMap::new();
    let mut domains: Vec<Domain> = Vec::new();
    for mut cell in std::mem::take(cells) {
        for (name, with) in hosts.values(&topology.label) {
            let mut inside = cell.hosts.clone();
            inside.intersect(with);
            if inside.is_empty() {
                continue;
            }
            cell.hosts.subtract(&inside);
            let open = inside.meets(hosts.open());
            let domain = *found.entry(name).or_insert_with(|| {
                domains.push(Domain { name: name.clone(), counts: false });
                domains.len() - 1
            });
            domains[domain].counts |= open;
            let (parts, domain) = (cell.parts.clone(), Some(domain));
            cells.push(Cell { hosts: inside, parts, domain, ..cell });
        }
        cells.push(cell);
    }
    domains
}
