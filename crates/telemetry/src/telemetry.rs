use std::fmt;
use std::time::Duration;

use crate::metrics::{Family, Kind, Value};
use crate::trace::Export;
use crate::{Error, ExportCounts, Health, Metrics, TraceConfig, Tracer};

/// The telemetry of a serving process: metrics and health to show, traces to send.
pub struct Telemetry {
    metrics: Metrics,
    health: Health,
    tracer: Tracer,
    export: Option<Export>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("health", &self.health)
            .field("exporting", &self.export.is_some())
            .finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Starts the export of traces, on a thread of its own, if there is one to be. It need not run inside an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// What of the export's configuration cannot be used. That nobody listens at the endpoint is no error: it
    /// may come up later.
    pub fn start(traces: Option<&TraceConfig>) -> Result<Self, Error> {
        let export = traces.map(Export::start).transpose()?;
        let metrics = Metrics::new();
        let tracer = match &export {
            None => Tracer::off(),
            Some(export) => {
                let counts = export.counts();
                metrics.register(move |out| show(counts(), out));
                export.tracer()
            }
        };
        Ok(Self { metrics, health: Health::new(), tracer, export })
    }

    /// What `/metrics` shows.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What probes ask about.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// For the request path.
    #[must_use]
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Spans exported and lost so far; none when nothing is exported.
    #[must_use]
    pub fn export_counts(&self) -> Option<ExportCounts> {
        self.export.as_ref().map(|export| export.counts()())
    }

    /// Sends the spans that wait, and ends the export; spans that end later are dropped. Blocks the thread, for
    /// `deadline` at most: false when that was not enough.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        self.export.as_ref().is_none_or(|export| export.shutdown(deadline))
    }
}

fn show(counts: ExportCounts, out: &mut Vec<Family>) {
    out.push(
        Family::new(
            "reef_spans_exported_total",
            Kind::Counter,
            "Spans taken by the OTLP receiver.",
        )
        .with(&[], Value::Integer(counts.exported)),
    );
    out.push(
        Family::new(
            "reef_spans_lost_total",
            Kind::Counter,
            "Spans that did not reach the OTLP receiver.",
        )
        .with(&[("reason", "queue_full")], Value::Integer(counts.dropped))
        .with(&[("reason", "export_failed")], Value::Integer(counts.failed)),
    );
}
