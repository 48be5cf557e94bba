//! What runs, as JSON.

use std::{sync::atomic::Ordering, time::SystemTime};

use reef_host::deploy::{ApplicationStatus, Change, TaskStatus, TriggerStatus, WorkloadStatus};
use serde_json::{Value, json};

use super::Control;

pub(super) fn of(control: &Control) -> Value {
    let scheme = if control.tls { "https" } else { "http" };
    let addrs: Vec<_> = control.addrs.iter().map(|addr| format!("{scheme}://{addr}")).collect();
    let applications = control.host.status();
    let sources = control.sources.all();
    let applications: Vec<_> = applications
        .iter()
        .map(|one| {
            let origin = sources.iter().find(|(name, _)| *name == one.name);
            let mut value = application(one);
            value["source"] = origin.map(|(_, origin)| origin.path.display().to_string()).into();
            value
        })
        .collect();
    json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "ready": control.ready.load(Ordering::Acquire),
        "change": control.host.change().map(|change| change_of(&change)),
        "addresses": addrs,
        "lattice": control.lattice.as_ref().map(|lattice| lattice.status()),
        "applications": applications,
    })
}

fn change_of(change: &Change) -> Value {
    json!({
        "what": change.what,
        "application": change.application,
        "seconds": change.lasts.as_secs(),
        "step": change.step,
    })
}

fn application(one: &ApplicationStatus) -> Value {
    json!({
        "name": one.name,
        "version": one.version,
        "revision": one.revision,
        "since": seconds(one.since),
        "earlier_revisions": one.earlier,
        "workloads": one.workloads.iter().map(workload).collect::<Vec<_>>(),
    })
}

fn workload(one: &WorkloadStatus) -> Value {
    let meter = &one.meter;
    let tasks: Vec<_> = one
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            TriggerStatus::Task(status) => Some(task(status)),
            TriggerStatus::Http(_) => None,
        })
        .collect();
    let routes: Vec<_> = one
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            TriggerStatus::Http(route) => Some(route.clone()),
            TriggerStatus::Task(_) => None,
        })
        .collect();
    json!({
        "name": one.name,
        "qualified": &*one.qualified,
        "digest": one.digest,
        "routes": routes,
        "tasks": tasks,
        "requests": meter.requests,
        "responses_5xx": meter.responses[4],
        "refused": meter.refused,
        "in_flight": meter.in_flight,
        "queued": meter.queued,
        "traps": meter.traps,
        "deadlines_exceeded": meter.deadlines_exceeded,
        "instances_created": meter.instances_created,
        "instances_reused": meter.instances_reused,
        "memory": meter.memory,
        "cpu_seconds": meter.guest_cpu_nanos as f64 / 1e9,
        "latency_seconds": meter.latency.sum().as_secs_f64(),
    })
}

fn task(status: &TaskStatus) -> Value {
    json!({
        "trigger": status.trigger,
        "phase": status.phase.word(),
        "since": seconds(status.since),
        "running": status.running,
        "runs": status.runs,
        "dropped": status.dropped,
        "failures": status.failures,
        "next": status.next.map(seconds),
        "last_failure": status.last_failure,
    })
}

/// Since 1970, in UTC.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
