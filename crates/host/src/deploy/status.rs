//! What runs here, for whoever asks.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use reef_meter::MeterSnapshot;

use super::{DeployError, Host, Order, Revision, Running};
use crate::{Workload, remote::Exported, serve::Mounted, task::TaskStatus};

/// An application, and how it is.
#[derive(Clone, Debug)]
pub struct ApplicationStatus {
    /// Its name.
    pub name: String,
    /// Which one of its name.
    pub version: Option<String>,
    /// The revision that runs.
    pub revision: u64,
    /// Since when.
    pub since: SystemTime,
    /// Those that can be gone back to.
    pub earlier: Vec<u64>,
    /// Its workloads.
    pub workloads: Vec<WorkloadStatus>,
}

/// A workload, and how it is.
#[derive(Clone, Debug)]
pub struct WorkloadStatus {
    /// Its name in the application.
    pub name: String,
    /// What messages, logs and metrics call it.
    pub qualified: Arc<str>,
    /// Its artifact's digest.
    pub digest: String,
    /// What it has used.
    pub meter: MeterSnapshot,
    /// What starts it.
    pub triggers: Vec<TriggerStatus>,
}

/// What starts a workload.
#[derive(Clone, Debug)]
pub enum TriggerStatus {
    /// Requests at this route.
    Http(String),
    /// Anything else.
    Task(TaskStatus),
}

/// How a workload is that a lattice placed here.
#[derive(Clone, Debug)]
pub struct PlacedStatus {
    /// What it has used.
    pub meter: MeterSnapshot,
    /// What it said last of the metric of its own that was asked for.
    pub metric: Option<f64>,
    /// Why what runs beside requests has failed for good.
    pub failed: Option<String>,
}

impl Host {
    /// How a workload is that was placed here under a name, with a metric of its own. `None`, where none was.
    pub fn placed(&self, key: &str, metric: Option<&str>) -> Option<PlacedStatus> {
        let applications = self.lock();
        let deployed = applications.get(key)?;
        let current = deployed.revisions.back()?;
        let wanted = &current.order.placed.as_ref()?.workload;
        let mut own = current.all_units().filter(|unit| unit.name == *wanted);
        let meter = own.next().map(|unit| unit.workload.meter());
        let metric =
            meter.zip(metric).and_then(|(meter, name)| meter.own().get(name, Instant::now()));
        let meter = meter.map(|meter| meter.snapshot()).unwrap_or_default();
        let statuses = deployed.tasks.iter().map(|running| running.task.status());
        let mut failed = statuses.filter(|status| status.phase == crate::task::Phase::Failed);
        let failed = failed.next().map(|status| {
            status.last_failure.unwrap_or_else(|| "it was started again too often".to_owned())
        });
        Some(PlacedStatus { meter, metric, failed })
    }

    /// What a workload that was placed here under a name exports for others.
    pub fn exported(&self, key: &str) -> Vec<Exported> {
        let current = self.current(key);
        let Some(current) = current else { return Vec::new() };
        let Some(placed) = &current.order.placed else { return Vec::new() };
        let mut own = current.all_units().filter(|unit| unit.name == placed.workload);
        let workload = own.next().map(|unit| unit.workload.clone());
        workload.map_or_else(Vec::new, |one| Exported::of(&one, &self.background, &self.workers))
    }

    /// What is answered without a guest in an application, for hosts that do not run it.
    ///
    /// # Errors
    /// When its files or settings cannot be used.
    pub fn fixed(&self, order: &Order) -> Result<Vec<Mounted>, DeployError> {
        order.fixed(self.ingress.compression())
    }

    /// What runs here.
    pub fn status(&self) -> Vec<ApplicationStatus> {
        let applications = self.lock();
        let all = applications.iter().filter_map(|(name, deployed)| {
            let (current, earlier) =
                deployed.revisions.iter().rev().collect::<Vec<_>>().split_first().map(
                    |(current, earlier)| {
                        ((*current).clone(), earlier.iter().map(|one| one.number).collect())
                    },
                )?;
            let application = &current.order.application;
            Some(ApplicationStatus {
                name: name.clone(),
                version: application.version.clone(),
                revision: current.number,
                since: current.since,
                earlier,
                workloads: current.statuses(&deployed.tasks),
            })
        });
        all.collect()
    }
}

impl Revision {
    fn statuses(&self, tasks: &[Running]) -> Vec<WorkloadStatus> {
        let own = self.all_units().map(|unit| {
            let routes = self
                .chains
                .iter()
                .filter(|chain| chain.units.first().is_some_and(|first| Arc::ptr_eq(first, unit)));
            let routes = routes.map(|chain| TriggerStatus::Http(chain.trigger.route.to_string()));
            let of_unit = tasks.iter().filter(|running| Arc::ptr_eq(&running.unit, unit));
            let tasks = of_unit.map(|running| TriggerStatus::Task(running.task.status()));
            let workload: &Workload = &unit.workload;
            WorkloadStatus {
                name: unit.name.to_string(),
                qualified: workload.name().clone(),
                digest: unit.identity.digest().to_string(),
                meter: workload.meter().snapshot(),
                triggers: routes.chain(tasks).collect(),
            }
        });
        own.collect()
    }
}
