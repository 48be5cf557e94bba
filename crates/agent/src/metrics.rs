//! What autoscaling asks of a workload: a metric of its own, or one that the host counts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reef_lattice::record::{AutoscaleTarget, Measured, Revision};
use reef_planner::WorkloadKey;

/// Metrics that the host counts for each workload begin so; the guest's own by that name are not looked at.
const OURS: &str = "reef.";
/// Requests that end in a second.
const REQUESTS: &str = "reef.requests";
/// Cores that are used.
const CPU: &str = "reef.cpu";
/// Bytes of memory that are held.
const MEMORY: &str = "reef.memory";

/// Over how long what happens in a second is averaged, and how far apart what is counted is looked at, at least.
const WINDOW: Duration = Duration::from_secs(5);
const APART: Duration = Duration::from_millis(500);

/// The metric that each workload is scaled by, by what is wanted now.
#[derive(Default)]
pub(crate) struct Asked(Mutex<BTreeMap<WorkloadKey, Arc<str>>>);

impl Asked {
    pub(crate) fn set(&self, all: BTreeMap<WorkloadKey, Arc<str>>) {
        *self.lock() = all;
    }

    pub(crate) fn of(&self, workload: &WorkloadKey) -> Option<Arc<str>> {
        self.lock().get(workload).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkloadKey, Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metric that a workload is scaled by.
pub(crate) fn asked(revision: &Revision, workload: &str) -> Option<Arc<str>> {
    match &revision.autoscale.get(workload)?.target {
        AutoscaleTarget::Metric(name, _) => Some(name.as_str().into()),
        _ => None,
    }
}

/// The guest's own metric of a name, if it may be one.
pub(crate) fn own(asked: &str) -> Option<&str> {
    Some(asked).filter(|name| !name.starts_with(OURS))
}

/// What a workload did lately.
#[derive(Debug, Default)]
pub(crate) struct Rates(VecDeque<Sample>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    at: Instant,
    requests: u64,
    cpu: u64,
}

impl Rates {
    /// What the host counts by this name, as it is now. `None`: it counts nothing such, or not for long enough.
    pub(crate) fn look(&mut self, name: &str, measured: &Measured, at: Instant) -> Option<f64> {
        let now = Sample { at, requests: measured.requests, cpu: measured.cpu };
        let is_before =
            |last: &Sample| last.requests <= now.requests && last.cpu <= now.cpu && last.at <= at;
        if !self.0.back().is_none_or(is_before) {
            // It was made anew, and counts from nothing.
            self.0.clear();
        }
        let since = |sample: &Sample| at.saturating_duration_since(sample.at);
        // The oldest is the last one before the window.
        while self.0.get(1).is_some_and(|second| since(second) >= WINDOW) {
            self.0.pop_front();
        }
        let first = self.0.front().copied();
        if self.0.back().is_none_or(|last| since(last) >= APART) {
            self.0.push_back(now);
        }
        let rate = |of: fn(&Sample) -> u64| {
            let first = first.filter(|first| since(first) >= APART)?;
            let more = of(&now).saturating_sub(of(&first));
            Some(float(more) / since(&first).as_secs_f64())
        };
        match name {
            REQUESTS => rate(|sample| sample.requests),
            CPU => rate(|sample| sample.cpu).map(|nanos| nanos / 1e9),
            MEMORY => Some(float(measured.memory)),
            _ => None,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "what is scaled by need not be exact")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(requests: u64, cpu: u64) -> Measured {
        Measured { requests, cpu, memory: 7, ..Measured::default() }
    }

    #[test]
    fn rates_are_of_the_last_while() {
        let (begin, mut rates) = (Instant::now(), Rates::default());
        assert_eq!(rates.look(REQUESTS, &measured(5, 0), begin), None, "nobody knows since when");
        assert_eq!(rates.look(MEMORY, &measured(5, 0), begin), Some(7.0));
        let mut last = None;
        for second in 1..=20 {
            let at = begin + Duration::from_secs(second);
            last = rates.look(REQUESTS, &measured(5 + second * 10, second * 500_000_000), at);
            // Asked more often, it says the same of that while.
            rates.look(CPU, &measured(5 + second * 10, second * 500_000_000), at);
            assert!(rates.0.len() <= 12, "{}", rates.0.len());
        }
        assert_eq!(last, Some(10.0));
        let later = begin + Duration::from_secs(21);
        assert_eq!(rates.look(CPU, &measured(215, 10_500_000_000), later), Some(0.5));
        // Without requests it falls to nothing.
        for second in 22..=30 {
            let at = begin + Duration::from_secs(second);
            last = rates.look(REQUESTS, &measured(215, 10_500_000_000), at);
        }
        assert_eq!(last, Some(0.0));
    }

    #[test]
    fn what_is_made_anew_counts_from_nothing() {
        let (begin, mut rates) = (Instant::now(), Rates::default());
        rates.look(REQUESTS, &measured(1000, 0), begin);
        let at = begin + Duration::from_secs(1);
        assert_eq!(rates.look(REQUESTS, &measured(3, 0), at), None);
        let at = begin + Duration::from_secs(2);
        assert_eq!(rates.look(REQUESTS, &measured(5, 0), at), Some(2.0));
    }
}
