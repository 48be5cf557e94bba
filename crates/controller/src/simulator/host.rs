//! Hosts: they do what they are told some time later, and say what they run.

use std::collections::BTreeMap;

use reef_lattice::{
    Change,
    record::{Assignment, Heartbeat, Measured, Reported, Trouble, decode},
};
use reef_planner::{Id, Resources, WorkloadKey};

use super::{Event, Link, World, store::Watcher};
use crate::core::Name;

pub(super) type Slot = (WorkloadKey, u64);

pub(super) const MIB: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Host {
    pub(super) id: String,
    pub(super) zone: &'static str,
    pub(super) capacity: Resources,
    pub(super) alive: bool,
    pub(super) boot: u64,
    sequence: u64,
    /// The store's revision, and the term, of the assignment that it follows.
    followed: u64,
    term: u64,
    /// Whether there is an assignment, as the store tells it anew.
    seen: bool,
    /// What it was told last; kept over a restart.
    pub(super) told: BTreeMap<Slot, u32>,
    pub(super) running: BTreeMap<Slot, Running>,
    pub(super) bus_out: u32,
    pub(super) link: Link,
    pub(super) unready_until: u64,
    /// When it last said how it is, where controllers could hear it.
    pub(super) said: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Running {
    pub(super) instances: u32,
    pub(super) ready: u32,
    crashes: u32,
}

impl Host {
    pub(super) fn new(at: usize, zone: &'static str, size: u64) -> Self {
        Self {
            id: format!("h{at}"),
            zone,
            capacity: Resources::new(size * 64 * MIB, 4000),
            alive: false,
            boot: 0,
            sequence: 0,
            followed: 0,
            term: 0,
            seen: false,
            told: BTreeMap::new(),
            running: BTreeMap::new(),
            bus_out: 0,
            link: Link::default(),
            unready_until: 0,
            said: 0,
        }
    }
}

/// A revision whose digest says so never becomes ready.
fn is_bad(world: &World, (workload, revision): &Slot) -> bool {
    let app = crate::core::AppKey::of(workload);
    let record = world.store.get(&Name::Revision(app, *revision));
    record.is_some_and(|(value, _)| {
        let text = std::str::from_utf8(value).unwrap_or_default();
        text.contains(super::scenario::BAD)
    })
}

impl World {
    pub(super) fn start_host(&mut self, at: usize) {
        let boot = self.random.u64(..);
        let host = &mut self.hosts[at];
        if host.alive {
            return;
        }
        (host.alive, host.boot, host.sequence, host.followed) = (true, boot, 0, 0);
        host.running.clear();
        let id = host.id.clone();
        self.say(|| format!("host {id} starts"));
        if self.hosts[at].link.inward > 0 {
            self.follow(at);
        } else {
            self.watch_anew(Watcher::Host(at));
        }
        self.at(self.now + 1, Event::Beat(at));
    }

    pub(super) fn crash_host(&mut self, at: usize) {
        self.hosts[at].alive = false;
        self.hosts[at].running.clear();
        // An old beat is not to begin another row of them.
        self.events.retain(|_, event| !matches!(event, Event::Beat(one) if *one == at));
    }

    pub(super) fn beat(&mut self, at: usize, left: bool) {
        let host = &mut self.hosts[at];
        host.sequence += 1;
        let placements = host.running.iter().filter(|_| !left).map(|(slot, running)| Reported {
            workload: slot.0.clone(),
            revision: slot.1,
            instances: running.instances,
            ready: running.ready,
            requests: Resources::new(64 * MIB, 100),
            trouble: (running.crashes > 0).then(|| Trouble {
                message: "it trapped".into(),
                crashes: running.crashes,
                ago: 10,
            }),
            measured: Measured::default(),
        });
        let beat = Heartbeat {
            host: host.id.clone(),
            name: format!("{}-name", host.id),
            boot: host.boot,
            sequence: host.sequence,
            version: "0".into(),
            labels: [("zone".to_owned(), host.zone.to_owned())].into(),
            capacity: host.capacity,
            load: Resources::default(),
            http: None,
            up: 0,
            left,
            leaving: false,
            assignment: host.followed,
            routed: 0,
            missing: Vec::new(),
            placements: placements.collect(),
        };
        if host.bus_out > 0 {
            return;
        }
        host.said = self.now;
        for to in 0..self.controllers.len() {
            if self.controllers[to].bus_in > 0 {
                continue;
            }
            let faulty = self.now < self.scenario.end();
            let copies = match self.random.u32(..100) {
                chance if faulty && chance < self.scenario.loss => 0,
                chance if faulty && chance > 100 - self.scenario.twice => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let due = self.now + self.delay();
                let start = self.controllers[to].start;
                self.at(due, Event::Heard(to, start, Box::new(beat.clone())));
            }
        }
    }

    /// The store tells a host something.
    pub(super) fn told(&mut self, at: usize, change: &Change) {
        let host = &mut self.hosts[at];
        if !host.alive {
            return;
        }
        let own = Name::Want(Id::from(&host.id));
        match change {
            Change::Anew => host.seen = false,
            Change::Current if !host.seen => {
                host.told.clear();
                self.follow(at);
            }
            Change::Put(entry) if Name::of(&entry.key).as_ref() == Some(&own) => {
                host.seen = true;
                let Ok(assignment) = decode::<Assignment>("it", &entry.value) else { return };
                if entry.revision <= host.followed || assignment.term < host.term {
                    return;
                }
                (host.followed, host.term) = (entry.revision, assignment.term);
                let counts = assignment.workloads.into_iter();
                host.told =
                    counts.map(|one| ((one.workload, one.revision), one.instances)).collect();
                self.follow(at);
            }
            Change::Deleted(key, _) if Name::of(key) == Some(own) => {
                host.told.clear();
                self.follow(at);
            }
            _ => {}
        }
    }

    fn follow(&mut self, at: usize) {
        let boot = self.hosts[at].boot;
        let told = self.hosts[at].told.clone();
        let unready = self.now < self.hosts[at].unready_until;
        let mut later = Vec::new();
        for (slot, count) in &told {
            let running = self.hosts[at].running.entry(slot.clone()).or_default();
            if running.instances != *count {
                running.instances = running.instances.max(*count);
                running.ready = running.ready.min(*count);
                later.push((slot.clone(), !unready));
            }
        }
        for (slot, running) in &mut self.hosts[at].running {
            if !told.contains_key(slot) {
                running.ready = 0;
                later.push((slot.clone(), false));
            }
        }
        for (slot, is_start) in later {
            if is_start {
                let due = self.now + self.random.u64(5..200);
                self.at(due, Event::Ready(at, boot, slot.clone()));
            }
            let due = self.now + self.random.u64(1..100);
            self.at(due, Event::Stopped(at, boot, slot));
        }
        let id = self.hosts[at].id.clone();
        self.say(|| format!("host {id} follows {}", show(&told)));
        self.beat(at, false);
    }

    pub(super) fn ready(&mut self, at: usize, boot: u64, slot: &Slot) {
        let bad = is_bad(self, slot);
        let host = &mut self.hosts[at];
        if host.boot != boot || !host.alive || self.now < host.unready_until {
            return;
        }
        let Some(told) = host.told.get(slot).copied() else { return };
        let Some(running) = host.running.get_mut(slot) else { return };
        if bad {
            running.crashes = 1;
        } else {
            running.ready = told.min(running.instances);
        }
        self.beat(at, false);
    }

    pub(super) fn stopped(&mut self, at: usize, boot: u64, slot: &Slot) {
        let host = &mut self.hosts[at];
        if host.boot != boot || !host.alive {
            return;
        }
        let told = host.told.get(slot).copied().unwrap_or(0);
        match host.running.get_mut(slot) {
            Some(running) if told > 0 => {
                running.instances = told;
                running.ready = running.ready.min(told);
            }
            Some(_) => drop(host.running.remove(slot)),
            None => return,
        }
        self.beat(at, false);
    }

    /// Nothing on a host does work for a while.
    pub(super) fn unready(&mut self, at: usize, lasts: u64) {
        let host = &mut self.hosts[at];
        host.unready_until = self.now + lasts;
        host.running.values_mut().for_each(|running| running.ready = 0);
        if host.alive {
            self.beat(at, false);
        }
    }

    pub(super) fn warm(&mut self, at: usize) {
        let boot = self.hosts[at].boot;
        for slot in self.hosts[at].told.keys().cloned().collect::<Vec<_>>() {
            self.at(self.now + 10, Event::Ready(at, boot, slot));
        }
    }
}

fn show(told: &BTreeMap<Slot, u32>) -> String {
    let all =
        told.iter().map(|((workload, revision), count)| format!("{workload}@{revision}: {count}"));
    all.collect::<Vec<_>>().join(", ")
}
