//! What a running `reef` tells the people who operate it: logs on standard error, Prometheus metrics
//! and health for the admin address, and by OTLP traces with W3C context and what guests measure and log by
//! themselves. Values are counted elsewhere (`reef-meter`); this crate renders and ships them, and never makes a
//! request wait for it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod admin;
mod error;
mod health;
mod logs;
mod metrics;
mod otlp;
mod signals;
mod telemetry;
mod trace;

pub use admin::respond;
pub use error::Error;
pub use health::{Answer, Health, State};
pub use logs::{Color, Journal, JournalEntry, LogConfig, LogFormat, init, init_to, subscriber};
pub use metrics::{
    CONTENT_TYPE, Family, GateSnapshot, Kind, MAX_SAMPLES_PER_FAMILY, Metrics, Sample, Value,
    gate_families, workload_families,
};
pub use otlp::{BatchLimits, ExportCounts, OtlpConfig, Sampling, Target};
pub use signals::{Outbox, Signals};
pub use telemetry::Telemetry;
pub use trace::{RequestSpan, SpanKind, SpanParent, TraceId, Tracer, attributes};
