//! What was done over a link, counted and timed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reef_meter::{Histogram, HistogramSnapshot};

use crate::{failure::Failure, gate::Operation};

/// What was done over a link, by operation.
#[derive(Debug)]
pub struct Usage {
    operations: Box<[OfOperation]>,
}

#[derive(Debug)]
struct OfOperation {
    name: &'static str,
    took: Histogram,
    failures: [AtomicU64; KINDS.len()],
}

/// The uses of one operation until now.
#[derive(Clone, Debug)]
pub struct UsageSnapshot {
    /// What was done: `get`.
    pub operation: &'static str,
    /// How long each use took, whatever came of it.
    pub took: HistogramSnapshot,
    /// How many failed, by [`Failure::kind`]; only those that happened.
    pub failures: Vec<(&'static str, u64)>,
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
            failures: Default::default(),
        });
        Self { operations: operations.collect() }
    }

    pub(crate) fn add(&self, operation: &Operation, took: Duration, failure: Option<&Failure>) {
        let Some(of) = self.operations.iter().find(|of| of.name == operation.name) else {
            debug_assert!(false, "`{}` is not among the operations of its link", operation.name);
            return;
        };
        of.took.observe(took);
        if let Some(failure) = failure {
            let kind = failure.kind();
            let kinds = KINDS.iter().zip(&of.failures);
            for (_, count) in kinds.filter(|(one, _)| **one == kind) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What was done until now; operations that were never used are left out.
    pub fn snapshot(&self) -> Vec<UsageSnapshot> {
        let all = self.operations.iter().map(|of| {
            let failures = KINDS.iter().zip(&of.failures);
            let failures = failures.map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)));
            UsageSnapshot {
                operation: of.name,
                took: of.took.snapshot(),
                failures: failures.filter(|(_, count)| *count > 0).collect(),
            }
        });
        all.filter(|one| one.took.count() > 0).collect()
    }
}
