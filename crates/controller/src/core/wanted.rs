//! What is wanted, as the records of the store say.

use std::collections::BTreeMap;

use reef_lattice::record::{App, Autoscale};
use reef_planner::{Desired, Policy, Revision, Scale, WorkloadKey};

use super::records::{AppKey, Kept, Records};
use crate::autoscale::Autoscaler;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What the planner is told.
    pub desired: Desired,
    /// Applications whose records cannot be understood, and why. They stay as they are.
    pub broken: BTreeMap<AppKey, String>,
    /// Workloads that are scaled by their load.
    pub(crate) autoscale: BTreeMap<WorkloadKey, Autoscale>,
    /// Percentiles of latency gates, where they are not the usual one.
    pub(crate) percentiles: BTreeMap<WorkloadKey, f64>,
}

impl Wanted {
    /// From the records.
    pub(crate) fn of(records: &Records, scaler: &Autoscaler, policy: Policy) -> Self {
        let mut wanted = Self::default();
        wanted.desired.policy = policy;
        for (namespace, kept) in &records.namespaces {
            if let Some(one) = kept.get() {
                wanted.desired.quotas.insert(namespace.clone(), one.quota);
            }
        }
        for (key, kept) in &records.apps {
            let added = match &kept.value {
                Ok(app) => wanted.add(records, scaler, key, app),
                Err(why) => Err(why.clone()),
            };
            if let Err(why) = added {
                wanted.broken.insert(key.clone(), why);
            }
        }
        wanted
    }

    fn add(
        &mut self,
        records: &Records,
        scaler: &Autoscaler,
        key: &AppKey,
        app: &App,
    ) -> Result<(), String> {
        let Some(number) = app.wanted.filter(|_| !app.deleted) else { return Ok(()) };
        let all = records.revisions.get(key);
        let kept = all.and_then(|all| all.get(&number));
        let kept = kept.ok_or_else(|| format!("there is no record of revision {number}"))?;
        let record = kept.value.as_ref().map_err(Clone::clone)?;
        for (name, workload) in &record.workloads {
            let one = key.workload(name);
            let mut workload = workload.clone();
            workload.accepted = app.accepted;
            let before =
                app.previous.get(name).filter(|before| **before != workload.revision.number);
            workload.previous = before.and_then(|before| previous(records, key, name, *before));
            let asked = records.scales.get(&one).and_then(Kept::get).map(|one| one.instances);
            if let Some(instances) = asked {
                workload.scale = with(workload.scale, instances);
            } else if let (Some(scale), Scale::Instances(first)) =
                (record.autoscale.get(name), workload.scale)
            {
                let status = records.statuses.get(key).and_then(Kept::get);
                let status = status.and_then(|status| status.workloads.get(name));
                let first = status.map_or(first, |status| status.wanted);
                workload.scale = Scale::Instances(scaler.instances(&one, scale, first));
                self.autoscale.insert(one.clone(), scale.clone());
            }
            if let Some(percentile) = record.percentiles.get(name) {
                self.percentiles.insert(one.clone(), *percentile);
            }
            self.desired.workloads.insert(one, workload);
        }
        Ok(())
    }
}

/// A workload as it was in another revision of its application.
fn previous(records: &Records, key: &AppKey, name: &str, number: u64) -> Option<Revision> {
    let record = records.revision_of(key, number)?;
    record.workloads.get(name).map(|workload| workload.revision.clone())
}

fn with(scale: Scale, instances: u32) -> Scale {
    match scale {
        Scale::Instances(_) => Scale::Instances(instances),
        Scale::Daemon(_) => Scale::Daemon(instances),
    }
}
