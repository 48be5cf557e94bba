mod batch;
mod parent;
mod span;
#[cfg(test)]
mod tests;
mod w3c;

pub(crate) use batch::{Batch, SharedBatch, batch};
pub use opentelemetry::TraceId;
pub use opentelemetry::trace::SpanKind;
pub use parent::SpanParent;
pub use span::{RequestSpan, Tracer, attributes};
