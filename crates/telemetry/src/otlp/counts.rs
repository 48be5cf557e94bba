use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::client::Refused;

/// Least time between two complaints about what was lost.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// What became of the spans, data points or log records so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Taken by the receiver.
    pub exported: u64,
    /// Dropped: too many waited.
    pub dropped: u64,
    /// Lost: they could not be sent in time, or the receiver refused them.
    pub failed: u64,
    /// Left out: a guest's, and more, or larger, than a guest may have.
    pub over_limit: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    over_limit: AtomicU64,
}

/// Says in the log what was lost, not too often.
#[derive(Debug)]
pub(crate) struct Report {
    /// What is counted: "spans".
    what: &'static str,
    /// When losses were last complained about, and how many there were.
    said: Option<Instant>,
    told: ExportCounts,
    /// Why the last failure since then was one.
    reason: Option<String>,
}

// === impl Counts ===

impl Counts {
    pub(crate) fn now(&self) -> ExportCounts {
        ExportCounts {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            over_limit: self.over_limit.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn dropped(&self, more: u64) {
        self.dropped.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn over_limit(&self, more: u64) {
        self.over_limit.fetch_add(more, Ordering::Relaxed);
    }

    /// What became of so many that were sent: how many the receiver refused, or why all are lost.
    pub(crate) fn sent(&self, sent: u64, outcome: Result<u64, ()>) {
        let failed = outcome.map_or(sent, |refused| refused.min(sent));
        self.failed.fetch_add(failed, Ordering::Relaxed);
        self.exported.fetch_add(sent - failed, Ordering::Relaxed);
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn on(what: &'static str) -> Self {
        Self { what, said: None, told: ExportCounts::default(), reason: None }
    }

    /// Notes why what was sent was not taken: how many of it were, where it was taken at all.
    pub(crate) fn outcome(&mut self, sent: Result<Refused, String>) -> Result<u64, ()> {
        let (outcome, why) = match sent {
            Ok(Refused { count, why }) => (Ok(count), why),
            Err(why) => (Err(()), Some(why)),
        };
        self.reason = why.or_else(|| self.reason.take());
        outcome
    }

    /// Says what was lost since it was last said, at most once a minute and at the end.
    pub(crate) fn look(&mut self, now: ExportCounts, last: bool) {
        let dropped = now.dropped - self.told.dropped;
        let failed = now.failed - self.told.failed;
        let due = last || self.said.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        let what = self.what;
        if dropped + failed > 0 && due {
            let reason = self.reason.take().unwrap_or_else(|| "too many waited".to_owned());
            warn!(dropped, failed, reason, "{what} were lost");
            self.said = Some(Instant::now());
            self.told = now;
        } else if self.said.is_some() && now.exported > self.told.exported && due {
            info!("{what} are exported again");
            self.said = None;
            self.told = now;
        }
    }
}
