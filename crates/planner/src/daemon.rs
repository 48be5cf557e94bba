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

/// How many hosts have a daemon: those that the rules allow, that take instances or have some.
pub(crate) fn hosts_of(hosts: &Hosts<'_>, ask: &Ask<'_>) -> Vec<u32> {
    let all = allowed(hosts, ask.rules, hosts.usable());
    let runs = |host: &u32| {
        ask.running.get(host).is_some_and(|running| match hosts.standing(*host) {
            Standing::Cordoned => running.wanted > 0,
            _ => running.wanted + running.replaced > 0,
        })
    };
    all.iter().filter(|host| hosts.standing(*host) == Standing::Open || runs(host)).collect()
}

/// Places `ask.instances` on each of those hosts, and `most` in all: those that have some come first.
pub(crate) fn place(hosts: &mut Hosts<'_>, ask: &Ask<'_>, most: u32) -> Placed {
    let mut all = hosts_of(hosts, ask);
    let wanted = u64::from(ask.instances) * all.len() as u64;
    let has = |host: &u32| ask.running.get(host).is_some_and(|one| one.wanted + one.replaced > 0);
    all.sort_by_key(|host| (!has(host), *host));
    let limit = ask.rules.per_host.unwrap_or(u32::MAX).min(ask.instances);
    let mut placed = Placed::default();
    let mut left = most;
    let mut without_room: Option<(u32, Id)> = None;
    for host in all {
        let running = ask.running.get(&host).copied().unwrap_or_default();
        let here = limit.min(left);
        let room = match hosts.standing(host) {
            Standing::Silent => here.min(running.wanted + running.replaced),
            Standing::Cordoned => here.min(running.wanted),
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
