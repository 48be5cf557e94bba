//! What happens, by seed.

use std::{collections::BTreeMap, time::Duration};

use reef_lattice::record::{App, Head, Revision, Rollout, Scaled, Scheduling, decode, encode};
use reef_planner::{
    Amount, CanaryStep, Constraint, Id, Resources, RollbackCause, Schedule, Strategy, Time,
    Verdict, Workload,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{World, host::MIB, store::Watcher};
use crate::core::{AppKey, Name, Records};

pub(super) const APPS: [&str; 3] = ["one", "two", "three"];
pub(super) const WORKLOAD: &str = "web";
/// The digest of what never becomes ready.
pub(super) const BAD: &str = "sha256:bad";
/// How long a step of a rollout is held, in milliseconds.
pub(super) const HOLD: u64 = 400;
const ZONES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    /// Zones and sizes.
    pub(super) hosts: Vec<(&'static str, u64)>,
    pub(super) controllers: usize,
    pub(super) delay: u64,
    pub(super) loss: u32,
    pub(super) twice: u32,
    pub(super) ops: Vec<(u64, Op)>,
}

/// Something that a client does, or that goes wrong for some milliseconds.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Client(Client),
    CrashHost(usize, u64),
    LeaveHost(usize, u64),
    Unready(usize, u64),
    CrashController(usize, u64),
    StopController(usize, u64),
    Stall(usize, u64),
    /// Towards the store, from the store.
    CutStore(Watcher, bool, bool, u64),
    /// From a host, or to a controller.
    CutBus(Watcher, u64),
    Full(u64),
}

#[derive(Clone, Debug)]
pub(super) enum Client {
    Apply { app: usize, instances: u32, zone: Option<usize>, strategy: u32, bad: bool, same: bool },
    Scale(usize, Option<u32>),
    Delete(usize),
    Undeploy(usize),
    Schedule(usize, Schedule),
    Verdict(usize, Verdict),
}

impl Scenario {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let random = &mut random;
        let hosts: Vec<_> = (0..random.usize(1..6))
            .map(|_| (ZONES[random.usize(..3)], random.u64(3..12)))
            .collect();
        let controllers = random.usize(1..4);
        let mut ops: Vec<(u64, Op)> = Vec::new();
        // Most scenarios begin with something that is wanted.
        for app in 0..random.usize(1..3) {
            ops.push((random.u64(0..2000), Op::Client(apply(random, app))));
        }
        let until = random.u64(5_000..25_000);
        for _ in 0..random.usize(2..14) {
            let at = random.u64(1_000..until);
            ops.push((at, op(random, hosts.len(), controllers)));
        }
        ops.sort_by_key(|(at, _)| *at);
        let quiet = random.bool();
        Self {
            seed,
            hosts,
            controllers,
            delay: *pick(random, &[0, 2, 10, 60]),
            loss: if quiet { 0 } else { random.u32(..30) },
            twice: if quiet { 0 } else { random.u32(..30) },
            ops,
        }
    }

    /// When all is well again.
    pub(super) fn end(&self) -> u64 {
        self.ops.iter().map(|(at, op)| at + op.lasts()).max().unwrap_or(0) + 1000
    }
}

impl Op {
    fn lasts(&self) -> u64 {
        match self {
            Self::Client(_) => 0,
            Self::CrashHost(_, lasts)
            | Self::LeaveHost(_, lasts)
            | Self::Unready(_, lasts)
            | Self::CrashController(_, lasts)
            | Self::StopController(_, lasts)
            | Self::Stall(_, lasts)
            | Self::CutStore(_, _, _, lasts)
            | Self::CutBus(_, lasts)
            | Self::Full(lasts) => *lasts,
        }
    }

    /// Whether it keeps controllers from acting.
    pub(super) fn hinders(&self) -> bool {
        matches!(
            self,
            Self::CrashController(..)
                | Self::StopController(..)
                | Self::Stall(..)
                | Self::CutStore(Watcher::Controller(_), ..)
                | Self::CutBus(Watcher::Controller(_), _)
                | Self::Full(_)
        )
    }
}

fn pick<'a, T>(random: &mut fastrand::Rng, all: &'a [T]) -> &'a T {
    &all[random.usize(..all.len())]
}

fn apply(random: &mut fastrand::Rng, app: usize) -> Client {
    Client::Apply {
        app,
        instances: random.u32(0..8),
        zone: (random.u32(..4) == 0).then(|| random.usize(..3)),
        strategy: random.u32(..5),
        bad: random.u32(..8) == 0,
        same: random.u32(..5) == 0,
    }
}

fn op(random: &mut fastrand::Rng, hosts: usize, controllers: usize) -> Op {
    let (host, controller) = (random.usize(..hosts), random.usize(..controllers));
    let app = random.usize(..APPS.len());
    let lasts = *pick(random, &[200, 1_500, 4_000, 9_000]) + random.u64(..500);
    let watcher = match random.bool() {
        true => Watcher::Host(host),
        false => Watcher::Controller(controller),
    };
    match random.u32(..24) {
        0..=6 => Op::Client(apply(random, app)),
        7 => Op::Client(Client::Scale(app, Some(random.u32(..9)))),
        8 => Op::Client(Client::Delete(app)),
        9 => Op::Client(match random.bool() {
            true => Client::Undeploy(app),
            false => Client::Scale(app, None),
        }),
        10 | 11 => {
            let schedule = [Schedule::Open, Schedule::Cordoned, Schedule::Draining];
            Op::Client(Client::Schedule(host, *pick(random, &schedule)))
        }
        12 => {
            let verdicts =
                [Verdict::Paused, Verdict::Going, Verdict::RolledBack(RollbackCause::Aborted)];
            Op::Client(Client::Verdict(app, pick(random, &verdicts).clone()))
        }
        13 | 14 => Op::CrashHost(host, lasts),
        15 => Op::LeaveHost(host, lasts),
        16 => Op::Unready(host, lasts),
        17 | 18 => Op::CrashController(controller, lasts),
        19 => Op::StopController(controller, lasts),
        20 => Op::Stall(controller, lasts),
        21 => Op::CutStore(watcher, random.bool(), random.bool(), lasts),
        22 => Op::CutBus(watcher, lasts),
        _ => Op::Full(lasts),
    }
}

fn strategy(which: u32) -> Strategy {
    let hold = Duration::from_millis(HOLD);
    match which {
        0 => Strategy::AllAtOnce,
        1 => Strategy::BlueGreen { hold },
        2 => Strategy::Canary {
            steps: vec![CanaryStep { weight: 20, hold }, CanaryStep { weight: 60, hold }],
        },
        3 => Strategy::Rolling { max_unavailable: Amount::Count(1), max_surge: Amount::Count(0) },
        _ => Strategy::DEFAULT,
    }
}

impl World {
    pub(super) fn client(&mut self, what: &Client) {
        match what {
            Client::Apply { app, instances, zone, strategy: way, bad, same } => {
                let key = AppKey::new("default", APPS[*app]);
                if let Some((_, began)) = self.steps.get_mut(&key.workload(WORKLOAD)) {
                    // The step may have no time of its own any more.
                    *began = 0;
                }
                let mut record: App = self.record(&Name::App(key.clone())).unwrap_or_default();
                let number = record.next.max(1);
                let there = record.wanted.filter(|_| !record.deleted);
                let wanted = there.and_then(|wanted| {
                    self.record::<Revision>(&Name::Revision(key.clone(), wanted))
                });
                let before = wanted.as_ref().and_then(|one| one.workloads.get(WORKLOAD));
                let digest = if *bad { BAD.to_owned() } else { format!("sha256:{number}") };
                let new = reef_planner::Revision {
                    number,
                    digest: Id::from(digest),
                    requests: Resources::new(64 * MIB, 100),
                };
                let revision = match before.filter(|_| *same) {
                    Some(before) => before.revision.clone(),
                    None => new,
                };
                let scale = reef_planner::Scale::Instances(*instances);
                let mut workload = Workload::new(revision, scale);
                workload.rollout.strategy = strategy(*way);
                if let Some(zone) = zone {
                    let zones = [Id::from(ZONES[*zone])].into();
                    workload.rules.required = vec![Constraint::In("zone".into(), zones)];
                }
                let workloads = BTreeMap::from([(WORKLOAD.to_owned(), workload)]);
                let records = self.records();
                record.previous =
                    crate::api::previous_of(&records, &key, &record, wanted.as_ref(), &workloads);
                record.accepted = *app as u64 + 1;
                record.deleted = false;
                record.wanted = Some(number);
                record.next = number + 1;
                let cause = "test".to_owned();
                record.revisions.push(Head {
                    number,
                    version: None,
                    description: None,
                    at: Time(self.now),
                    cause,
                });
                let revision = Revision {
                    number,
                    application: serde_json::Value::Null,
                    values: BTreeMap::new(),
                    files: Vec::new(),
                    workloads,
                    autoscale: BTreeMap::new(),
                    percentiles: BTreeMap::new(),
                    manifest: None,
                    by: None,
                };
                self.acknowledged.insert(APPS[*app].to_owned(), Some(number));
                self.keep(&Name::Revision(key.clone(), number), Some(&revision));
                self.keep(&Name::App(key), Some(&record));
            }
            Client::Scale(app, instances) => {
                let key = AppKey::new("default", APPS[*app]);
                let record: Option<App> = self.record(&Name::App(key.clone()));
                if record.is_some_and(|record| record.wanted.is_some()) {
                    let name = Name::Scale(key.workload(WORKLOAD));
                    let scaled = instances.map(|instances| Scaled { instances });
                    self.keep(&name, scaled.as_ref());
                }
            }
            Client::Delete(app) | Client::Undeploy(app) => {
                let name = Name::App(AppKey::new("default", APPS[*app]));
                let Some(record) = self.record::<App>(&name).filter(|one| !one.deleted) else {
                    return;
                };
                let deleted = matches!(what, Client::Delete(_));
                let record = App { wanted: None, deleted, previous: BTreeMap::new(), ..record };
                self.acknowledged.insert(APPS[*app].to_owned(), None);
                self.keep(&name, Some(&record));
            }
            Client::Schedule(host, schedule) => {
                let name = Name::Scheduling(Id::from(&self.hosts[*host].id));
                let record = Scheduling { schedule: *schedule, leave: false };
                self.keep(&name, (*schedule != Schedule::Open).then_some(&record));
            }
            Client::Verdict(app, verdict) => {
                let key = AppKey::new("default", APPS[*app]);
                let name = Name::Rollout(key.workload(WORKLOAD));
                let Some(mut record) = self.record::<Rollout>(&name) else { return };
                let Some(state) = &mut record.state else { return };
                if matches!(state.verdict, Verdict::Going | Verdict::Paused) {
                    state.verdict = verdict.clone();
                    self.keep(&name, Some(&record));
                }
            }
        }
    }

    pub(super) fn record<T: DeserializeOwned>(&self, name: &Name) -> Option<T> {
        let (value, _) = self.store.get(name)?;
        decode("it", value).ok()
    }

    fn keep<T: Serialize>(&mut self, name: &Name, record: Option<&T>) {
        let Some(key) = name.key() else { return };
        if record.is_none() && !self.store.entries.contains_key(&key) {
            return;
        }
        self.put(key, record.and_then(|record| encode(record).ok()));
    }

    /// All records, as they are now.
    pub(super) fn records(&self) -> Records {
        let mut records = Records::default();
        records.take(&reef_lattice::Change::Anew);
        for (key, (value, revision)) in &self.store.entries {
            let (key, value, revision) = (key.clone(), value.clone(), *revision);
            records.take(&reef_lattice::Change::Put(reef_lattice::Entry { key, value, revision }));
        }
        records.take(&reef_lattice::Change::Current);
        records
    }
}
