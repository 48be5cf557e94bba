//! What a guest asks of others, as spans below that of the request it works for.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderMap, Method, Uri};
use opentelemetry::trace::SpanContext;
use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope, logs::v1::LogRecord, metrics::v1::ScopeMetrics,
};
use opentelemetry_sdk::trace::SpanData;
use reef_capability::{Span, Trace};
use reef_telemetry::{RequestSpan, Signals, SpanParent};
use reef_wasi::{GuestTrace, HttpSpan, Signals as GuestSignals, Traced};

/// What of a request's trace its guest needs. Empty, and nothing allocated, where nothing is traced.
pub(super) fn traced(span: &RequestSpan, workload: &Arc<str>) -> Traced {
    let mut headers = HeaderMap::new();
    span.inject(&mut headers);
    let spans = span.as_parent().map(|parent| {
        let (workload, passed) = (workload.clone(), AtomicU32::new(0));
        Arc::new(Below { parent, workload, passed }) as Arc<dyn GuestTrace>
    });
    Traced { headers, spans }
}

/// Spans of its own that a guest may have in one request. Others' wait in the same queue.
const MOST: u32 = 1000;

struct Below {
    parent: SpanParent,
    workload: Arc<str>,
    /// Spans of the guest's own.
    passed: AtomicU32,
}

struct Sent(RequestSpan);

/// A workload's way out for what it measures and logs by itself.
struct Way(Signals);

pub(crate) fn signals(signals: Signals) -> Arc<dyn GuestSignals> {
    Arc::new(Way(signals))
}

impl Trace for Below {
    fn begin(&self, name: &str, attributes: &[(&'static str, &str)]) -> Box<dyn Span> {
        self.parent.begin(name, attributes)
    }
}

impl GuestTrace for Below {
    fn http(&self, method: &Method, url: &Uri, headers: &mut HeaderMap) -> Box<dyn HttpSpan> {
        Box::new(Sent(self.parent.http(method, url, headers)))
    }

    fn context(&self) -> SpanContext {
        self.parent.context().clone()
    }

    fn pass_on(&self, span: SpanData) {
        // Far from wrapping: each is a call of the guest, which has a deadline.
        if self.passed.fetch_add(1, Ordering::Relaxed) < MOST {
            self.parent.pass_on(span, &self.workload);
        }
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        let more = self.passed.get_mut().saturating_sub(MOST);
        if more > 0 {
            let (workload, spans) = (&*self.workload, more);
            tracing::warn!(
                workload,
                spans,
                "Spans of a guest were left out: a request has at most {MOST}."
            );
        }
    }
}

impl Span for Sent {
    fn fail(&mut self, kind: &'static str, why: &str) {
        self.0.fail(kind, why);
    }
}

impl HttpSpan for Sent {
    fn answered(&mut self, status: u16) {
        self.0.set_status(status);
    }
}

impl GuestSignals for Way {
    fn metrics(&self, metrics: Vec<ScopeMetrics>, left_out: u64) -> Result<(), String> {
        self.0.metrics(metrics, left_out)
    }

    fn take_metrics(&self) -> bool {
        self.0.take_metrics()
    }

    fn log(&self, scope: Option<InstrumentationScope>, record: LogRecord) {
        self.0.log(scope, record);
    }

    fn take_logs(&self) -> bool {
        self.0.take_logs()
    }
}
