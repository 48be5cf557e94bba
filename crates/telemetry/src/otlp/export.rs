use std::fmt;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::{ExportCounts, OtlpConfig, Resources, Sampling, Sender, Stop, Target};
use crate::Error;
use crate::signals::{self, Outbox};
use crate::trace::{self, Batch, SharedBatch, Tracer};

/// What is exported, on its way out: from a thread of its own. The SDK's own processors cannot drive an
/// asynchronous HTTP client, have no limit on the time of a sending, and say nothing of drops before shutdown.
pub(crate) struct Export {
    spans: Option<Spans>,
    outbox: Outbox,
    stop: Arc<Stop>,
    ended: Mutex<Receiver<()>>,
}

struct Spans {
    provider: SdkTracerProvider,
    batch: Arc<Batch>,
}

impl Export {
    pub(crate) fn start(config: &OtlpConfig) -> Result<Self, Error> {
        let sender = |target: &Option<Target>| target.as_ref().map(Sender::new).transpose();
        let traces = sender(&config.traces)?;
        let (metrics, logs) = (sender(&config.metrics)?, sender(&config.logs)?);
        let resources = Arc::new(Resources::new(config.service.as_deref()));
        let stop = Arc::new(Stop::new());
        let (outbox, guests) =
            signals::outbox(metrics, logs, &resources, config.limits.delay, &stop);
        let (batch, spans) =
            traces.map(|sender| trace::batch(sender, &resources, config.limits, &stop)).unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Name look-ups, and certificates that are read.
            .max_blocking_threads(2)
            .build()
            .map_err(Error::Thread)?;
        let (ending, ended) = mpsc::sync_channel(0);
        thread::Builder::new()
            .name("reef-otlp".to_owned())
            .spawn(move || {
                // A receiver of one that hangs does not keep the other waiting.
                runtime.block_on(async {
                    tokio::join!(guests.run(), async {
                        if let Some(spans) = spans {
                            spans.run().await;
                        }
                    })
                });
                // A name look-up that hangs must not keep the thread.
                runtime.shutdown_background();
                drop(ending);
            })
            .map_err(Error::Thread)?;
        let spans = batch
            .map(|batch| Spans { provider: provider(config.sampling, &resources, &batch), batch });
        Ok(Self { spans, outbox, stop, ended: Mutex::new(ended) })
    }

    pub(crate) fn tracer(&self) -> Tracer {
        let Some(Spans { provider, batch }) = &self.spans else { return Tracer::off() };
        let scope =
            InstrumentationScope::builder("reef").with_version(env!("CARGO_PKG_VERSION")).build();
        Tracer::exporting(provider.tracer_with_scope(scope), Arc::clone(batch))
    }

    /// For what guests measure and log.
    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A way to read the counts of spans, if they are exported, that outlives this.
    pub(crate) fn counts(&self) -> impl Fn() -> Option<ExportCounts> + Send + Sync + use<> {
        let batch = self.spans.as_ref().map(|spans| Arc::clone(&spans.batch));
        move || batch.as_ref().map(|batch| batch.counts())
    }

    /// Sends what waits. Blocks for `deadline` at most; false when it was not enough.
    pub(crate) fn shutdown(&self, deadline: Duration) -> bool {
        if let Some(Spans { provider, .. }) = &self.spans {
            // What begins from now on is nothing.
            let _ = provider.shutdown_with_timeout(deadline);
        }
        // The rest of the time is for counting and reporting what could not be sent.
        self.stop.within(deadline - deadline / 10);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = !matches!(ended.recv_timeout(deadline), Err(mpsc::RecvTimeoutError::Timeout));
        ended && !self.stop.cut_short()
    }
}

fn provider(sampling: Sampling, resources: &Resources, batch: &Arc<Batch>) -> SdkTracerProvider {
    let ratio = Sampler::TraceIdRatioBased(sampling.ratio);
    let sampler = match sampling.parent_based {
        true => Sampler::ParentBased(Box::new(ratio)),
        false => ratio,
    };
    SdkTracerProvider::builder()
        .with_span_processor(SharedBatch(Arc::clone(batch)))
        .with_sampler(sampler)
        .with_resource(resources.own().clone())
        .build()
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("spans", &self.spans.is_some()).finish_non_exhaustive()
    }
}
