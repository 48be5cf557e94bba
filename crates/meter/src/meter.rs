use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::{Cells, HistogramSnapshot, nanos};
use crate::own::Own;
use crate::shard::Sharded;

#[cfg(test)]
mod tests;

/// The first digit of an HTTP status (RFC 9110 section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx, and anything that is no status at all
    ServerError,
}

impl ResponseClass {
    /// Every class, in the order of [`MeterSnapshot::responses`].
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
    ];

    /// The class of a status code.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// `1xx` to `5xx`, as in a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finished {
    /// The HTTP status sent, if the trigger has one and got so far.
    pub status: Option<u16>,
    /// From admission to the last byte.
    pub latency: Duration,
    /// Time on a CPU in guest code.
    pub guest_cpu: Duration,
}

/// What one workload did and cost. One per workload, shared by everything that acts for it.
///
/// Every update is a relaxed atomic addition to the calling thread's shard; a request may be begun on one
/// thread and finished on another. The order of calls for a request is [`wait`](Self::wait),
/// then [`admit`](Self::admit) or [`refuse`](Self::refuse), and after `admit` [`finish`](Self::finish).
/// A trigger without a queue calls [`begin`](Self::begin) instead of the first two.
#[derive(Debug, Default)]
pub struct Meter {
    shards: Sharded<Shard>,
    // Changed when a guest's memory grows and when an instance ends: rare, and a peak needs one total.
    memory: AtomicU64,
    memory_peak: AtomicU64,
    instance_memory_peak: AtomicU64,
    own: Own,
}

/// As few counters as give the totals: requests in flight are those admitted and not in `latency`, requests
/// queued are those that waited and neither are in `queue` nor were refused.
#[derive(Debug, Default)]
struct Shard {
    begun: AtomicU64,
    waited: AtomicU64,
    refused_waiting: AtomicU64,
    responses: [AtomicU64; 5],
    guest_cpu_nanos: AtomicU64,
    instances_reused: AtomicU64,
    instances_created: AtomicU64,
    refused_at_once: AtomicU64,
    traps: AtomicU64,
    deadlines_exceeded: AtomicU64,
    latency: Cells,
    /// Of those whose response was a [`ResponseClass::ServerError`].
    failed: Cells,
    queue: Cells,
}

#[inline]
fn up(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Meter {
    /// A meter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the workload measures by itself.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// A request entered the admission queue.
    #[inline]
    pub fn wait(&self) {
        up(&self.shards.mine().waited, 1);
    }

    /// A request left the queue for an instance after `waited`.
    #[inline]
    pub fn admit(&self, waited: Duration) {
        self.shards.mine().queue.observe(waited);
    }

    /// A request left the queue with a refusal: the queue's deadline passed or the client went away.
    #[inline]
    pub fn refuse(&self) {
        up(&self.shards.mine().refused_waiting, 1);
    }

    /// A request was refused without waiting: the queue was full.
    #[inline]
    pub fn refuse_at_once(&self) {
        up(&self.shards.mine().refused_at_once, 1);
    }

    /// A request that had no queue to wait in was given to an instance.
    #[inline]
    pub fn begin(&self) {
        up(&self.shards.mine().begun, 1);
    }

    /// An admitted request ended, well or badly.
    #[inline]
    pub fn finish(&self, finished: &Finished) {
        let shard = self.shards.mine();
        if let Some(status) = finished.status {
            let class = ResponseClass::of(status);
            up(&shard.responses[class as usize], 1);
            if class == ResponseClass::ServerError {
                shard.failed.observe(finished.latency);
            }
        }
        shard.latency.observe(finished.latency);
        if !finished.guest_cpu.is_zero() {
            up(&shard.guest_cpu_nanos, nanos(finished.guest_cpu));
        }
    }

    /// Guest code ran for `time` outside any request: start functions, timers, background tasks.
    #[inline]
    pub fn guest_cpu(&self, time: Duration) {
        up(&self.shards.mine().guest_cpu_nanos, nanos(time));
    }

    /// A guest trapped.
    pub fn trap(&self) {
        up(&self.shards.mine().traps, 1);
    }

    /// A guest was stopped by its deadline.
    pub fn deadline_exceeded(&self) {
        up(&self.shards.mine().deadlines_exceeded, 1);
    }

    /// A fresh instance was made.
    #[inline]
    pub fn instance_created(&self) {
        up(&self.shards.mine().instances_created, 1);
    }

    /// An instance that had served before was used again.
    #[inline]
    pub fn instance_reused(&self) {
        up(&self.shards.mine().instances_reused, 1);
    }

    /// An instance's linear memories and tables grew by `bytes`, to `instance_bytes` in all.
    pub fn memory_grew(&self, bytes: u64, instance_bytes: u64) {
        let total = self.memory.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
        self.memory_peak.fetch_max(total, Ordering::Relaxed);
        self.instance_memory_peak.fetch_max(instance_bytes, Ordering::Relaxed);
    }

    /// An instance that held `bytes` ended.
    pub fn memory_freed(&self, bytes: u64) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The totals now. Updates made meanwhile may be in it in part.
    #[must_use]
    pub fn snapshot(&self) -> MeterSnapshot {
        let mut snapshot = MeterSnapshot {
            memory: gauge(self.memory.load(Ordering::Relaxed)),
            memory_peak: self.memory_peak.load(Ordering::Relaxed),
            instance_memory_peak: self.instance_memory_peak.load(Ordering::Relaxed),
            ..MeterSnapshot::default()
        };
        let mut waited = 0_u64;
        let mut refused_waiting = 0_u64;
        for shard in self.shards.iter() {
            shard.add_to(&mut snapshot);
            waited = waited.wrapping_add(shard.waited.load(Ordering::Relaxed));
            refused_waiting =
                refused_waiting.wrapping_add(shard.refused_waiting.load(Ordering::Relaxed));
        }
        let admitted = snapshot.queue.count();
        snapshot.requests = snapshot.requests.wrapping_add(admitted);
        snapshot.in_flight = snapshot.requests.saturating_sub(snapshot.latency.count());
        snapshot.queued = waited.saturating_sub(admitted).saturating_sub(refused_waiting);
        snapshot.refused = snapshot.refused.wrapping_add(refused_waiting);
        snapshot
    }
}

/// A wrapping sum read while it changes can be briefly below zero: then it is zero.
fn gauge(sum: u64) -> u64 {
    if sum > i64::MAX as u64 { 0 } else { sum }
}

impl Shard {
    fn add_to(&self, snapshot: &mut MeterSnapshot) {
        let add = |total: &mut u64, counter: &AtomicU64| {
            *total = total.wrapping_add(counter.load(Ordering::Relaxed));
        };
        add(&mut snapshot.requests, &self.begun);
        for (total, counter) in snapshot.responses.iter_mut().zip(&self.responses) {
            add(total, counter);
        }
        add(&mut snapshot.guest_cpu_nanos, &self.guest_cpu_nanos);
        add(&mut snapshot.instances_reused, &self.instances_reused);
        add(&mut snapshot.instances_created, &self.instances_created);
        add(&mut snapshot.refused, &self.refused_at_once);
        add(&mut snapshot.traps, &self.traps);
        add(&mut snapshot.deadlines_exceeded, &self.deadlines_exceeded);
        self.latency.add_to(&mut snapshot.latency);
        self.failed.add_to(&mut snapshot.failed);
        self.queue.add_to(&mut snapshot.queue);
    }
}

/// A meter at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeterSnapshot {
    /// Requests given to an instance.
    pub requests: u64,
    /// Responses by class, in the order of [`ResponseClass::ALL`].
    pub responses: [u64; 5],
    /// Traps, of which those by a deadline are also in `deadlines_exceeded` if both were reported.
    pub traps: u64,
    /// Guests stopped by their deadline.
    pub deadlines_exceeded: u64,
    /// Requests refused by the admission queue.
    pub refused: u64,
    /// Fresh instances made.
    pub instances_created: u64,
    /// Times an instance was used again.
    pub instances_reused: u64,
    /// Time on a CPU in guest code, in nanoseconds.
    pub guest_cpu_nanos: u64,
    /// Time in the admission queue of the requests that were admitted.
    pub queue: HistogramSnapshot,
    /// Time from admission to the last byte.
    pub latency: HistogramSnapshot,
    /// The same of those alone whose response was a [`ResponseClass::ServerError`].
    pub failed: HistogramSnapshot,
    /// Bytes held by live instances.
    pub memory: u64,
    /// Most bytes ever held by live instances together.
    pub memory_peak: u64,
    /// Most bytes ever held by one instance: what to compare with the memory limit.
    pub instance_memory_peak: u64,
    /// Requests being served.
    pub in_flight: u64,
    /// Requests waiting for admission.
    pub queued: u64,
}
