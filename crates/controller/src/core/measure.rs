//! What hosts measured, since a step of a rollout began, and lately.

use std::collections::{BTreeMap, BTreeSet};

use reef_lattice::record::{Heartbeat, Measured};
use reef_meter::BOUNDS;
use reef_planner::{Id, Measure, RolloutState, Time, WorkloadKey};

use super::hosts::Slot;
use crate::autoscale::Load;

/// What hosts measured, by workload and revision.
#[derive(Debug, Default)]
pub(super) struct Measures {
    /// What hosts said last, by host.
    hosts: BTreeMap<Id, (u64, BTreeMap<Slot, Measured>)>,
    /// All that was counted since this began to listen.
    totals: BTreeMap<Slot, Totals>,
    /// How much that was when the present step of a rollout began.
    steps: BTreeMap<WorkloadKey, Step>,
}

/// Counts that only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Totals {
    requests: u64,
    errors: u64,
    traps: u64,
    durations: Vec<u64>,
}

#[derive(Debug)]
struct Step {
    /// Which: revision, step, whether it serves, and since when.
    of: (u64, u32, bool, Time),
    /// When it was first seen here, or began, whichever is later.
    since: Time,
    base: Totals,
}

impl Measures {
    /// Takes in what a host says. Workloads of which something was counted.
    pub(super) fn heartbeat(&mut self, host: &Id, beat: &Heartbeat) -> BTreeSet<WorkloadKey> {
        // Of a host that was not known, nobody knows since when it counts.
        let is_new = !self.hosts.contains_key(host);
        let (boot, slots) = self.hosts.entry(host.clone()).or_default();
        if std::mem::replace(boot, beat.boot) != beat.boot {
            slots.clear();
        }
        let mut touched = BTreeSet::new();
        for one in &beat.placements {
            let slot = super::hosts::slot(one);
            let before = slots.get_mut(&slot);
            if before.as_ref().is_some_and(|before| **before == one.measured) {
                continue;
            }
            if !is_new {
                let more = more(before.as_deref(), &one.measured);
                if more != Totals::default() {
                    touched.insert(one.workload.clone());
                    self.totals.entry(slot.clone()).or_default().add(&more);
                }
            }
            match before {
                Some(before) => before.clone_from(&one.measured),
                None => drop(slots.insert(slot, one.measured.clone())),
            }
        }
        if slots.len() > beat.placements.len() {
            let there: BTreeSet<Slot> = beat.placements.iter().map(super::hosts::slot).collect();
            slots.retain(|slot, _| there.contains(slot));
        }
        touched
    }

    pub(super) fn forget(&mut self, host: &Id) {
        self.hosts.remove(host);
    }

    /// Forgets workloads that are not wanted.
    pub(super) fn keep(&mut self, wanted: impl Fn(&WorkloadKey) -> bool) {
        self.totals.retain(|(workload, _), _| wanted(workload));
        self.steps.retain(|workload, _| wanted(workload));
    }

    /// A rollout is at a step. Its counts begin when that is first seen.
    pub(super) fn step(&mut self, workload: &WorkloadKey, state: &RolloutState, now: Time) {
        let of = (state.revision, state.step, state.serving, state.since);
        if self.steps.get(workload).is_some_and(|step| step.of == of) {
            return;
        }
        let total = self.totals.get(&(workload.clone(), state.revision));
        let step = Step { of, since: now, base: total.cloned().unwrap_or_default() };
        self.steps.insert(workload.clone(), step);
    }

    /// When the present step of a rollout was first seen here.
    pub(super) fn since(&self, workload: &WorkloadKey) -> Option<Time> {
        self.steps.get(workload).map(|step| step.since)
    }

    /// What was measured in the present step of a rollout.
    pub(super) fn measure(&self, workload: &WorkloadKey, percentile: f64) -> Option<Measure> {
        let step = self.steps.get(workload)?;
        let total = self.totals.get(&(workload.clone(), step.of.0)).cloned().unwrap_or_default();
        let since = total.since(&step.base);
        Some(Measure {
            since: step.since,
            requests: since.requests,
            errors: since.errors,
            traps: since.traps,
            latency_ms: since.percentile(percentile),
        })
    }

    /// What a workload has to do now, over all hosts and revisions where it is, and what it did since this began to
    /// listen.
    pub(super) fn load<'a>(
        &self,
        workload: &WorkloadKey,
        placed: impl Iterator<Item = (&'a Id, u64)>,
        metric: Option<&str>,
    ) -> Load {
        let mut load = Load::default();
        let mut slot = (workload.clone(), 0);
        for (host, revision) in placed {
            slot.1 = revision;
            let measured = self.hosts.get(host).and_then(|(_, slots)| slots.get(&slot));
            let Some(measured) = measured else { continue };
            load.running = load.running.saturating_add(measured.running);
            load.waiting = load.waiting.saturating_add(measured.waiting);
            let value = metric.and_then(|name| measured.metrics.get(name));
            load.metric += value.copied().filter(|value| value.is_finite()).unwrap_or(0.0);
        }
        let from = (workload.clone(), 0);
        let totals = self.totals.range(from..).take_while(|((one, _), _)| one == workload);
        load.ended = totals.fold(0, |sum, (_, total)| sum + total.requests);
        load
    }
}

/// What was counted since then: all of it, where counting began anew.
fn more(before: Option<&Measured>, now: &Measured) -> Totals {
    let total = |measured: &Measured| Totals {
        requests: measured.requests,
        errors: measured.errors,
        traps: measured.traps,
        durations: measured.durations.clone(),
    };
    let all = total(now);
    match before.map(total) {
        Some(before) if before.is_before(&all) => all.since(&before),
        _ => all,
    }
}

impl Totals {
    fn is_before(&self, later: &Self) -> bool {
        self.requests <= later.requests
            && self.errors <= later.errors
            && self.traps <= later.traps
            && self.durations.len() <= later.durations.len()
            && self.durations.iter().zip(&later.durations).all(|(one, later)| one <= later)
    }

    fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.errors = self.errors.saturating_add(more.errors);
        self.traps = self.traps.saturating_add(more.traps);
        let buckets = self.durations.len().max(more.durations.len()).min(BOUNDS.len() + 1);
        self.durations.resize(buckets, 0);
        for (total, more) in self.durations.iter_mut().zip(&more.durations) {
            *total = total.saturating_add(*more);
        }
    }

    fn since(&self, base: &Self) -> Self {
        let mut durations = self.durations.clone();
        for (count, less) in durations.iter_mut().zip(&base.durations) {
            *count = count.saturating_sub(*less);
        }
        Self {
            requests: self.requests.saturating_sub(base.requests),
            errors: self.errors.saturating_sub(base.errors),
            traps: self.traps.saturating_sub(base.traps),
            durations,
        }
    }

    /// Milliseconds, rounded up: the upper bound of the bucket that the percentile falls into.
    fn percentile(&self, percentile: f64) -> u64 {
        let all: u64 = self.durations.iter().fold(0, |sum, count| sum.saturating_add(*count));
        if all == 0 {
            return 0;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "counts of requests are far below 2^52, and what is not is no worse for it"
        )]
        let rank = ((all as f64) * (percentile.clamp(0.0, 100.0) / 100.0)).ceil() as u64;
        let mut seen = 0u64;
        for (at, count) in self.durations.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank.max(1) {
                let nanos = BOUNDS.get(at).copied().unwrap_or(u64::MAX);
                return nanos.div_ceil(1_000_000);
            }
        }
        u64::MAX
    }
}

#[cfg(test)]
mod tests;
