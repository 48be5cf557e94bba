mod batch;
mod client;
mod config;
mod export;
mod parent;
mod resource;
mod span;
#[cfg(test)]
mod tests;
mod w3c;

pub use batch::ExportCounts;
pub use config::{BatchLimits, Sampling, TraceConfig};
pub(crate) use export::Export;
pub use opentelemetry::TraceId;
pub use opentelemetry::trace::SpanKind;
pub use parent::SpanParent;
pub use span::{RequestSpan, Tracer, attributes};
