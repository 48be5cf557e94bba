//! What runs here, for whoever asks.

use std::{sync::Arc, time::SystemTime};

use reef_meter::MeterSnapshot;

use super::{Host, Revision, Running};
use crate::{Workload, task::TaskStatus};

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

impl Host {
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
