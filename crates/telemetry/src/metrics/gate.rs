use reef_capability::{Gate, UsageSnapshot};
use reef_meter::HistogramSnapshot;

use super::{Family, Kind, Value};

/// What was done over one link until now.
#[derive(Debug, Clone)]
pub struct GateSnapshot {
    workload: String,
    link: String,
    capability: &'static str,
    system: &'static str,
    usage: Vec<UsageSnapshot>,
    missed: u64,
}

impl From<&Gate> for GateSnapshot {
    fn from(gate: &Gate) -> Self {
        Self {
            workload: gate.workload().to_string(),
            link: gate.link().to_string(),
            capability: gate.capability(),
            system: gate.system(),
            usage: gate.usage().snapshot(),
            missed: gate.usage().missed(),
        }
    }
}

/// Adds the uses of links: how long they took, under the name that OpenTelemetry's semantic conventions have for
/// clients of databases (`db.client.operation.duration`) and of messaging systems
/// (`messaging.client.operation.duration`), in the spelling of Prometheus, those that failed by `error_type`; and how
/// many failed.
///
/// Several links of one workload, name, backend and capability are told as one: a workload that is made anew
/// beside the one that still ends has them twice.
pub fn gate_families(out: &mut Vec<Family>, gates: impl IntoIterator<Item = GateSnapshot>) {
    let mut databases = Family::new(
        "db_client_operation_duration_seconds",
        Kind::Histogram,
        "Time that uses of links to stores and databases took.",
    );
    let mut messaging = Family::new(
        "messaging_client_operation_duration_seconds",
        Kind::Histogram,
        "Time that uses of links to messaging systems took.",
    );
    let mut failures = Family::new(
        "reef_link_failures_total",
        Kind::Counter,
        "Uses of links that failed, by the class of the error.",
    );
    let mut missed = Family::new(
        "reef_link_missed_total",
        Kind::Counter,
        "Changes of stores that came faster than they were handled, and were missed.",
    );
    let mut gates: Vec<_> = gates.into_iter().collect();
    gates.sort_by(|a, b| a.identity().cmp(&b.identity()));
    for gates in gates.chunk_by(|a, b| a.identity() == b.identity()) {
        let [first, rest @ ..] = gates else { continue };
        let mut all = first.usage.clone();
        for one in rest.iter().flat_map(|gate| &gate.usage) {
            match all.iter_mut().find(|known| known.operation == one.operation) {
                None => all.push(one.clone()),
                Some(known) => join(known, one),
            }
        }
        let misses: u64 = gates.iter().map(|gate| gate.missed).sum();
        if misses > 0 {
            let labels = [
                ("reef_workload", &*first.workload),
                ("reef_link", &*first.link),
                ("reef_capability", first.capability),
            ];
            missed.push(&labels, Value::Integer(misses));
        }
        let is_messaging = first.capability == "messaging";
        let (family, system, operation) = match is_messaging {
            true => (&mut messaging, "messaging_system", "messaging_operation_name"),
            false => (&mut databases, "db_system_name", "db_operation_name"),
        };
        for one in all {
            let labels = [
                ("reef_workload", &*first.workload),
                ("reef_link", &*first.link),
                ("reef_capability", first.capability),
                (system, first.system),
                (operation, one.operation),
            ];
            let mut well = one.took;
            for (kind, took) in one.failed {
                let [workload, link, capability, system, operation] = labels;
                let error = ("error_type", kind);
                let of = [workload, link, capability, ("operation", one.operation), error];
                failures.push(&of, Value::Integer(took.count()));
                well = well.without(&took);
                let of = [workload, link, capability, system, operation, error];
                family.push(&of, Value::Histogram(took));
            }
            if well.count() > 0 {
                family.push(&labels, Value::Histogram(well));
            }
        }
    }
    out.extend(
        [databases, messaging, failures, missed].into_iter().filter(|f| !f.samples.is_empty()),
    );
}

impl GateSnapshot {
    fn identity(&self) -> (&str, &str, &'static str, &'static str) {
        (&self.workload, &self.link, self.capability, self.system)
    }
}

fn join(into: &mut UsageSnapshot, other: &UsageSnapshot) {
    add(&mut into.took, &other.took);
    for (kind, took) in &other.failed {
        match into.failed.iter_mut().find(|(known, _)| known == kind) {
            None => into.failed.push((kind, took.clone())),
            Some((_, known)) => add(known, took),
        }
    }
}

fn add(into: &mut HistogramSnapshot, other: &HistogramSnapshot) {
    for (sum, more) in into.counts.iter_mut().zip(&other.counts) {
        *sum += more;
    }
    into.sum_nanos += other.sum_nanos;
}
