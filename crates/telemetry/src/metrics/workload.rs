use reef_meter::{HistogramSnapshot, MeterSnapshot, ResponseClass};

use super::{Family, Kind, Value};

/// How one number of a meter is shown.
struct Shown {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&MeterSnapshot) -> Value,
}

fn histogram(snapshot: &HistogramSnapshot) -> Value {
    Value::Histogram(snapshot.clone())
}

/// Told apart by whether they failed: `error_type`.
const DURATION: &str = "reef_request_duration_seconds";

const SHOWN: [Shown; 14] = [
    Shown {
        name: "reef_requests_total",
        kind: Kind::Counter,
        help: "Requests given to an instance.",
        value: |meter| Value::Integer(meter.requests),
    },
    Shown {
        name: "reef_requests_refused_total",
        kind: Kind::Counter,
        help: "Requests refused by the admission queue.",
        value: |meter| Value::Integer(meter.refused),
    },
    Shown {
        name: "reef_requests_in_flight",
        kind: Kind::Gauge,
        help: "Requests being served.",
        value: |meter| Value::Integer(meter.in_flight),
    },
    Shown {
        name: "reef_requests_queued",
        kind: Kind::Gauge,
        help: "Requests waiting for admission.",
        value: |meter| Value::Integer(meter.queued),
    },
    Shown {
        name: DURATION,
        kind: Kind::Histogram,
        help: "Time from admission to the last byte.",
        value: |meter| histogram(&meter.latency.without(&meter.failed)),
    },
    Shown {
        name: "reef_queue_duration_seconds",
        kind: Kind::Histogram,
        help: "Time in the admission queue of the requests that were admitted.",
        value: |meter| histogram(&meter.queue),
    },
    Shown {
        name: "reef_traps_total",
        kind: Kind::Counter,
        help: "Guests that trapped.",
        value: |meter| Value::Integer(meter.traps),
    },
    Shown {
        name: "reef_deadlines_exceeded_total",
        kind: Kind::Counter,
        help: "Guests stopped by their deadline.",
        value: |meter| Value::Integer(meter.deadlines_exceeded),
    },
    Shown {
        name: "reef_instances_created_total",
        kind: Kind::Counter,
        help: "Fresh instances made.",
        value: |meter| Value::Integer(meter.instances_created),
    },
    Shown {
        name: "reef_instances_reused_total",
        kind: Kind::Counter,
        help: "Times an instance was used again.",
        value: |meter| Value::Integer(meter.instances_reused),
    },
    Shown {
        name: "reef_guest_cpu_seconds_total",
        kind: Kind::Counter,
        help: "Time on a CPU in guest code.",
        value: |meter| Value::Float(meter.guest_cpu_nanos as f64 / 1e9),
    },
    Shown {
        name: "reef_guest_memory_bytes",
        kind: Kind::Gauge,
        help: "Memory held by live instances.",
        value: |meter| Value::Integer(meter.memory),
    },
    Shown {
        name: "reef_guest_memory_peak_bytes",
        kind: Kind::Gauge,
        help: "Most memory ever held by live instances together.",
        value: |meter| Value::Integer(meter.memory_peak),
    },
    Shown {
        name: "reef_instance_memory_peak_bytes",
        kind: Kind::Gauge,
        help: "Most memory ever held by one instance.",
        value: |meter| Value::Integer(meter.instance_memory_peak),
    },
];

/// Adds the meters of workloads, each under its name as label `workload`.
pub fn workload_families<'a>(
    out: &mut Vec<Family>,
    workloads: impl IntoIterator<Item = (&'a str, MeterSnapshot)>,
) {
    let mut families = SHOWN.map(|shown| Family::new(shown.name, shown.kind, shown.help));
    let mut responses = Family::new(
        "reef_responses_total",
        Kind::Counter,
        "Responses by the class of their status.",
    );
    for (workload, meter) in workloads {
        for (family, shown) in families.iter_mut().zip(&SHOWN) {
            family.push(&[("workload", workload)], (shown.value)(&meter));
            if shown.name == DURATION && meter.failed.count() > 0 {
                let labels = [("workload", workload), ("error_type", "5xx")];
                family.push(&labels, histogram(&meter.failed));
            }
        }
        for (class, count) in ResponseClass::ALL.into_iter().zip(meter.responses) {
            let labels = [("workload", workload), ("class", class.as_str())];
            responses.push(&labels, Value::Integer(count));
        }
    }
    out.extend(families);
    out.push(responses);
}
