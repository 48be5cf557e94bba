//! What must be so before a revision is accepted.

use reef_app::{Application, Name as AppName};
use reef_document::{Diagnostics, Severity};
use reef_lattice::{accept, record::Revision};
use reef_planner::{Desired, Scale};

use super::{
    super::change::Fault, super::places, super::server::Server, super::types::Code, words::Planned,
};
use crate::core::{AppKey, Core, Kept};

/// Refuses a name that is none.
pub(in super::super) fn name(what: &str, name: &str) -> Result<(), Fault> {
    name.parse::<AppName>().map(drop).map_err(|error| Fault::invalid(format!("{what}: {error}")))
}

/// Refuses what has errors.
pub(super) fn faults(found: &Diagnostics) -> Result<(), Fault> {
    if !found.has_errors() {
        return Ok(());
    }
    let errors = found.iter().filter(|one| one.severity() == Severity::Error);
    let faults = errors.map(|one| match one.help_text() {
        Some(help) => format!("{}: {help}", one.message()),
        None => one.message().to_owned(),
    });
    let message = "the manifest is not accepted".to_owned();
    Err(Fault { code: Code::Invalid, message, faults: faults.collect() })
}

impl Server {
    /// Whether a revision that there is may be wanted, beside all else that is now.
    pub(in super::super) fn allowed(
        &self,
        core: &Core,
        key: &AppKey,
        record: &Revision,
    ) -> Result<(), Fault> {
        let application =
            accept::application(record).map_err(|failure| Fault::invalid(failure.to_string()))?;
        references(core, key, &application)?;
        routes(self, core, key, &application)
    }

    /// Whether a new revision may be wanted, beside all else that is now.
    pub(super) fn allowed_with(
        &self,
        core: &Core,
        key: &AppKey,
        record: &Revision,
        application: &Application,
        planned: &Planned,
    ) -> Result<(), Fault> {
        references(core, key, application)?;
        routes(self, core, key, application)?;
        if let Some(why) = planned.wanted.broken.get(key) {
            return Err(Fault::invalid(format!("revision {}: {why}", record.number)));
        }
        let hosts = core.observed().hosts.len();
        let (wanted, before) = (&planned.wanted.desired, core.wanted_now());
        let grows = || !total(wanted, key, hosts).is_within(&total(&before.desired, key, hosts));
        match within_quota(wanted, key, hosts) {
            // Less of too much is not refused.
            Err(_) if !grows() => Ok(()),
            other => other,
        }
    }
}

/// Links to other applications: each is to something that is there and exported.
fn references(core: &Core, key: &AppKey, application: &Application) -> Result<(), Fault> {
    for reference in accept::references(application) {
        let to = AppKey::new(&reference.namespace, &reference.application);
        let records = core.records();
        let app = records.apps.get(&to).and_then(Kept::get).filter(|app| !app.deleted);
        let from = &reference.from;
        let there = app.and_then(|app| records.revision_of(&to, app.wanted?));
        let there = there.is_some_and(|record| record.workloads.contains_key(&reference.workload));
        if !there {
            return Err(Fault::invalid(format!(
                "`{from}` is linked to `{to}/{}`, which is not deployed: apply that one first",
                reference.workload
            )));
        }
        if *to.namespace == *key.namespace {
            continue;
        }
        let namespace = records.namespaces.get(&to.namespace).and_then(Kept::get);
        let exports = namespace.and_then(|namespace| namespace.exports.get(&*to.app));
        let exported =
            exports.is_some_and(|names| names.contains("*") || names.contains(&*key.namespace));
        if !exported {
            return Err(Fault::new(
                Code::Denied,
                format!(
                    "`{from}` is linked to `{to}`, which the namespace `{}` does not export to `{}`: its operator has to",
                    to.namespace, key.namespace
                ),
            ));
        }
    }
    Ok(())
}

/// Routes: none that another application has.
fn routes(server: &Server, core: &Core, key: &AppKey, own: &Application) -> Result<(), Fault> {
    let own: Vec<_> = places::places(own).collect();
    if own.is_empty() {
        return Ok(());
    }
    let mut faults = Vec::new();
    for (other, kept) in places::wanted(core.records()).filter(|(other, _)| *other != key) {
        for (route, _) in &*server.0.places.of(other, kept) {
            if let Some((_, what)) = own.iter().find(|(one, _)| one.is_same(route)) {
                faults.push(format!(
                    "{what} is at `{route}`, which `{other}` has: give it another path, or a host of its own"
                ));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Fault { code: Code::Invalid, message: "routes are taken".to_owned(), faults }),
    }
}

/// What all that is wanted in a namespace comes to.
#[derive(Debug, Default)]
struct Total {
    instances: u64,
    memory: u64,
    cpu: u64,
}

impl Total {
    fn is_within(&self, other: &Self) -> bool {
        self.instances <= other.instances && self.memory <= other.memory && self.cpu <= other.cpu
    }
}

fn total(desired: &Desired, key: &AppKey, hosts: usize) -> Total {
    let mut total = Total::default();
    for (one, workload) in &desired.workloads {
        if one.namespace != key.namespace {
            continue;
        }
        let count = match workload.scale {
            Scale::Instances(count) => u64::from(count),
            Scale::Daemon(count) => u64::from(count).saturating_mul(hosts as u64),
        };
        let requests = workload.revision.requests;
        total.instances = total.instances.saturating_add(count);
        total.memory = total.memory.saturating_add(requests.memory.saturating_mul(count));
        total.cpu = total.cpu.saturating_add(requests.cpu.saturating_mul(count));
    }
    total
}

/// Refuses more than the quota of a namespace. (With autoscaling, what is wanted now.)
pub(in super::super) fn within_quota(
    desired: &Desired,
    key: &AppKey,
    hosts: usize,
) -> Result<(), Fault> {
    let Some(quota) = desired.quotas.get(&key.namespace) else { return Ok(()) };
    let total = total(desired, key, hosts);
    let parts = [
        ("instances", total.instances, quota.instances),
        ("bytes of memory", total.memory, quota.memory),
        ("thousandths of a core", total.cpu, quota.cpu),
    ];
    for (what, wanted, limit) in parts {
        if let Some(limit) = limit.filter(|limit| wanted > *limit) {
            return Err(Fault::new(
                Code::Denied,
                format!(
                    "the namespace `{}` may have {limit} {what}, and {wanted} would be wanted: scale something down, or have its quota raised",
                    key.namespace
                ),
            ));
        }
    }
    Ok(())
}
