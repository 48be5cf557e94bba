//! From a manifest's words on what instances follow to what a controller has to know.

use std::collections::BTreeMap;

use reef_app::{Application, Target};

use crate::record::{Autoscale, AutoscaleTarget};

/// The workloads of an application whose number of instances follows their load.
pub fn autoscale(application: &Application) -> BTreeMap<String, Autoscale> {
    let scaled = application.workloads.iter().filter_map(|workload| {
        let auto = workload.scale.auto.as_ref()?;
        let target = match auto.target.target()? {
            Target::Concurrency(each) => AutoscaleTarget::Concurrency(each),
            Target::QueueTime(most) => AutoscaleTarget::QueueTime(most),
            Target::Metric(name, each) => AutoscaleTarget::Metric(name.to_owned(), each),
        };
        let scale = Autoscale {
            min: auto.least(),
            max: auto.max.value,
            target,
            to_zero: auto.scale_to_zero.as_ref().map(|after| after.value.0),
            down: auto.down_after.as_ref().map(|after| after.value.0),
        };
        Some((workload.name.to_string(), scale))
    });
    scaled.collect()
}

/// The percentiles that latency gates of rollouts are for, by workload.
pub fn percentiles(application: &Application) -> BTreeMap<String, f64> {
    let gated = application.workloads.iter().filter_map(|workload| {
        let gates = workload.rollout.as_ref()?.gates.as_ref()?;
        gates.max_latency.as_ref()?;
        Some((workload.name.to_string(), gates.percentile()))
    });
    gated.collect()
}
