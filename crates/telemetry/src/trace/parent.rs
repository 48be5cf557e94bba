use std::sync::Arc;

use http::{HeaderMap, Method, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind};
use opentelemetry_sdk::trace::SpanData;
use reef_capability::{Span, Trace};

use super::span::{Exported, known};
use super::{RequestSpan, attributes, w3c};

/// Begins spans below a request's: what its guest asks of others. Cheap to clone, and outlives the request.
#[derive(Debug, Clone)]
pub struct SpanParent {
    tracer: Arc<Exported>,
    context: SpanContext,
}

impl SpanParent {
    pub(super) const fn new(tracer: Arc<Exported>, context: SpanContext) -> Self {
        Self { tracer, context }
    }

    /// The span's own context.
    #[must_use]
    pub const fn context(&self) -> &SpanContext {
        &self.context
    }

    /// Exports a span that somebody else made, a guest, as one of its workload's: in the resource, the workload is the
    /// service. `reef.workload` is put onto the span, too.
    pub fn pass_on(&self, mut span: SpanData, workload: &Arc<str>) {
        span.attributes.push(KeyValue::new(attributes::WORKLOAD, workload.to_string()));
        self.tracer.batch.pass_on(span, workload);
    }

    /// The span of an HTTP request that goes out, named in its `headers` as the parent of what answers it.
    ///
    /// Where they name a parent of the same trace already, the guest has a span of its own: that is then the parent
    /// of this one.
    #[must_use]
    pub fn http(&self, method: &Method, url: &Uri, headers: &mut HeaderMap) -> RequestSpan {
        let own = w3c::extract(headers).filter(|own| own.trace_id() == self.context.trace_id());
        let (method, original) = known(method);
        let mut given = Vec::with_capacity(8);
        given.push(KeyValue::new(attributes::METHOD, method));
        if let Some(original) = original {
            given.push(KeyValue::new(attributes::METHOD_ORIGINAL, original));
        }
        let name = if method == "_OTHER" { "HTTP" } else { method };
        let builder =
            SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(given);
        let parent = own.unwrap_or_else(|| self.context.clone());
        let mut span = RequestSpan::start(&self.tracer, builder, Some(parent));
        span.url(url);
        span.inject(headers);
        span
    }
}

impl Trace for SpanParent {
    fn begin(&self, name: &str, attributes: &[(&'static str, &str)]) -> Box<dyn Span> {
        // What is sent is for somebody who takes it later; all else is asked and answered
        // (semantic conventions for messaging spans, "Span kind").
        const SENDING: [&str; 3] = ["send", "publish", "enqueue"];
        let sends = attributes
            .iter()
            .any(|(key, value)| *key == "messaging.operation.name" && SENDING.contains(value));
        let mut given: Vec<_> = attributes
            .iter()
            .map(|(key, value)| KeyValue::new(*key, (*value).to_owned()))
            .collect();
        if sends {
            given.push(KeyValue::new("messaging.operation.type", "send"));
        }
        let kind = if sends { SpanKind::Producer } else { SpanKind::Client };
        let builder =
            SpanBuilder::from_name(name.to_owned()).with_kind(kind).with_attributes(given);
        Box::new(RequestSpan::start(&self.tracer, builder, Some(self.context.clone())))
    }
}

impl Span for RequestSpan {
    fn fail(&mut self, kind: &'static str, why: &str) {
        RequestSpan::fail(self, kind, why);
    }
}
