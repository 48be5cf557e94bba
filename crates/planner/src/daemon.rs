//! Where the instances of a daemon are to be: so many on each host that the rules allow.

use crate::{
    cells::allowed,
    hosts::{Hosts, Standing},
    id::Id,
    place::{Ask, Placed},
    plan::SpreadStatus,
    reason::Reason,
    resources::Resources,
};

/// How many instances each host is to have: as many as are wanted, where it takes new ones, and else those that it has.
pub(crate) fn wanted(hosts: &Hosts, ask: &Ask<'_>) -> Vec<(u32, u32)> {
    let limit = ask.rules.per_host.unwrap_or(u32::MAX).min(ask.instances);
    let here = |host: u32| {
        let running = ask.running.get(&host).copied().unwrap_or_default();
        match hosts.standing(host) {
            Standing::Open => limit,
            Standing::Cordoned => running.wanted.min(limit),
            Standing::Silent => (running.wanted + running.replaced).min(limit),
            Standing::Leaving | Standing::Lost => 0,
        }
    };
    let all = allowed(hosts, ask.rules, hosts.usable());
    all.iter().map(|host| (host, here(host))).filter(|(_, here)| *here > 0).collect()
}

/// Places them, and `most` in all: hosts that have some come first.
pub(crate) fn place(hosts: &mut Hosts, ask: &Ask<'_>, most: u32) -> Placed {
    let mut all = wanted(hosts, ask);
    let wanted: u64 = all.iter().map(|(_, here)| u64::from(*here)).sum();
    let has = |host: &u32| ask.running.get(host).is_some_and(|one| one.wanted + one.replaced > 0);
    all.sort_by_key(|(host, _)| (!has(host), *host));
    let mut placed = Placed::default();
    let mut left = most;
    let mut without_room: Option<(u32, Id)> = None;
    for (host, here) in all {
        let here = here.min(left);
        let room = match hosts.standing(host) {
            Standing::Silent => here,
            _ => hosts.free(host).room(ask.requests, here),
        };
        if room < here && hosts.standing(host) == Standing::Open {
            let (hosts_without, _) =
                without_room.get_or_insert_with(|| (0, hosts.id(host).clone()));
            *hosts_without += 1;
        }
        left -= room;
        if room > 0 {
            hosts.change(host, Resources::default(), ask.requests.times(room.into()));
            placed.targets.insert(host, room);
        }
    }
    if let Some((count, example)) = without_room {
        let requests = ask.requests;
        placed.reasons.push(Reason::DaemonWithoutRoom { hosts: count, example, requests });
    }
    placed.able = placed.targets.values().sum();
    placed.spread.push(SpreadStatus {
        name: "".into(),
        wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
        placed: placed.able,
    });
    placed
}
