//! The one meter: what a workload's guest code did and cost, counted where it happens and read at
//! scrape time. Counters are relaxed atomics in per-thread shards, so that recording a request never
//! takes a lock or fights over a cache line with another core.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod histogram;
mod meter;
mod own;
mod shard;

pub use histogram::{BOUNDS, BUCKETS, Histogram, HistogramSnapshot, LARGEST_BOUND, SMALLEST_BOUND};
pub use meter::{Finished, Meter, MeterSnapshot, ResponseClass};
pub use own::{MOST_OWN, OWN_FORGOTTEN, Own, Said};
