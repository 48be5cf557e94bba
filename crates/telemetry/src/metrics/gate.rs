use reef_capability::{Gate, UsageSnapshot};

use super::{Family, Kind, Value};

/// What was done over one link until now.
#[derive(Debug, Clone)]
pub struct GateSnapshot {
    workload: String,
    link: String,
    capability: &'static str,
    system: &'static str,
    usage: Vec<UsageSnapshot>,
}

impl From<&Gate> for GateSnapshot {
    fn from(gate: &Gate) -> Self {
        Self {
            workload: gate.workload().to_string(),
            link: gate.link().to_string(),
            capability: gate.capability(),
            system: gate.system(),
            usage: gate.usage().snapshot(),
        }
    }
}

/// Adds the uses of links: how long they took, under the name that OpenTelemetry's semantic conventions have for
/// clients of databases (`db.client.operation.duration`) and of messaging systems
/// (`messaging.client.operation.duration`), in the spelling of Prometheus; and how many failed, by `error_type`.
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
            for (kind, count) in &one.failures {
                let [workload, link, capability, ..] = labels;
                let labels = [
                    workload,
                    link,
                    capability,
                    ("operation", one.operation),
                    ("error_type", kind),
                ];
                failures.push(&labels, Value::Integer(*count));
            }
            family.push(&labels, Value::Histogram(one.took));
        }
    }
    out.extend([databases, messaging, failures].into_iter().filter(|f| !f.samples.is_empty()));
}

impl GateSnapshot {
    fn identity(&self) -> (&str, &str, &'static str, &'static str) {
        (&self.workload, &self.link, self.capability, self.system)
    }
}

fn join(into: &mut UsageSnapshot, other: &UsageSnapshot) {
    for (sum, more) in into.took.counts.iter_mut().zip(&other.took.counts) {
        *sum += more;
    }
    into.took.sum_nanos += other.took.sum_nanos;
    for (kind, count) in &other.failures {
        match into.failures.iter_mut().find(|(known, _)| known == kind) {
            None => into.failures.push((kind, *count)),
            Some((_, known)) => *known += count,
        }
    }
}
