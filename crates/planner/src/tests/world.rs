//! A lattice in memory: hosts that do what they are told some time later, over a network that may lose, delay and
//! repeat what it carries.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Action, Crashes, Desired, Host, Id, Observed, Placement, Plan, Reach, Resources, Schedule,
    Time, WorkloadKey, plan,
};

/// Milliseconds between two looks of the controller.
const TICK: u64 = 100;

/// What becomes of an action on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    /// Percent that are lost.
    pub(super) loss: u32,
    /// Percent that arrive twice.
    pub(super) twice: u32,
    /// Ticks that they take at most.
    pub(super) delay: u64,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) now: Time,
    pub(super) network: Network,
    /// What never becomes ready.
    pub(super) crashing: BTreeSet<(WorkloadKey, u64)>,
    pub(super) last: Plan,
    random: fastrand::Rng,
    tick: u64,
    on_way: Vec<(u64, Action)>,
    /// When what is not ready on a host will be.
    warm: BTreeMap<(Id, WorkloadKey, u64), u64>,
}

impl World {
    pub(super) fn new(desired: Desired, observed: Observed) -> Self {
        Self {
            desired,
            observed,
            now: Time(1_000_000),
            network: Network::default(),
            crashing: BTreeSet::new(),
            last: Plan::default(),
            random: fastrand::Rng::with_seed(0),
            tick: 0,
            on_way: Vec::new(),
            warm: BTreeMap::new(),
        }
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.random = fastrand::Rng::with_seed(seed);
    }

    /// Plans, sends what is to be done, and lets a little time pass.
    pub(super) fn tick(&mut self) {
        self.tick += 1;
        self.now = Time(self.now.0 + TICK);
        for (_, action) in
            self.on_way.extract_if(.., |(due, _)| *due <= self.tick).collect::<Vec<_>>()
        {
            self.act(action);
        }
        self.warm_up();
        self.last = plan(&self.desired, &self.observed, self.now);
        for action in self.last.actions.clone() {
            for _ in 0..=u32::from(self.random.u32(..100) < self.network.twice) {
                if self.random.u32(..100) >= self.network.loss {
                    let due = self.tick + 1 + self.random.u64(..=self.network.delay);
                    self.on_way.push((due, action.clone()));
                }
            }
        }
    }

    /// Lets time pass until nothing is to be done, on its way, about to be ready, or due.
    pub(super) fn settle(&mut self) {
        let patience = 300;
        for _ in 0..patience {
            self.tick();
            if !self.last.is_settled() || !self.on_way.is_empty() || !self.warm.is_empty() {
                continue;
            }
            match self.last.wake {
                None => return,
                Some(wake) => self.now = self.now.max(Time(wake.0.saturating_sub(TICK))),
            }
        }
        let (actions, wake) = (&self.last.actions, self.last.wake);
        assert!(self.last.is_settled() && wake.is_none(), "after {patience} ticks: {actions:#?}");
    }

    /// A host ends without a word, and what it ran with it.
    pub(super) fn crash(&mut self, id: &str) {
        self.warm.retain(|(host, _, _), _| &**host != id);
        if let Some(host) = self.observed.hosts.get_mut(id) {
            host.reach = Reach::Silent(self.now);
        }
    }

    /// A host that was not heard of is again: with what it ran, or as new.
    pub(super) fn come_back(&mut self, id: &str, empty: bool) {
        if let Some(host) = self.observed.hosts.get_mut(id) {
            if empty {
                host.placements.clear();
            }
            for one in &host.placements {
                let place = (Id::from(id), one.workload.clone(), one.revision);
                self.warm.insert(place, self.tick + 2);
            }
            host.reach = Reach::Reachable;
        }
    }

    fn act(&mut self, action: Action) {
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
            Action::Release { host } => {
                let host = self.observed.hosts.get_mut(&host);
                if let Some(host) = host.filter(|host| host.schedule == Schedule::Draining) {
                    host.schedule = Schedule::Drained;
                }
            }
            Action::Scale { host: id, workload, revision, to, .. } => {
                let Some(host) = self.observed.hosts.get_mut(&id) else { return };
                if host.reach != Reach::Reachable {
                    return;
                }
                let wanted = self.desired.workloads.get(&workload);
                let revisions = wanted.map(|one| [Some(&one.revision), one.previous.as_ref()]);
                let known =
                    revisions.into_iter().flatten().flatten().find(|one| one.number == revision);
                let requests = known.map(|one| one.requests).unwrap_or_default();
                if scale(host, &workload, revision, to, requests) {
                    self.warm.insert((id, workload, revision), self.tick + 2);
                }
            }
        }
    }

    fn warm_up(&mut self) {
        let due = self.warm.extract_if(.., |_, due| *due <= self.tick).collect::<Vec<_>>();
        for ((host, workload, revision), _) in due {
            let crashes = self.crashing.contains(&(workload.clone(), revision));
            if crashes {
                let all = self.observed.crashes.entry(workload.clone()).or_default();
                let crashes = all.entry(revision).or_default();
                *crashes = Crashes { count: crashes.count + 1, last: self.now };
            }
            let placements = self.observed.hosts.get_mut(&host).map(|host| &mut host.placements);
            for placement in placements.into_iter().flatten() {
                if !crashes && (&placement.workload, placement.revision) == (&workload, revision) {
                    placement.ready = placement.instances;
                }
            }
        }
    }
}

/// A host sets how many instances it runs, if it has room for them. Whether there are new ones.
fn scale(
    host: &mut Host,
    workload: &WorkloadKey,
    revision: u64,
    to: u32,
    requests: Resources,
) -> bool {
    let is_it = |one: &Placement| (&one.workload, one.revision) == (workload, revision);
    let from = host.placements.iter().find(|one| is_it(one)).map_or(0, |one| one.instances);
    let used = host
        .placements
        .iter()
        .fold(Resources::default(), |sum, one| sum.plus(one.requests.times(one.instances.into())));
    if to > from && host.capacity.minus(used).room(requests, to - from) < to - from {
        return false;
    }
    if from == 0 && to > 0 {
        let workload = workload.clone();
        host.placements.push(Placement { workload, revision, instances: 0, ready: 0, requests });
    }
    for one in host.placements.iter_mut().filter(|one| is_it(one)) {
        one.instances = to;
        one.ready = one.ready.min(to);
    }
    host.placements.retain(|one| one.instances > 0);
    to > from
}
