use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use tokio::sync::Notify;

use crate::otlp::{BatchLimits, Counts, ExportCounts, Report, Resources, Sender, Stop};

/// What the span-ending threads and the exporting thread share.
#[derive(Debug, Default)]
struct Shared {
    counts: Counts,
    waiting: AtomicUsize,
    /// A batch is full.
    full: Notify,
}

/// A span that has ended, and whose it is.
struct Ended {
    span: SpanData,
    /// The workload that made it: without, this process did.
    workload: Option<Arc<str>>,
}

/// Queues ended spans.
pub(crate) struct Batch {
    spans: SyncSender<Ended>,
    shared: Arc<Shared>,
    at_once: usize,
}

/// Sends them.
pub(crate) struct Worker {
    queue: Receiver<Ended>,
    limits: BatchLimits,
    sender: Sender,
    resources: Arc<Resources>,
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    report: Report,
}

/// A queue of spans, and what sends them until `stop`.
pub(crate) fn batch(
    sender: Sender,
    resources: &Arc<Resources>,
    limits: BatchLimits,
    stop: &Arc<Stop>,
) -> (Arc<Batch>, Worker) {
    let (spans, queue) = mpsc::sync_channel(limits.queue);
    let shared = Arc::<Shared>::default();
    let worker = Worker {
        queue,
        limits,
        sender,
        resources: resources.clone(),
        shared: shared.clone(),
        stop: stop.clone(),
        report: Report::on("spans"),
    };
    (Arc::new(Batch { spans, shared, at_once: limits.batch }), worker)
}

// === impl Batch ===

impl Batch {
    /// Takes a span that a workload made.
    pub(super) fn pass_on(&self, span: SpanData, workload: &Arc<str>) {
        self.push(Ended { span, workload: Some(Arc::clone(workload)) });
    }

    pub(crate) fn counts(&self) -> ExportCounts {
        self.shared.counts.now()
    }

    fn push(&self, ended: Ended) {
        if !ended.span.span_context.is_sampled() {
            return;
        }
        // Counted before it is sent, so that the worker never subtracts what was not yet added.
        let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        match self.spans.try_send(ended) {
            // The worker sleeps until a batch is full or its delay is over: ending a span wakes nobody.
            Ok(()) if waiting == self.at_once => self.shared.full.notify_one(),
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                self.shared.counts.dropped(1);
            }
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// The batch as the provider has it, beside those who bring spans that it did not make. It is flushed and ended by
/// the export, and not by the provider.
#[derive(Debug)]
pub(crate) struct SharedBatch(pub(crate) Arc<Batch>);

impl SpanProcessor for SharedBatch {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(Ended { span, workload: None });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.stop.asked() => {}
                () = self.shared.full.notified() => {}
                () = tokio::time::sleep(self.limits.delay) => {}
            }
            // Read before the queue: what ended before a stop is sent.
            let stopping = self.stop.is_asked();
            self.send_waiting().await;
            self.report.look(self.shared.counts.now(), stopping);
            if stopping {
                return;
            }
        }
    }

    /// Sends what waits now; what comes meanwhile waits for the next time, unless it fills a batch.
    async fn send_waiting(&mut self) {
        loop {
            let batch: Vec<_> = self.queue.try_iter().take(self.limits.batch).collect();
            let spans = batch.len();
            if spans == 0 {
                return;
            }
            self.shared.waiting.fetch_sub(spans, Ordering::Relaxed);
            self.send_all(batch).await;
            if spans < self.limits.batch {
                return;
            }
        }
    }

    /// Sends what this process made, and then what each workload made, as its own.
    async fn send_all(&mut self, batch: Vec<Ended>) {
        let mut by_workload = BTreeMap::<Option<Arc<str>>, Vec<SpanData>>::new();
        for Ended { span, workload } in batch {
            by_workload.entry(workload).or_default().push(span);
        }
        for (workload, spans) in by_workload {
            match workload {
                None => self.send(spans, &self.resources.own().clone()).await,
                Some(workload) => self.send(spans, &self.resources.of(&workload)).await,
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>, resource: &Resource) {
        let spans = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &resource.into());
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let sent = self.sender.send(body, &self.stop).await;
        let outcome = self.report.outcome(sent);
        self.shared.counts.sent(spans, outcome);
    }
}
