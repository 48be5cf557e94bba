use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::shard::Sharded;

#[cfg(test)]
mod tests;

/// Upper bound of the first bucket.
pub const SMALLEST_BOUND: Duration = Duration::from_nanos(SMALLEST_NANOS);
/// Upper bound of the last bucket that has one.
pub const LARGEST_BOUND: Duration = Duration::from_nanos(LARGEST_NANOS);
/// Buckets of a histogram: one per entry of [`BOUNDS`] and one for everything longer.
pub const BUCKETS: usize = FINITE + 1;
/// Inclusive upper bounds, in nanoseconds: doubling from 50 µs, and 60 s.
pub const BOUNDS: [u64; FINITE] = bounds();

const SMALLEST_NANOS: u64 = 50_000;
const LARGEST_NANOS: u64 = 60_000_000_000;
const FINITE: usize = 22;

const fn bounds() -> [u64; FINITE] {
    let mut bounds = [0; FINITE];
    let mut i = 0;
    while i < FINITE {
        bounds[i] = SMALLEST_NANOS << i;
        i += 1;
    }
    bounds[FINITE - 1] = LARGEST_NANOS;
    bounds
}

/// The bucket of a duration: no table, no search.
#[inline]
const fn bucket(nanos: u64) -> usize {
    if nanos > LARGEST_NANOS {
        return FINITE;
    }
    let doublings = u64::BITS - (nanos.saturating_sub(1) / SMALLEST_NANOS).leading_zeros();
    doublings as usize
}

/// A duration in nanoseconds, saturating after 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One shard's share of a histogram; part of a larger shard where several things are counted at once.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Cells {
    #[inline]
    pub(crate) fn observe(&self, duration: Duration) {
        let nanos = nanos(duration);
        self.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, snapshot: &mut HistogramSnapshot) {
        for (total, count) in snapshot.counts.iter_mut().zip(&self.counts) {
            *total = total.wrapping_add(count.load(Ordering::Relaxed));
        }
        snapshot.sum_nanos =
            snapshot.sum_nanos.wrapping_add(self.sum_nanos.load(Ordering::Relaxed));
    }
}

/// Durations counted in exponential buckets from 50 µs to 60 s.
///
/// An observation is two relaxed additions to the calling thread's shard.
#[derive(Debug, Default)]
pub struct Histogram {
    cells: Sharded<Cells>,
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one duration.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        self.cells.mine().observe(duration);
    }

    /// What was observed so far. Observations made meanwhile may be in it in part (counted and not yet
    /// summed): good for a scrape, not for accounting to the nanosecond.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut snapshot = HistogramSnapshot::default();
        for cells in self.cells.iter() {
            cells.add_to(&mut snapshot);
        }
        snapshot
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Observations per bucket, not cumulated: `counts[i]` lie in `(BOUNDS[i-1], BOUNDS[i]]`, the last
    /// above every bound.
    pub counts: [u64; BUCKETS],
    /// Sum of all observations, in nanoseconds.
    pub sum_nanos: u64,
}

impl HistogramSnapshot {
    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// These without some of them.
    #[must_use]
    pub fn without(&self, some: &Self) -> Self {
        let mut rest = self.clone();
        for (count, less) in rest.counts.iter_mut().zip(&some.counts) {
            // Read while they change, some may be more than all.
            *count = count.saturating_sub(*less);
        }
        rest.sum_nanos = rest.sum_nanos.saturating_sub(some.sum_nanos);
        rest
    }

    /// Sum of all observations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }
}
