//! What guests measure and log by themselves, on its way out: each workload's as its own.
//!
//! Nothing is added up here. Points go on as their guest made them, bounded in number and size, and each that does
//! not is counted and said.

mod series;
mod worker;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::ScopeMetrics;
use prost::Message as _;
use tokio::sync::Notify;

use self::series::Series;
pub(crate) use self::worker::outbox;
use crate::otlp::{Counts, ExportCounts};

/// Bytes that wait of all workloads, and of one: one that measures or logs too much leaves room for the others.
const MOST_WAITING: usize = 16 << 20;
const MOST_OF_ONE: usize = 4 << 20;
/// Bytes in one request, which is sent when as much waits; collectors take about ten times as much.
const AT_ONCE: usize = 2 << 20;
/// Bytes of what a guest exports at once, as it is sent.
const LARGEST_EXPORT: usize = 1 << 20;
/// Bytes of a log record, as it is sent.
const LARGEST_RECORD: usize = 64 << 10;
/// Bytes that one takes beside its own, about.
const BESIDE: usize = 256;
/// Least time between two lines on what one workload had left out.
const QUIET: Duration = Duration::from_secs(60);

/// Where metrics and log records of guests wait to be sent. Cheap to clone. Without an export, they have no way.
#[derive(Clone, Default)]
pub struct Outbox {
    exported: Option<Arc<Exported>>,
}

struct Exported {
    queue: mpsc::Sender<Item>,
    /// Bytes.
    waiting: AtomicUsize,
    /// Enough of them for a request.
    full: Notify,
    /// What became of data points and log records, where they are exported.
    metrics: Option<Counts>,
    logs: Option<Counts>,
}

/// One workload's way out.
pub struct Signals {
    workload: Arc<str>,
    exported: Arc<Exported>,
    /// Bytes.
    waiting: Arc<AtomicUsize>,
    series: Mutex<Series>,
    left_out: Mutex<LeftOut>,
}

/// What waits.
struct Item {
    workload: Arc<str>,
    said: Said,
    bytes: usize,
    /// What its workload has waiting.
    waiting: Arc<AtomicUsize>,
}

enum Said {
    Metrics(Vec<ScopeMetrics>, u64),
    Log(Box<(Option<InstrumentationScope>, LogRecord)>),
}

/// Of one workload, since it was last said.
#[derive(Default)]
struct LeftOut {
    points: u64,
    records: u64,
    said: Option<Instant>,
}

// === impl Outbox ===

impl Outbox {
    /// A workload's way out; none where nothing is exported.
    #[must_use]
    pub fn of(&self, workload: &Arc<str>) -> Option<Signals> {
        let exported = self.exported.clone()?;
        Some(Signals {
            workload: workload.clone(),
            exported,
            waiting: Arc::default(),
            series: Mutex::new(Series::new(Instant::now())),
            left_out: Mutex::default(),
        })
    }

    /// What became of data points, where they are exported.
    #[must_use]
    pub fn metrics(&self) -> Option<ExportCounts> {
        self.exported.as_ref()?.metrics.as_ref().map(Counts::now)
    }

    /// What became of log records, where they are exported.
    #[must_use]
    pub fn logs(&self) -> Option<ExportCounts> {
        self.exported.as_ref()?.logs.as_ref().map(Counts::now)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("metrics", &self.metrics())
            .field("logs", &self.logs())
            .finish()
    }
}

// === impl Exported ===

impl Exported {
    /// Takes it if there is room for it, and wakes the worker when there is enough for a request.
    fn push(&self, of: &Signals, said: Said, bytes: usize) -> bool {
        let bytes = bytes + BESIDE;
        if !reserve(&of.waiting, bytes, MOST_OF_ONE) {
            return false;
        }
        if !reserve(&self.waiting, bytes, MOST_WAITING) {
            of.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        let (workload, waiting) = (of.workload.clone(), of.waiting.clone());
        // It fails when the export has ended, which then counts what comes as dropped.
        if self.queue.send(Item { workload, said, bytes, waiting }).is_err() {
            of.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        if self.waiting.load(Ordering::Relaxed) >= AT_ONCE {
            self.full.notify_one();
        }
        true
    }

    /// Gives back the room that something had.
    fn sent(&self, bytes: usize, waiting: &AtomicUsize) {
        waiting.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn reserve(waiting: &AtomicUsize, more: usize, most: usize) -> bool {
    let (order, look) = (Ordering::Relaxed, Ordering::Relaxed);
    let more = |now: usize| now.checked_add(more).filter(|sum| *sum <= most);
    waiting.fetch_update(order, look, more).is_ok()
}

// === impl Signals ===

impl Signals {
    /// Whether metrics go anywhere.
    #[must_use]
    pub fn take_metrics(&self) -> bool {
        self.exported.metrics.is_some()
    }

    /// Whether log records go anywhere.
    #[must_use]
    pub fn take_logs(&self) -> bool {
        self.exported.logs.is_some()
    }

    /// Takes what a guest measured. `left_out` of its points were so already.
    ///
    /// # Errors
    /// What was left out and why, for the guest.
    pub fn metrics(&self, mut scopes: Vec<ScopeMetrics>, left_out: u64) -> Result<(), String> {
        let Some(counts) = &self.exported.metrics else { return Ok(()) };
        let was_new = {
            let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            series.admit(&mut scopes, Instant::now())
        };
        let points = series::points(&scopes);
        let bytes = scopes.iter().map(prost::Message::encoded_len).sum();
        let mut why = Vec::new();
        if was_new > 0 {
            why.push(format!("a workload has at most {} series an hour", series::MOST));
        }
        let mut over = left_out + was_new;
        if bytes > LARGEST_EXPORT {
            why.push(format!("it is {bytes} bytes, and may be {LARGEST_EXPORT}"));
            over += points;
        } else if points > 0 && !self.exported.push(self, Said::Metrics(scopes, points), bytes) {
            counts.dropped(points);
            why.push("too many wait to be sent".to_owned());
        }
        if over > 0 {
            counts.over_limit(over);
            self.leave_out(over, 0);
        }
        match why.is_empty() {
            true => Ok(()),
            false => Err(why.join("; ")),
        }
    }

    /// Takes a record of a guest's log. Attributes that make it too large are left out of it.
    pub fn log(&self, scope: Option<InstrumentationScope>, mut record: LogRecord) {
        let Some(counts) = &self.exported.logs else { return };
        let scope_bytes = scope.as_ref().map_or(0, prost::Message::encoded_len);
        let mut bytes = record.encoded_len() + scope_bytes;
        while bytes > LARGEST_RECORD && record.attributes.pop().is_some() {
            record.dropped_attributes_count = record.dropped_attributes_count.saturating_add(1);
            bytes = record.encoded_len() + scope_bytes;
        }
        if bytes > LARGEST_RECORD {
            counts.over_limit(1);
            self.leave_out(0, 1);
        } else if !self.exported.push(self, Said::Log(Box::new((scope, record))), bytes) {
            counts.dropped(1);
        }
    }

    /// Says what was over a limit, not too often.
    fn leave_out(&self, points: u64, records: u64) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.points += points;
        left_out.records += records;
        if left_out.said.is_none_or(|said| said.elapsed() >= QUIET) {
            left_out.say(&self.workload);
        }
    }
}

impl LeftOut {
    fn say(&mut self, workload: &str) {
        let Self { points, records, .. } = *self;
        if points + records > 0 {
            tracing::warn!(
                workload,
                points,
                records,
                "Data points or log records of the workload were left out: more, or larger, than a workload may export."
            );
        }
        *self = Self { said: Some(Instant::now()), ..Self::default() };
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.left_out.get_mut().unwrap_or_else(PoisonError::into_inner).say(&self.workload);
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("workload", &self.workload).finish_non_exhaustive()
    }
}
