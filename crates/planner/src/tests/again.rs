//! Planning again is planning anew: whatever changes, a planner that was told of it plans what one would that sees
//! everything for the first time.

use proptest::prelude::*;

use super::{
    properties::cases,
    scenario::{some_workload, zone},
    *,
};
use crate::{Action, Changed, Crashes, Measure, Planner, Quota, Reach, Schedule, Verdict, plan};

const HOSTS: usize = 8;
const WORKLOADS: usize = 6;

/// What may change between two plans.
#[derive(Clone, Debug)]
enum Change {
    Join(usize, usize, u64),
    Gone(usize),
    Label(usize, usize),
    Capacity(usize, u64),
    Schedule(usize, Schedule),
    Silent(usize),
    Heard(usize),
    Runs(usize, usize, u64, u32, u32, u64),
    Want(usize, Box<Workload>),
    Revise(usize, u64),
    Age(usize, u64),
    Drop(usize),
    Crashed(usize, u32),
    Measured(usize, u64),
    Paused(usize),
    Quota(usize, Option<u64>),
    Wait(u64),
    /// What is planned is done, and ready.
    Done,
    /// That, and again, until nothing is left to do.
    Settled,
}

fn change() -> impl Strategy<Value = Change> {
    let host = 0..HOSTS;
    let workload = 0..WORKLOADS;
    let schedule = prop_oneof![
        Just(Schedule::Open),
        Just(Schedule::Cordoned),
        Just(Schedule::Draining),
        Just(Schedule::Drained)
    ];
    prop_oneof![
        3 => (host.clone(), 0usize..4, 0u64..30).prop_map(|(at, labels, size)| Change::Join(at, labels, size)),
        2 => host.clone().prop_map(Change::Gone),
        1 => (host.clone(), 0usize..4).prop_map(|(at, labels)| Change::Label(at, labels)),
        1 => (host.clone(), 0u64..30).prop_map(|(at, size)| Change::Capacity(at, size)),
        2 => (host.clone(), schedule).prop_map(|(at, schedule)| Change::Schedule(at, schedule)),
        2 => host.clone().prop_map(Change::Silent),
        2 => host.clone().prop_map(Change::Heard),
        1 => (host, workload.clone(), 1u64..3, 0u32..4, 0u32..4, 1u64..3)
            .prop_map(|(at, of, number, count, ready, size)| Change::Runs(at, of, number, count, ready, size)),
        3 => (workload.clone(), some_workload()).prop_map(|(at, one)| Change::Want(at, Box::new(one))),
        1 => (workload.clone(), 1u64..4).prop_map(|(at, size)| Change::Revise(at, size)),
        1 => (workload.clone(), 0u64..3).prop_map(|(at, age)| Change::Age(at, age)),
        1 => workload.clone().prop_map(Change::Drop),
        1 => (workload.clone(), 0u32..3).prop_map(|(at, count)| Change::Crashed(at, count)),
        1 => (workload.clone(), 0u64..100).prop_map(|(at, errors)| Change::Measured(at, errors)),
        1 => workload.clone().prop_map(Change::Paused),
        1 => (0usize..2, prop::option::of(0u64..20)).prop_map(|(at, most)| Change::Quota(at, most)),
        2 => (0u64..8000).prop_map(Change::Wait),
        2 => Just(Change::Done),
        4 => Just(Change::Settled),
    ]
}

fn id(at: usize) -> Id {
    Id::from(format!("host-{at}"))
}

fn namespace(at: usize) -> &'static str {
    ["default", "other"][at % 2]
}

fn name(at: usize) -> WorkloadKey {
    WorkloadKey::new(namespace(at), "app", format!("{at}"))
}

/// A lattice that is looked at again and again.
#[derive(Default)]
struct Lattice {
    desired: Desired,
    observed: Observed,
    now: u64,
    before: (Desired, Observed),
    planner: Planner,
    replanned: usize,
}

impl Lattice {
    fn host(&mut self, at: usize) -> Option<&mut Host> {
        self.observed.hosts.get_mut(&id(at))
    }

    fn apply(&mut self, change: &Change) {
        let now = Time(self.now);
        match change {
            Change::Join(at, labels, size) => {
                let capacity = Resources::new(size * 64 * MIB, 2000);
                let host = Host { labels: zone(*labels), capacity, ..Host::default() };
                self.observed.hosts.insert(id(*at), host);
            }
            Change::Gone(at) => drop(self.observed.hosts.remove(&id(*at))),
            Change::Label(at, labels) => {
                self.host(*at).into_iter().for_each(|host| host.labels = zone(*labels));
            }
            Change::Capacity(at, size) => {
                self.host(*at).into_iter().for_each(|host| host.capacity.memory = size * 64 * MIB);
            }
            Change::Schedule(at, schedule) => {
                self.host(*at).into_iter().for_each(|host| host.schedule = *schedule);
            }
            Change::Silent(at) => {
                self.host(*at).into_iter().for_each(|host| host.reach = Reach::Silent(now));
            }
            Change::Heard(at) => {
                self.host(*at).into_iter().for_each(|host| host.reach = Reach::Reachable);
            }
            Change::Runs(at, of, revision, instances, ready, size) => {
                let requests = Resources::new(size * 64 * MIB, 100);
                let (workload, revision, instances, ready) =
                    (name(*of), *revision, *instances, *ready);
                let one = Placement { workload, revision, instances, ready, requests };
                self.host(*at).into_iter().for_each(|host| host.placements.push(one.clone()));
            }
            Change::Want(at, workload) => {
                self.desired.workloads.insert(name(*at), (**workload).clone());
            }
            Change::Revise(at, size) => {
                if let Some(workload) = self.desired.workloads.get_mut(&name(*at)) {
                    let mut next = revision(workload.revision.number + 1);
                    next.requests.memory *= size;
                    workload.previous = Some(std::mem::replace(&mut workload.revision, next));
                }
            }
            Change::Age(at, age) => {
                let workload = self.desired.workloads.get_mut(&name(*at));
                workload.into_iter().for_each(|workload| workload.accepted = *age);
            }
            Change::Drop(at) => drop(self.desired.workloads.remove(&name(*at))),
            Change::Crashed(at, count) => {
                let crashes = Crashes { count: *count, last: now };
                self.observed.crashes.insert(name(*at), BTreeMap::from([(1, crashes)]));
            }
            Change::Measured(at, errors) => {
                let measure =
                    Measure { since: now, requests: 100, errors: *errors, ..Measure::default() };
                self.observed.measures.insert(name(*at), measure);
            }
            Change::Paused(at) => {
                let state = self.observed.rollouts.get_mut(&name(*at));
                state.into_iter().for_each(|state| state.verdict = Verdict::Paused);
            }
            Change::Quota(at, most) => {
                let quota = Quota { instances: *most, ..Quota::default() };
                self.desired.quotas.insert(namespace(*at).into(), quota);
            }
            Change::Wait(wait) => self.now += wait,
            Change::Done => self.done(),
            Change::Settled => {
                for _ in 0..6 {
                    self.done();
                    if self.look() == 0 {
                        break;
                    }
                }
            }
        }
    }

    /// Does what was planned last.
    fn done(&mut self) {
        let plan = plan(&self.desired, &self.observed, Time(self.now));
        for action in plan.actions {
            match action {
                Action::Record { workload, state } => {
                    self.observed.rollouts.insert(workload, state);
                }
                Action::Route { workload, weights: Some(weights) } => {
                    self.observed.weights.insert(workload, weights);
                }
                Action::Route { workload, weights: None } => {
                    self.observed.weights.remove(&workload);
                }
                Action::Release { host } => drop(self.observed.hosts.remove(&host)),
                Action::Scale { host, workload, revision, to, .. } => {
                    let wanted = self.desired.workloads.get(&workload);
                    let of = wanted.into_iter().flat_map(|one| {
                        std::iter::once(&one.revision).chain(one.previous.as_ref())
                    });
                    let mut of = of.filter(|one| one.number == revision);
                    let requests = of.next().map(|one| one.requests).unwrap_or_default();
                    let Some(host) = self.observed.hosts.get_mut(&host) else { continue };
                    host.placements
                        .retain(|one| (&one.workload, one.revision) != (&workload, revision));
                    let one = Placement { workload, revision, instances: to, ready: to, requests };
                    host.placements.push(one);
                }
            }
        }
        for host in self.observed.hosts.values_mut() {
            host.placements.iter_mut().for_each(|one| one.ready = one.instances);
        }
    }

    /// Plans again, told of no more than what changed, and anew. How many actions there are.
    fn look(&mut self) -> usize {
        let changed = difference(&self.before, (&self.desired, &self.observed));
        let now = Time(self.now);
        let again = self.planner.plan(&self.desired, &self.observed, &changed, now);
        assert_eq!(*again, plan(&self.desired, &self.observed, now), "told of {changed:?}");
        let actions = again.actions.len();
        self.before = (self.desired.clone(), self.observed.clone());
        self.replanned = self.planner.replanned().len();
        actions
    }
}

/// What changed, and nothing else.
fn difference(before: &(Desired, Observed), after: (&Desired, &Observed)) -> Changed {
    fn differing<K: Ord + Clone, V: PartialEq>(
        one: &BTreeMap<K, V>,
        other: &BTreeMap<K, V>,
    ) -> BTreeSet<K> {
        let keys = one.keys().chain(other.keys());
        keys.filter(|key| one.get(key) != other.get(key)).cloned().collect()
    }
    let (one, other) = (&before.1, after.1);
    let workloads = [
        differing(&before.0.workloads, &after.0.workloads),
        differing(&one.crashes, &other.crashes),
        differing(&one.rollouts, &other.rollouts),
        differing(&one.weights, &other.weights),
        differing(&one.measures, &other.measures),
    ];
    Changed {
        all: false,
        hosts: differing(&one.hosts, &other.hosts),
        workloads: workloads.into_iter().flatten().collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4 * cases()))]

    #[test]
    fn planning_again_is_planning_anew(
        first in prop::collection::vec(change(), 8..20),
        rest in prop::collection::vec(prop::collection::vec(change(), 1..4), 1..16),
    ) {
        let mut lattice = Lattice { now: 1_000_000, ..Lattice::default() };
        first.iter().for_each(|change| lattice.apply(change));
        lattice.look();
        for changes in rest {
            changes.iter().for_each(|change| lattice.apply(change));
            lattice.look();
        }
    }
}

#[test]
fn a_lost_host_has_only_those_planned_again_that_ran_there() {
    let mut lattice = Lattice::default();
    for at in 0..20 {
        let capacity = Resources::new(1 << 40, 1 << 20);
        let host = Host { labels: zone(at), capacity, ..Host::default() };
        lattice.observed.hosts.insert(id(at), host);
    }
    for at in 0..100 {
        let rules = match at % 3 {
            0 => Rules::default(),
            1 => Rules {
                spread: vec![part("a", "zone=a", 1), part("b", "zone=b", 2)],
                ..Rules::default()
            },
            _ => Rules { topology: zones(1, true), ..Rules::default() },
        };
        lattice.desired.workloads.insert(name(at), workload(2, rules));
    }
    lattice.apply(&Change::Settled);
    assert_eq!((lattice.look(), lattice.replanned), (0, 0), "all is as it is wanted");
    let there: BTreeSet<_> =
        lattice.observed.hosts[&id(5)].placements.iter().map(|one| one.workload.clone()).collect();
    assert!((1..50).contains(&there.len()), "{there:?}");
    lattice.apply(&Change::Gone(5));
    assert!(lattice.look() > 0);
    assert_eq!(lattice.planner.replanned().iter().cloned().collect::<BTreeSet<_>>(), there);
}
