//! What is wanted, as the records of the store say.

use std::collections::{BTreeMap, BTreeSet};

use reef_lattice::record::{self, App, Autoscale};
use reef_planner::{Desired, Policy, Revision, Scale, Workload, WorkloadKey};

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

/// What of the records changed since it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    /// Applications: their own records, and those of their revisions and scales.
    pub(super) apps: BTreeSet<AppKey>,
    /// What namespaces may have.
    pub(super) quotas: bool,
}

impl Unread {
    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty() && !self.quotas
    }
}

impl Wanted {
    /// Nothing.
    pub(super) fn new(policy: Policy) -> Self {
        Self { desired: Desired { policy, ..Desired::default() }, ..Self::default() }
    }

    /// Reads what changed.
    pub(super) fn read(&mut self, records: &Records, scaler: &Autoscaler, unread: &Unread) {
        if unread.quotas {
            let all = records.namespaces.iter();
            let quotas = all.filter_map(|(of, kept)| Some((of.clone(), kept.get()?.quota)));
            self.desired.quotas = quotas.collect();
        }
        for key in &unread.apps {
            self.forget(key);
            let Some(kept) = records.apps.get(key) else { continue };
            let added = match &kept.value {
                Ok(app) => self.add(records, scaler, key, app, None),
                Err(why) => Err(why.clone()),
            };
            if let Err(why) = added {
                self.broken.insert(key.clone(), why);
            }
        }
    }

    /// An application as if this were its record, and there were this revision of it.
    pub(super) fn accept(
        &mut self,
        records: &Records,
        scaler: &Autoscaler,
        key: &AppKey,
        app: &App,
        revision: &record::Revision,
    ) {
        self.forget(key);
        if let Err(why) = self.add(records, scaler, key, app, Some(revision)) {
            self.broken.insert(key.clone(), why);
        }
    }

    /// The workloads of an application.
    pub(super) fn of(&self, key: &AppKey) -> impl Iterator<Item = (&WorkloadKey, &Workload)> {
        let all = self.desired.workloads.range(key.workload("")..);
        all.take_while(|(one, _)| key.has(one))
    }

    fn forget(&mut self, key: &AppKey) {
        let all: Vec<_> = self.of(key).map(|(one, _)| one.clone()).collect();
        for one in all {
            self.desired.workloads.remove(&one);
            self.autoscale.remove(&one);
            self.percentiles.remove(&one);
        }
        self.broken.remove(key);
    }

    fn add(
        &mut self,
        records: &Records,
        scaler: &Autoscaler,
        key: &AppKey,
        app: &App,
        accepted: Option<&record::Revision>,
    ) -> Result<(), String> {
        let Some(number) = app.wanted.filter(|_| !app.deleted) else { return Ok(()) };
        let record = match accepted.filter(|revision| revision.number == number) {
            Some(revision) => revision,
            None => {
                let kept = records.revisions.get(key).and_then(|all| all.get(&number));
                let kept =
                    kept.ok_or_else(|| format!("there is no record of revision {number}"))?;
                kept.value.as_ref().map_err(Clone::clone)?
            }
        };
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
