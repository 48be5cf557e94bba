use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use prost::Message as _;

use super::{AT_ONCE, Exported, Item, Outbox, Said};
use crate::otlp::{Counts, Report, Resources, Sender, Stop};

/// Sends what waits.
pub(crate) struct Worker {
    queue: Receiver<Item>,
    exported: Arc<Exported>,
    metrics: Option<(Sender, Report)>,
    logs: Option<(Sender, Report)>,
    resources: Arc<Resources>,
    delay: Duration,
    stop: Arc<Stop>,
}

/// Of one workload, for one request each.
#[derive(Default)]
struct Gathered {
    metrics: Vec<ScopeMetrics>,
    points: u64,
    logs: Vec<(Option<InstrumentationScope>, LogRecord)>,
    bytes: usize,
    /// To be given back when it has been sent.
    room: Vec<(usize, Arc<AtomicUsize>)>,
}

/// A place where guests' metrics and log records wait, and what sends them until `stop`.
pub(crate) fn outbox(
    metrics: Option<Sender>,
    logs: Option<Sender>,
    resources: &Arc<Resources>,
    delay: Duration,
    stop: &Arc<Stop>,
) -> (Outbox, Worker) {
    let (sender, queue) = mpsc::channel();
    let counts = |sender: &Option<Sender>| sender.as_ref().map(|_| Counts::default());
    let exported = Arc::new(Exported {
        queue: sender,
        waiting: Default::default(),
        full: Default::default(),
        metrics: counts(&metrics),
        logs: counts(&logs),
    });
    let exports = metrics.is_some() || logs.is_some();
    let worker = Worker {
        queue,
        exported: exported.clone(),
        metrics: metrics.map(|sender| (sender, Report::on("data points of guests"))),
        logs: logs.map(|sender| (sender, Report::on("log records of guests"))),
        resources: resources.clone(),
        delay,
        stop: stop.clone(),
    };
    (Outbox { exported: exports.then_some(exported) }, worker)
}

impl Worker {
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.stop.asked() => {}
                () = self.exported.full.notified() => {}
                () = tokio::time::sleep(self.delay) => {}
            }
            // Read before the queue: what was there before a stop is sent.
            let stopping = self.stop.is_asked();
            self.send_waiting().await;
            for (sent, counts) in
                [(&mut self.metrics, &self.exported.metrics), (&mut self.logs, &self.exported.logs)]
            {
                if let (Some((_, report)), Some(counts)) = (sent, counts) {
                    report.look(counts.now(), stopping);
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Each workload's by itself, in requests of bounded size.
    async fn send_waiting(&mut self) {
        let mut by_workload = BTreeMap::<Arc<str>, Gathered>::new();
        // No more than was allowed to wait.
        let waiting: Vec<_> = self.queue.try_iter().collect();
        for Item { workload, said, bytes, waiting } in waiting {
            let gathered = by_workload.entry(workload.clone()).or_default();
            if gathered.bytes + bytes > AT_ONCE {
                let full = std::mem::take(gathered);
                self.send(&workload, full).await;
            }
            let gathered = by_workload.entry(workload).or_default();
            gathered.bytes += bytes;
            gathered.room.push((bytes, waiting));
            match said {
                Said::Metrics(scopes, points) => {
                    gathered.metrics.extend(scopes);
                    gathered.points += points;
                }
                Said::Log(log) => gathered.logs.push(*log),
            }
        }
        for (workload, gathered) in by_workload {
            self.send(&workload, gathered).await;
        }
    }

    async fn send(&mut self, workload: &str, gathered: Gathered) {
        let Gathered { metrics, points, logs, room, .. } = gathered;
        let resource = ResourceAttributesWithSchema::from(&self.resources.of(workload));
        let schema_url = resource.schema_url.unwrap_or_default();
        let resource = Some(Resource { attributes: resource.attributes.0, ..Resource::default() });
        if let (Some((sender, report)), Some(counts)) = (&mut self.metrics, &self.exported.metrics)
            && points > 0
        {
            let (resource, schema_url) = (resource.clone(), schema_url.clone());
            let of_one = ResourceMetrics { resource, scope_metrics: metrics, schema_url };
            let batch = ExportMetricsServiceRequest { resource_metrics: vec![of_one] };
            let sent = sender.send(batch.encode_to_vec(), &self.stop).await;
            counts.sent(points, report.outcome(sent));
        }
        if let (Some((sender, report)), Some(counts)) = (&mut self.logs, &self.exported.logs)
            && !logs.is_empty()
        {
            let records = logs.len() as u64;
            let of_one = ResourceLogs { resource, scope_logs: by_scope(logs), schema_url };
            let batch = ExportLogsServiceRequest { resource_logs: vec![of_one] };
            let sent = sender.send(batch.encode_to_vec(), &self.stop).await;
            counts.sent(records, report.outcome(sent));
        }
        for (bytes, waiting) in room {
            self.exported.sent(bytes, &waiting);
        }
    }
}

/// Those that follow each other in one scope are sent with it once.
fn by_scope(logs: Vec<(Option<InstrumentationScope>, LogRecord)>) -> Vec<ScopeLogs> {
    let mut scopes: Vec<ScopeLogs> = Vec::new();
    for (scope, record) in logs {
        match scopes.last_mut().filter(|last| last.scope == scope) {
            Some(last) => last.log_records.push(record),
            None => {
                let log_records = vec![record];
                scopes.push(ScopeLogs { scope, log_records, ..ScopeLogs::default() });
            }
        }
    }
    scopes
}
