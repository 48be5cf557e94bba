//! What there is, as the planner is told it.

use reef_lattice::record::Heartbeat;
use reef_planner::{
    Crashes, Host as Seen, Id, Observed, Placement, Reach, Resources, RolloutState, Schedule, Time,
    Verdict, WorkloadKey,
};

use super::{
    ByWorkload, Core,
    hosts::{Host, Slot},
    records::{AppKey, Kept, Records},
};

/// The percentile of latency gates where nothing is said.
const PERCENTILE: f64 = 99.0;

impl Core {
    /// Looks at what changed.
    pub(super) fn observe(&mut self, now: Time) {
        for id in std::mem::take(&mut self.changed_hosts) {
            let host = self.hosts.all.get(&id);
            match host.is_some_and(|host| !host.crashes.is_empty()) {
                true => drop(self.crashing.insert(id.clone())),
                false => drop(self.crashing.remove(&id)),
            }
            let seen = host.and_then(|host| seen(&self.records, &id, host));
            let known = self.observed.hosts.get(&id);
            let placements = known.into_iter().chain(&seen).flat_map(|host| &host.placements);
            self.stale.apps.extend(placements.map(|one| AppKey::of(&one.workload)));
            self.stale.hosts.insert(id.clone());
            if known == seen.as_ref() {
                continue;
            }
            match seen {
                Some(seen) => drop(self.observed.hosts.insert(id.clone(), seen)),
                None => drop(self.observed.hosts.remove(&id)),
            }
            self.changed.hosts.insert(id);
        }
        let crashes = self.crashes();
        let before = std::mem::replace(&mut self.observed.crashes, crashes);
        let differs =
            |workload: &&WorkloadKey| before.get(*workload) != self.observed.crashes.get(*workload);
        let all = before.keys().chain(self.observed.crashes.keys());
        self.changed.workloads.extend(all.filter(differs).cloned());
        let mut rollouts = std::mem::take(&mut self.changed_rollouts);
        rollouts.extend(self.going.iter().cloned());
        for workload in rollouts {
            self.observe_rollout(workload, now);
        }
    }

    /// Looks at how far a rollout is, and at what was measured of it.
    fn observe_rollout(&mut self, workload: WorkloadKey, now: Time) {
        let rollout = self.records.rollouts.get(&workload).and_then(Kept::get);
        let state = rollout.and_then(|rollout| rollout.state.as_ref()).map(|state| {
            self.measures.step(&workload, state, now);
            // By this clock: that of the leader who wrote it may be ahead or behind. What is measured begins then too.
            let since = self.measures.since(&workload).unwrap_or(now);
            RolloutState { since, ..state.clone() }
        });
        let percentile = self.wanted.percentiles.get(&workload).copied().unwrap_or(PERCENTILE);
        let measure = self.measures.measure(&workload, percentile).filter(|_| state.is_some());
        let going =
            |state: &RolloutState| matches!(state.verdict, Verdict::Going | Verdict::Paused);
        match state.as_ref().is_some_and(going) {
            true => drop(self.going.insert(workload.clone())),
            false => drop(self.going.remove(&workload)),
        }
        let weights = rollout.and_then(|rollout| rollout.weights.clone());
        let Observed { rollouts, weights: shares, measures, .. } = &mut self.observed;
        let changed = put(rollouts, &workload, state)
            | put(shares, &workload, weights)
            | put(measures, &workload, measure);
        if changed {
            self.changed.workloads.insert(workload);
        }
    }

    /// Whether what is measured of a workload decides something now.
    pub(super) fn is_measured(&self, workload: &WorkloadKey) -> bool {
        self.going.contains(workload)
    }

    /// Crashes over all hosts: the most on one of them, and the last of all.
    fn crashes(&self) -> ByWorkload<std::collections::BTreeMap<u64, Crashes>> {
        let mut all: ByWorkload<std::collections::BTreeMap<u64, Crashes>> = ByWorkload::new();
        for host in self.crashing.iter().filter_map(|id| self.hosts.all.get(id)) {
            for ((workload, revision), crashes) in &host.crashes {
                let of = all.entry(workload.clone()).or_default();
                let known = of.entry(*revision).or_default();
                known.count = known.count.max(crashes.count);
                known.last = known.last.max(crashes.last);
            }
        }
        all
    }
}

/// Has a map say something of a workload. Whether it did not say so before.
fn put<T: PartialEq>(all: &mut ByWorkload<T>, workload: &WorkloadKey, is: Option<T>) -> bool {
    if all.get(workload) == is.as_ref() {
        return false;
    }
    match is {
        Some(is) => drop(all.insert(workload.clone(), is)),
        None => drop(all.remove(workload)),
    }
    true
}

/// A host as the planner sees it.
pub(super) fn seen(records: &Records, id: &Id, host: &Host) -> Option<Seen> {
    let (beat, _) = host.heard.as_ref()?;
    let there = host.there();
    let reach = match host.silent_at() {
        Some(since) if !host.is_heard => Reach::Silent(since),
        _ => Reach::Reachable,
    };
    let placements: Vec<Placement> = there
        .iter()
        .map(|(slot, there)| Placement {
            workload: slot.0.clone(),
            revision: slot.1,
            instances: there.instances,
            ready: there.ready,
            requests: requests(records, beat, slot),
        })
        .collect();
    Some(Seen {
        name: Id::from(&beat.name),
        labels: beat.labels.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        capacity: beat.capacity,
        schedule: schedule(records, id, beat, placements.is_empty()),
        reach,
        placements,
    })
}

/// What a host is to take. One that leaves by itself is drained without being told.
fn schedule(records: &Records, id: &Id, beat: &Heartbeat, empty: bool) -> Schedule {
    let record = records.scheduling.get(id).and_then(Kept::get).map(|record| record.schedule);
    match record.unwrap_or_default() {
        Schedule::Open | Schedule::Cordoned if beat.leaving => {
            if empty {
                Schedule::Drained
            } else {
                Schedule::Draining
            }
        }
        schedule => schedule,
    }
}

/// What an instance holds on a host: what it says, or what the revision asks for.
fn requests(records: &Records, beat: &Heartbeat, (workload, revision): &Slot) -> Resources {
    let mut said = beat.placements.iter();
    let said = said.find(|one| (&one.workload, one.revision) == (workload, *revision));
    if let Some(one) = said {
        return one.requests;
    }
    let record = records.revision_of(&AppKey::of(workload), *revision);
    let asked = record.and_then(|record| record.workloads.get(&*workload.workload));
    asked.map(|asked| asked.revision.requests).unwrap_or_default()
}
