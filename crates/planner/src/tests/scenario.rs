//! What may happen to a lattice.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    world::{Network, World},
    *,
};
use crate::{Amount, Host, Labels, Packing, Quota, Rollout, Schedule, Strategy as Steps};

const HOSTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What happens between two looks.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Quiet(u64),
    Crash(usize),
    Back(usize, bool),
    Schedule(usize, Schedule),
    Label(usize, usize),
    Want(usize, Box<Workload>),
    Revise(usize, u64, u64),
    Drop(usize),
    Crashing(usize, u64),
}

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) hosts: Vec<(usize, u64)>,
    pub(super) workloads: Vec<Workload>,
    pub(super) quota: Option<u64>,
    pub(super) events: Vec<Event>,
    pub(super) loss: u32,
    pub(super) twice: u32,
    pub(super) delay: u64,
    pub(super) seed: u64,
}

pub(super) fn zone(at: usize) -> Labels {
    labels(["zone=a disk=ssd", "zone=b disk=ssd", "zone=c", "disk=ssd"][at % 4])
}

fn rules() -> impl Strategy<Value = Rules> {
    let spread = prop_oneof![
        3 => Just(Vec::new()),
        1 => (0u32..4, 0u32..4, 0u32..4).prop_map(|(a, b, c)| {
            vec![part("a", "zone=a", a), part("b", "zone=b", b), part("any", "", c)]
        }),
        1 => (1u32..4, 1u32..4).prop_map(|(a, b)| vec![part("ssd", "disk=ssd", a), part("b", "zone=b", b)]),
    ];
    let topology = prop_oneof![
        3 => Just(None),
        1 => (1u32..3, any::<bool>()).prop_map(|(skew, required)| zones(skew, required)),
    ];
    let required = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec![one_of("disk", &["ssd"])]),
        1 => Just(vec![Constraint::NotIn("zone".into(), BTreeSet::from(["c".into()]))]),
    ];
    let preferred = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec![(Constraint::Exists("disk".into()), 5), (one_of("zone", &["b"]), 1)]),
    ];
    let packing = prop_oneof![3 => Just(Packing::Even), 1 => Just(Packing::BinPack)];
    let per_host = prop_oneof![4 => Just(None), 1 => (1u32..4).prop_map(Some)];
    (spread, required, preferred, topology, per_host, packing).prop_map(
        |(spread, required, preferred, topology, per_host, packing)| Rules {
            spread,
            required,
            preferred,
            topology,
            per_host,
            packing,
        },
    )
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![(0u32..3).prop_map(Amount::Count), (0u32..60).prop_map(Amount::Percent)]
}

fn steps() -> impl Strategy<Value = Steps> {
    let hold = std::time::Duration::from_millis(500);
    prop_oneof![
        1 => Just(Steps::AllAtOnce),
        4 => (amount(), amount())
            .prop_map(|(max_unavailable, max_surge)| Steps::Rolling { max_unavailable, max_surge }),
        1 => Just(Steps::BlueGreen { hold }),
        1 => prop::collection::vec(0u32..120, 0..3).prop_map(move |weights| {
            let steps = weights.into_iter().map(|weight| crate::CanaryStep { weight, hold });
            Steps::Canary { steps: steps.collect() }
        }),
    ]
}

pub(super) fn some_workload() -> impl Strategy<Value = Workload> {
    let scale = prop_oneof![5 => (0u32..12).prop_map(Scale::Instances), 1 => (1u32..3).prop_map(Scale::Daemon)];
    let missing = prop_oneof![2 => Just(None), 1 => amount().prop_map(Some)];
    (scale, rules(), steps(), missing, 0i32..2, 1u64..4).prop_map(
        |(scale, rules, strategy, max_unavailable, priority, size)| {
            let mut revision = revision(1);
            revision.requests.memory *= size;
            let rollout = Rollout { strategy, ..Rollout::default() };
            Workload { rules, rollout, max_unavailable, priority, ..Workload::new(revision, scale) }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let host = 0..HOSTS.len();
    let workload = 0usize..3;
    let schedule =
        prop_oneof![Just(Schedule::Open), Just(Schedule::Cordoned), Just(Schedule::Draining),];
    prop_oneof![
        4 => (1u64..15).prop_map(Event::Quiet),
        1 => host.clone().prop_map(Event::Crash),
        2 => (host.clone(), any::<bool>()).prop_map(|(host, empty)| Event::Back(host, empty)),
        2 => (host.clone(), schedule).prop_map(|(host, schedule)| Event::Schedule(host, schedule)),
        1 => (host, 0usize..4).prop_map(|(host, labels)| Event::Label(host, labels)),
        1 => (workload.clone(), some_workload()).prop_map(|(at, one)| Event::Want(at, Box::new(one))),
        3 => (workload.clone(), 1u64..5, 1u64..4).prop_map(|(at, number, size)| Event::Revise(at, number, size)),
        1 => workload.clone().prop_map(Event::Drop),
        1 => (workload, 1u64..5).prop_map(|(at, number)| Event::Crashing(at, number)),
    ]
}

pub(super) fn scenario() -> impl Strategy<Value = Scenario> {
    (
        prop::collection::vec((0usize..4, 4u64..20), 0..HOSTS.len()),
        prop::collection::vec(some_workload(), 0..3),
        prop_oneof![3 => Just(None), 1 => (0u64..20).prop_map(Some)],
        prop::collection::vec(event(), 0..8),
        prop_oneof![Just(0u32), 0u32..50],
        prop_oneof![Just(0u32), 0u32..50],
        prop_oneof![Just(0u64), 0u64..6],
        any::<u64>(),
    )
        .prop_map(|(hosts, workloads, quota, events, loss, twice, delay, seed)| Scenario {
            hosts,
            workloads,
            quota,
            events,
            loss,
            twice,
            delay,
            seed,
        })
}

pub(super) fn name(at: usize) -> WorkloadKey {
    key(["one", "two", "three"][at % 3])
}

pub(super) fn begin(scenario: &Scenario) -> World {
    let hosts = HOSTS.iter().zip(&scenario.hosts).map(|(id, (labels, size))| {
        let capacity = Resources::new(size * 64 * MIB, 2000);
        (Id::from(id), Host { labels: zone(*labels), capacity, ..Host::default() })
    });
    let workloads = scenario.workloads.iter().cloned().enumerate();
    let mut desired = Desired {
        workloads: workloads.map(|(at, one)| (name(at), one)).collect(),
        ..Desired::default()
    };
    if scenario.quota.is_some() {
        let quota = Quota { instances: scenario.quota, ..Quota::default() };
        desired.quotas.insert("default".into(), quota);
    }
    let mut world = World::new(desired, Observed { hosts: hosts.collect(), ..Observed::default() });
    let Scenario { loss, twice, delay, .. } = *scenario;
    world.network = Network { loss, twice, delay };
    world.seed(scenario.seed);
    world
}

/// Lets something happen, and time pass; `look` is at each moment of it.
pub(super) fn happen(world: &mut World, event: &Event, look: fn(&World)) {
    match event {
        Event::Quiet(_) => {}
        Event::Crash(host) => world.crash(HOSTS[*host]),
        Event::Back(host, empty) => world.come_back(HOSTS[*host], *empty),
        Event::Schedule(host, schedule) => {
            if let Some(host) = world.observed.hosts.get_mut(HOSTS[*host]) {
                host.schedule = *schedule;
            }
        }
        Event::Label(host, labels) => {
            if let Some(host) = world.observed.hosts.get_mut(HOSTS[*host]) {
                host.labels = zone(*labels);
            }
        }
        Event::Want(at, workload) => {
            let revision = world.desired.workloads.get(&name(*at)).map(|one| one.revision.clone());
            let mut workload = (**workload).clone();
            workload.revision = revision.unwrap_or(workload.revision);
            world.desired.workloads.insert(name(*at), workload);
        }
        Event::Revise(at, number, size) => {
            let workload = world.desired.workloads.get_mut(&name(*at));
            if let Some(workload) = workload {
                let mut next = revision(workload.revision.number + number);
                next.requests.memory *= size;
                workload.previous = Some(std::mem::replace(&mut workload.revision, next));
                world.observed.rollouts.remove(&name(*at));
            }
        }
        Event::Drop(at) => {
            world.desired.workloads.remove(&name(*at));
            world.observed.weights.remove(&name(*at));
            world.observed.rollouts.remove(&name(*at));
        }
        Event::Crashing(at, number) => {
            world.crashing.insert((name(*at), *number));
        }
    }
    (0..if let Event::Quiet(ticks) = event { *ticks } else { 1 }).for_each(|_| {
        world.tick();
        look(world);
    });
}
