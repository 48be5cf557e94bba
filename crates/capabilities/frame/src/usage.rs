//! What was done over a link, counted and timed.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reef_meter::{Histogram, HistogramSnapshot};

use crate::{failure::Failure, gate::Operation};

/// What was done over a link, by operation.
#[derive(Debug)]
pub struct Usage {
    operations: Box<[OfOperation]>,
    missed: AtomicU64,
}

#[derive(Debug)]
struct OfOperation {
    name: &'static str,
    took: Histogram,
    /// Those that failed, by their kind: made when it happens.
    failed: [OnceLock<Box<Histogram>>; KINDS.len()],
}

/// The uses of one operation until now.
#[derive(Clone, Debug)]
pub struct UsageSnapshot {
    /// What was done: `get`.
    pub operation: &'static str,
    /// How long each use took, whatever came of it.
    pub took: HistogramSnapshot,
    /// The same of those that failed, by [`Failure::kind`]; only those that happened.
    pub failed: Vec<(&'static str, HistogramSnapshot)>,
}

const KINDS: [&str; 12] = [
    "denied",
    "not-found",
    "too-large",
    "too-many",
    "invalid",
    "conflict",
    "unsupported",
    "timeout",
    "unavailable",
    "broken",
    "full",
    "backend",
];

impl Usage {
    pub(crate) fn new(operations: &[&'static Operation]) -> Self {
        let operations = operations.iter().map(|operation| OfOperation {
            name: operation.name,
            took: Histogram::new(),
            failed: Default::default(),
        });
        Self { operations: operations.collect(), missed: AtomicU64::new(0) }
    }

    /// Something that somebody waited for over the link was missed, so many times: it came faster than it was taken.
    pub fn miss(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }

    /// How much was missed until now.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, operation: &Operation, took: Duration, failure: Option<&Failure>) {
        let Some(of) = self.operations.iter().find(|of| of.name == operation.name) else {
            debug_assert!(false, "`{}` is not among the operations of its link", operation.name);
            return;
        };
        of.took.observe(took);
        if let Some(failure) = failure {
            let kind = failure.kind();
            let kinds = KINDS.iter().zip(&of.failed);
            for (_, failed) in kinds.filter(|(one, _)| **one == kind) {
                failed.get_or_init(Box::default).observe(took);
            }
        }
    }

    /// What was done until now; operations that were never used are left out.
    pub fn snapshot(&self) -> Vec<UsageSnapshot> {
        let all = self.operations.iter().map(|of| {
            let failed = KINDS.iter().zip(&of.failed);
            let failed = failed.filter_map(|(kind, took)| Some((*kind, took.get()?.snapshot())));
            UsageSnapshot { operation: of.name, took: of.took.snapshot(), failed: failed.collect() }
        });
        all.filter(|one| one.took.count() > 0).collect()
    }
}
