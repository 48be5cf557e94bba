use std::fmt;
use std::time::Duration;

use crate::metrics::{Family, Kind, Value};
use crate::otlp::Export;
use crate::{Error, ExportCounts, Health, Metrics, OtlpConfig, Outbox, Tracer};

/// The telemetry of a serving process: metrics and health to show, traces to send, and what its guests measure and
/// log.
pub struct Telemetry {
    metrics: Metrics,
    health: Health,
    tracer: Tracer,
    outbox: Outbox,
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
    /// Starts the export, on a thread of its own, if there is one to be. It need not run inside an
    /// asynchronous runtime.
    ///
    /// # Errors
    /// What of the export's configuration cannot be used. That nobody listens at the endpoint is no error: it
    /// may come up later.
    pub fn start(otlp: Option<&OtlpConfig>) -> Result<Self, Error> {
        let export = otlp.map(Export::start).transpose()?;
        let metrics = Metrics::new();
        let (tracer, outbox) = match &export {
            None => (Tracer::off(), Outbox::default()),
            Some(export) => {
                let (counts, outbox) = (export.counts(), export.outbox().clone());
                let of_guests = outbox.clone();
                metrics.register(move |out| {
                    if let Some(counts) = counts() {
                        show(&SPANS, counts, out);
                    }
                    if let Some(counts) = of_guests.metrics() {
                        show(&DATA_POINTS, counts, out);
                    }
                    if let Some(counts) = of_guests.logs() {
                        show(&LOG_RECORDS, counts, out);
                    }
                });
                (export.tracer(), outbox)
            }
        };
        Ok(Self { metrics, health: Health::new(), tracer, outbox, export })
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

    /// For what guests measure and log.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Spans exported and lost so far; none when none are exported.
    #[must_use]
    pub fn export_counts(&self) -> Option<ExportCounts> {
        self.export.as_ref().and_then(|export| export.counts()())
    }

    /// Sends what waits, and ends the export; what comes later is dropped. Blocks the thread, for
    /// `deadline` at most: false when that was not enough.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        self.export.as_ref().is_none_or(|export| export.shutdown(deadline))
    }
}

/// Names and explanations of two families.
struct Shown {
    exported: (&'static str, &'static str),
    lost: (&'static str, &'static str),
    /// Whether guests have limits that more can be over.
    limited: bool,
}

const SPANS: Shown = Shown {
    exported: ("reef_spans_exported_total", "Spans taken by the OTLP receiver."),
    lost: ("reef_spans_lost_total", "Spans that did not reach the OTLP receiver."),
    limited: false,
};
const DATA_POINTS: Shown = Shown {
    exported: (
        "reef_guest_data_points_exported_total",
        "Data points of guests' metrics taken by the OTLP receiver.",
    ),
    lost: (
        "reef_guest_data_points_lost_total",
        "Data points of guests' metrics that did not reach the OTLP receiver.",
    ),
    limited: true,
};
const LOG_RECORDS: Shown = Shown {
    exported: (
        "reef_guest_log_records_exported_total",
        "Log records of guests taken by the OTLP receiver.",
    ),
    lost: (
        "reef_guest_log_records_lost_total",
        "Log records of guests that did not reach the OTLP receiver.",
    ),
    limited: true,
};

fn show(shown: &Shown, counts: ExportCounts, out: &mut Vec<Family>) {
    let (name, help) = shown.exported;
    out.push(Family::new(name, Kind::Counter, help).with(&[], Value::Integer(counts.exported)));
    let (name, help) = shown.lost;
    let lost = Family::new(name, Kind::Counter, help)
        .with(&[("reason", "queue_full")], Value::Integer(counts.dropped))
        .with(&[("reason", "export_failed")], Value::Integer(counts.failed));
    out.push(match shown.limited {
        true => lost.with(&[("reason", "limit")], Value::Integer(counts.over_limit)),
        false => lost,
    });
}
