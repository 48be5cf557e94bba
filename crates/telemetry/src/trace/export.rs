use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _};

use super::batch::{Batch, ExportCounts, Shared, SharedBatch};
use super::client::Client;
use super::resource::Resources;
use super::{Sampling, TraceConfig, Tracer};
use crate::Error;

/// Spans on their way out.
#[derive(Debug)]
pub(crate) struct Export {
    provider: SdkTracerProvider,
    shared: Arc<Shared>,
    batch: Arc<Batch>,
}

impl Export {
    pub(crate) fn start(config: &TraceConfig) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new());
        let client =
            Client::new(&config.endpoint, config.authorities.as_deref(), Arc::clone(&shared))?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(config.endpoint.to_string())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(config.limits.timeout)
            .build()?;
        let resources = Resources::new(config.service.as_deref());
        let resource = resources.own().clone();
        // The SDK would do it through the processor, which has moved the exporter to its thread by then.
        exporter.set_resource(&resource);
        let batch =
            Arc::new(Batch::start(exporter, resources, config.limits, Arc::clone(&shared))?);
        let ratio = Sampler::TraceIdRatioBased(config.sampling.ratio);
        let sampler = match config.sampling {
            Sampling { parent_based: true, .. } => Sampler::ParentBased(Box::new(ratio)),
            Sampling { parent_based: false, .. } => ratio,
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(SharedBatch(Arc::clone(&batch)))
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self { provider, shared, batch })
    }

    pub(crate) fn tracer(&self) -> Tracer {
        let scope =
            InstrumentationScope::builder("reef").with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = self.provider.tracer_with_scope(scope);
        Tracer::exporting(tracer, Arc::clone(&self.batch))
    }

    /// A way to read the counts that outlives this.
    pub(crate) fn counts(&self) -> impl Fn() -> ExportCounts + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.counts()
    }

    /// Sends what waits. Blocks for `deadline` at most; false when it was not enough.
    pub(crate) fn shutdown(&self, deadline: Duration) -> bool {
        self.provider.shutdown_with_timeout(deadline).is_ok() && !self.shared.cut_short()
    }
}
