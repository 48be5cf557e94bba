use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::{Notify, mpsc as async_mpsc, watch};
use tracing::{info, warn};

use super::{BatchLimits, resource::Resources};
use crate::Error;

/// Least time between two complaints about lost spans.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// More than this is for ever, which a clock cannot count to.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(3600);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of spans so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Taken by the receiver.
    pub exported: u64,
    /// Dropped: too many waited.
    pub dropped: u64,
    /// Lost: they could not be sent in time, or the receiver refused them.
    pub failed: u64,
}

/// What the span-ending threads, the exporting thread and the HTTP client share.
#[derive(Debug)]
pub(super) struct Shared {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// Of the batch being sent, as said in a partial success.
    rejected: AtomicU64,
    /// Why the last sending failed, in the client's words: the exporter keeps only that it did.
    reason: Mutex<Option<String>>,
    waiting: AtomicUsize,
    /// A batch is full.
    full: Notify,
    /// The time given at shutdown passed with spans unsent.
    cut_short: AtomicBool,
    /// When set, what waits is sent until then and the thread ends.
    stop: watch::Sender<Option<Instant>>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            reason: Mutex::new(None),
            waiting: AtomicUsize::new(0),
            full: Notify::new(),
            cut_short: AtomicBool::new(false),
            stop: watch::Sender::new(None),
        }
    }

    pub(super) fn counts(&self) -> ExportCounts {
        ExportCounts {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn note_failure(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub(super) fn note_rejected(&self, spans: u64) {
        self.rejected.fetch_add(spans, Ordering::Relaxed);
    }

    pub(super) fn cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }

    fn take_reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A span that has ended, and whose it is.
struct Ended {
    span: SpanData,
    /// The workload that made it: without, this process did.
    workload: Option<Arc<str>>,
}

/// Queues ended spans and sends them from a thread of its own. The SDK's own batch processor cannot drive an
/// asynchronous HTTP client, has no limit on the time of a sending, and says nothing of drops before shutdown.
pub(super) struct Batch {
    spans: SyncSender<Ended>,
    flush: async_mpsc::Sender<SyncSender<()>>,
    ended: Mutex<Receiver<()>>,
    shared: Arc<Shared>,
    at_once: usize,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Batch {
    pub(super) fn start(
        exporter: impl SpanExporter + 'static,
        resources: Resources,
        limits: BatchLimits,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let (spans, queue) = mpsc::sync_channel(limits.queue);
        let (flush, flushes) = async_mpsc::channel(4);
        let (ending, ended) = mpsc::sync_channel(0);
        let worker = Worker {
            queue,
            limits,
            exporter,
            resources,
            shared: Arc::clone(&shared),
            reported: None,
            told: ExportCounts::default(),
            reason: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Name look-ups only.
            .max_blocking_threads(2)
            .build()
            .map_err(Error::Thread)?;
        thread::Builder::new()
            .name("reef-otlp".to_owned())
            .spawn(move || {
                runtime.block_on(worker.run(flushes));
                // A name look-up that hangs must not keep the thread.
                runtime.shutdown_background();
                drop(ending);
            })
            .map_err(Error::Thread)?;
        Ok(Self { spans, flush, ended: Mutex::new(ended), shared, at_once: limits.batch })
    }

    /// Takes a span that a workload made.
    pub(super) fn pass_on(&self, span: SpanData, workload: &Arc<str>) {
        self.push(Ended { span, workload: Some(Arc::clone(workload)) });
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
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The batch as the provider has it, beside those who bring spans that it did not make.
#[derive(Debug)]
pub(super) struct SharedBatch(pub(super) Arc<Batch>);

impl SpanProcessor for SharedBatch {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
}

impl SpanProcessor for Batch {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.push(Ended { span, workload: None });
    }

    fn force_flush(&self) -> OTelSdkResult {
        let (done, wait) = mpsc::sync_channel(1);
        self.flush
            .try_send(done)
            .map_err(|_| OTelSdkError::InternalFailure("the export has ended".to_owned()))?;
        wait.recv_timeout(FLUSH_TIMEOUT).map_err(|_| OTelSdkError::Timeout(FLUSH_TIMEOUT))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.shared.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                // The rest is for the worker to count and report what it could not send.
                let given = (timeout - timeout / 10).min(LONGEST_SHUTDOWN);
                *stop = Some(Instant::now() + given);
            }
            first
        });
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(timeout) {
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}

struct Worker<E> {
    queue: Receiver<Ended>,
    limits: BatchLimits,
    exporter: E,
    resources: Resources,
    shared: Arc<Shared>,
    /// When lost spans were last complained about, and how many there were.
    reported: Option<Instant>,
    told: ExportCounts,
    /// Why the last failure since then was one.
    reason: Option<String>,
}

impl<E: SpanExporter> Worker<E> {
    async fn run(mut self, mut flushes: async_mpsc::Receiver<SyncSender<()>>) {
        let shared = Arc::clone(&self.shared);
        let mut stop = shared.stop.subscribe();
        loop {
            let flushed = tokio::select! {
                _ = stop.wait_for(Option::is_some) => None,
                flush = flushes.recv() => flush,
                () = shared.full.notified() => None,
                () = tokio::time::sleep(self.limits.delay) => None,
            };
            // Read before the queue: what ended before a stop is sent.
            let stopping = shared.stop.borrow().is_some();
            self.send_waiting().await;
            self.report(stopping);
            if let Some(flushed) = flushed {
                let _ = flushed.try_send(());
            }
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
            let Some(workload) = workload else {
                self.send(spans).await;
                continue;
            };
            // One exporter sends for all of them, one after the other.
            self.exporter.set_resource(&self.resources.of(&workload));
            self.send(spans).await;
            self.exporter.set_resource(self.resources.own());
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let shared = &self.shared;
        shared.rejected.store(0, Ordering::Relaxed);
        shared.take_reason();
        let sending = tokio::time::timeout(self.limits.timeout, self.exporter.export(batch));
        let failure = tokio::select! {
            result = sending => match result {
                Ok(Ok(())) => None,
                // The client's own reason, if it had one, says more.
                Ok(Err(error)) => Some(shared.take_reason().unwrap_or_else(|| error.to_string())),
                Err(_) => Some(format!("no success within {} s", self.limits.timeout.as_secs_f64())),
            },
            () = past_stop(shared.stop.subscribe()) => {
                shared.cut_short.store(true, Ordering::Relaxed);
                Some("the process ended before they were sent".to_owned())
            }
        };
        let rejected = shared.rejected.load(Ordering::Relaxed).min(spans);
        let failed = if failure.is_none() { rejected } else { spans };
        shared.failed.fetch_add(failed, Ordering::Relaxed);
        shared.exported.fetch_add(spans - failed, Ordering::Relaxed);
        if failed > 0 {
            self.reason = failure.or_else(|| shared.take_reason());
        }
    }

    /// Says what was lost since it was last said, at most once a minute and at the end.
    fn report(&mut self, last: bool) {
        let now = self.shared.counts();
        let dropped = now.dropped - self.told.dropped;
        let failed = now.failed - self.told.failed;
        let due = last || self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if dropped + failed > 0 && due {
            let reason = self.reason.take().unwrap_or_else(|| "too many waited".to_owned());
            warn!(dropped, failed, reason, "spans were lost");
            self.reported = Some(Instant::now());
            self.told = now;
        } else if self.reported.is_some() && now.exported > self.told.exported && due {
            info!("spans are exported again");
            self.reported = None;
            self.told = now;
        }
    }
}

/// Ends when the time given at shutdown has passed.
async fn past_stop(mut stop: watch::Receiver<Option<Instant>>) {
    let at = match stop.wait_for(Option::is_some).await {
        Ok(at) => *at,
        Err(_) => None,
    };
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
