use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use reef_meter::HistogramSnapshot;

mod gate;
mod process;
#[cfg(test)]
mod tests;
mod text;
mod workload;

pub use gate::{GateSnapshot, gate_families};
pub use text::{CONTENT_TYPE, MAX_SAMPLES_PER_FAMILY};
pub use workload::workload_families;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets; its name ends in `_seconds`.
    Histogram,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count or a number of bytes.
    Integer(u64),
    /// Anything else, in base units (seconds, ratios).
    Float(f64),
    /// For [`Kind::Histogram`] and nothing else.
    Histogram(HistogramSnapshot),
}

/// One value of a family, told apart by its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Names are fixed and few. Values may be any text, from a set that deployment bounds (a workload, a status
    /// class, a route of the manifest) and never from a request (a path, a host, a client).
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// Values of one name (Prometheus: a metric).
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, starting with `reef_` unless a convention has another name, ending in its unit.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// The values; no two with the same labels.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without samples.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: Value) -> Self {
        self.push(labels, value);
        self
    }

    /// Adds a value.
    pub fn push(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(Sample { labels, value });
    }
}

type Collector = dyn Fn(&mut Vec<Family>) + Send + Sync;

/// What is scraped: collectors that read their values when asked. Clones share them.
///
/// The process's own numbers (`process_*`, as the Prometheus client libraries name them) are always there.
#[derive(Clone)]
pub struct Metrics {
    collectors: Arc<RwLock<Vec<Box<Collector>>>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The process's numbers and nothing else yet.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self { collectors: Arc::default() };
        metrics.register(process::collect);
        metrics
    }

    /// Adds a collector, called at each scrape on the thread that answers it: it must be quick and not wait.
    /// Families of the same name from several collectors are joined.
    pub fn register(&self, collector: impl Fn(&mut Vec<Family>) + Send + Sync + 'static) {
        let mut collectors = self.collectors.write().unwrap_or_else(PoisonError::into_inner);
        collectors.push(Box::new(collector));
    }

    /// Every family now, in the Prometheus text format ([`CONTENT_TYPE`]), sorted by name.
    #[must_use]
    pub fn render(&self) -> String {
        let mut families = Vec::new();
        for collector in self.collectors.read().unwrap_or_else(PoisonError::into_inner).iter() {
            collector(&mut families);
        }
        text::render(families)
    }
}
