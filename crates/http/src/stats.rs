//! Counters that a metrics page reads. Each worker counts in a cache line of its own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::StatusCode;

/// What a server has done since it was bound.
#[derive(Debug)]
pub struct ServerStats {
    shards: Box<[Shard]>,
    pub(crate) open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    tls_failures: AtomicU64,
    timeouts: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    begun: AtomicU64,
    ended: AtomicU64,
    responses: [AtomicU64; 5],
    body_errors: AtomicU64,
}

/// The counters at one moment. Those of different workers are read one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsSnapshot {
    /// Connections open now.
    pub connections_open: u64,
    /// Connections accepted, including those refused.
    pub connections_accepted: u64,
    /// Connections refused because `max_connections` were open.
    pub connections_refused: u64,
    /// Failures of `accept` itself, such as too many open files.
    pub accept_errors: u64,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: u64,
    /// Connections closed because a limit of time passed.
    pub timeouts: u64,
    /// Requests whose headers were read.
    pub requests: u64,
    /// Requests not yet answered to the end.
    pub requests_in_flight: u64,
    /// Responses begun, by the first digit of their status: `[1xx, 2xx, 3xx, 4xx, 5xx]`.
    pub responses: [u64; 5],
    /// Responses whose body failed or was cut before its end.
    pub body_errors: u64,
}

impl ServerStats {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            open: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            tls_failures: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
        }
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut now = StatsSnapshot {
            connections_open: self.open.load(Ordering::Relaxed) as u64,
            connections_accepted: read(&self.accepted),
            connections_refused: read(&self.refused),
            accept_errors: read(&self.accept_errors),
            tls_failures: read(&self.tls_failures),
            timeouts: read(&self.timeouts),
            ..StatsSnapshot::default()
        };
        let mut ended = 0;
        for shard in &self.shards {
            ended += read(&shard.ended);
            now.requests += read(&shard.begun);
            now.body_errors += read(&shard.body_errors);
            for (sum, class) in now.responses.iter_mut().zip(&shard.responses) {
                *sum += read(class);
            }
        }
        now.requests_in_flight = now.requests.saturating_sub(ended);
        now
    }

    fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % self.shards.len()]
    }

    pub(crate) fn request_begun(&self, worker: usize) {
        self.shard(worker).begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_ended(&self, worker: usize) {
        self.shard(worker).ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn response(&self, worker: usize, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.shard(worker).responses[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn body_error(&self, worker: usize) {
        self.shard(worker).body_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accept_error(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tls_failure(&self) {
        self.tls_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn timeout(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }
}
