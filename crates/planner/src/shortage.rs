//! What the hosts lack, where instances have none.

use std::collections::BTreeMap;

use crate::{
    cells::{Cell, Domain, allowed},
    desired::{Rules, Spread},
    hosts::{Hosts, Standing},
    id::Id,
    place::Ask,
    reason::Shortage,
};

/// What was planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) targets: &'a BTreeMap<u32, u32>,
    pub(crate) cells: &'a [Cell],
    pub(crate) domains: &'a [Domain],
}

/// Why `missing` instances of a part have no host.
pub(crate) fn shortage(
    hosts: &Hosts,
    ask: &Ask<'_>,
    part: Option<&Spread>,
    missing: u32,
    held: &Held<'_>,
) -> Shortage {
    let rules = Rules { spread: part.cloned().into_iter().collect(), ..ask.rules.clone() };
    let matching = allowed(hosts, &rules, hosts.all());
    let mut found = Shortage {
        spread: part.map_or_else(|| Id::from(""), |part| part.name.clone()),
        requirements: part.map(|part| part.requirements.clone()).unwrap_or_default(),
        requests: ask.requests,
        missing,
        hosts: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
        ..Shortage::default()
    };
    let limit = ask.rules.per_host.unwrap_or(u32::MAX);
    for host in matching.iter() {
        found.matching += 1;
        let count = *held.targets.get(&host).unwrap_or(&0);
        let free = hosts.free(host).minus(ask.requests.times(count.into()));
        let lacking = match hosts.standing(host) {
            Standing::Cordoned | Standing::Leaving => &mut found.closed,
            Standing::Silent | Standing::Lost => &mut found.silent,
            Standing::Open if count >= limit => &mut found.full,
            Standing::Open if free.memory < ask.requests.memory => &mut found.memory,
            Standing::Open if free.cpu < ask.requests.cpu => &mut found.cpu,
            Standing::Open if ask.reserves(host) => &mut found.surge,
            Standing::Open => &mut found.skew,
        };
        *lacking += 1;
    }
    if found.skew > 0 && ask.rules.topology.as_ref().is_some_and(|topology| topology.required) {
        let mut counts = vec![0u32; held.domains.len()];
        for (host, count) in held.targets {
            let cell = held.cells.iter().find(|cell| cell.hosts.contains(*host));
            if let Some(domain) = cell.and_then(|cell| cell.domain) {
                counts[domain] += count;
            }
        }
        let counted = counts.iter().zip(held.domains).filter(|(_, domain)| domain.counts);
        found.domain =
            counted.min_by_key(|(count, _)| **count).map(|(_, domain)| domain.name.clone());
    } else {
        found.skew = 0;
    }
    found
}
