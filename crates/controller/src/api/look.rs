//! Looking at what there is.

use std::collections::BTreeMap;

use reef_lattice::record::{App, Heartbeat, Missing, Namespace, Revision};
use reef_planner::{Id, Resources, Schedule, WorkloadKey};

use super::{
    change::Fault,
    server::Server,
    types::{
        AppInfo, Code, Describe, Description, GetApps, GetHistory, GetPlacements, GetRevision,
        GetRollouts, History, HostInfo, Measured, PlacementInfo, RolloutInfo, Unrouted,
    },
};
use crate::core::{AppKey, Core, Kept};

impl Server {
    pub(crate) fn hosts(&self) -> Vec<HostInfo> {
        let now = self.now();
        let core = self.core();
        let mut all: Vec<_> = core
            .hosts()
            .map(|(beat, at, heard)| {
                let id = Id::from(&beat.host);
                let record = core.records().scheduling.get(&id).and_then(Kept::get);
                let schedule = record.map(|record| record.schedule).unwrap_or_default();
                let state = match schedule {
                    _ if !heard => "silent",
                    Schedule::Draining => "draining",
                    Schedule::Drained => "drained",
                    _ if beat.leaving => "leaving",
                    Schedule::Cordoned => "cordoned",
                    Schedule::Open => "ready",
                };
                let sum = |of: fn(&reef_lattice::record::Reported) -> u32| {
                    beat.placements.iter().fold(0u32, |sum, one| sum.saturating_add(of(one)))
                };
                let given = beat.placements.iter().fold(Resources::default(), |sum, one| {
                    let count = u64::from(one.instances);
                    Resources::new(
                        sum.memory.saturating_add(one.requests.memory.saturating_mul(count)),
                        sum.cpu.saturating_add(one.requests.cpu.saturating_mul(count)),
                    )
                });
                HostInfo {
                    id: beat.host.clone(),
                    name: beat.name.clone(),
                    state: state.to_owned(),
                    labels: beat.labels.clone(),
                    capacity: beat.capacity,
                    given,
                    load: beat.load,
                    http: beat.http.clone(),
                    version: beat.version.clone(),
                    up: beat.up,
                    heard: now.0.saturating_sub(at.0),
                    instances: sum(|one| one.instances),
                    ready: sum(|one| one.ready),
                }
            })
            .collect();
        all.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        all
    }

    /// The id of the host of that id or name.
    pub(super) fn host(&self, named: &str) -> Result<Id, Fault> {
        let core = self.core();
        let mut found = Vec::new();
        for (beat, ..) in core.hosts() {
            if beat.host == named {
                return Ok(Id::from(named));
            }
            if beat.name == named {
                found.push(Id::from(&beat.host));
            }
        }
        // One that is not there now may have been cordoned before.
        if found.is_empty() && core.records().scheduling.contains_key(named) {
            return Ok(Id::from(named));
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Fault::not_found(format!("host `{named}`"))),
            several => {
                let ids: Vec<_> = several.iter().map(|id| format!("`{id}`")).collect();
                Err(Fault::invalid(format!(
                    "several hosts are called `{named}`: name one by its id, {}",
                    ids.join(" or ")
                )))
            }
        }
    }

    pub(crate) fn apps(&self, asked: &GetApps) -> Vec<AppInfo> {
        let core = self.core();
        let records = core.records();
        let wanted = asked.namespace.as_deref();
        let all = records.apps.iter();
        all.filter(|(key, _)| wanted.is_none_or(|wanted| *key.namespace == *wanted))
            .filter_map(|(key, kept)| {
                let app = kept.get();
                let status = records.statuses.get(key).and_then(Kept::get);
                // What is left of one that was deleted says only which numbers there were.
                if app.is_some_and(|app| app.deleted && app.revisions.is_empty()) {
                    return None;
                }
                let status = status.filter(|status| status.of >= kept.revision);
                let workloads = || status.into_iter().flat_map(|one| one.workloads.values());
                let wanted = app.and_then(|app| app.wanted);
                let head = app
                    .and_then(|app| app.revisions.iter().find(|head| Some(head.number) == wanted));
                Some(AppInfo {
                    namespace: key.namespace.to_string(),
                    app: key.app.to_string(),
                    revision: wanted,
                    version: head.and_then(|head| head.version.clone()),
                    phase: status.map(|status| status.phase),
                    wanted: workloads().map(|one| one.wanted).sum(),
                    running: workloads().map(|one| one.running).sum(),
                    ready: workloads().map(|one| one.ready).sum(),
                    reasons: workloads().flat_map(|one| one.reasons.iter().cloned()).collect(),
                    at: status.map(|status| status.at).unwrap_or_default(),
                })
            })
            .collect()
    }

    pub(crate) fn placements(&self, asked: &GetPlacements) -> Vec<PlacementInfo> {
        let (namespace, app) = (asked.namespace.as_deref(), asked.app.as_deref());
        placements(&self.core(), |key| {
            namespace.is_none_or(|one| *key.namespace == *one)
                && app.is_none_or(|one| *key.app == *one)
        })
    }

    pub(crate) fn describe(&self, asked: &Describe) -> Result<Description, Fault> {
        let core = self.core();
        let key = AppKey::new(&asked.namespace, &asked.app);
        let (app, revision) = there(&core, &key)?;
        let records = core.records();
        let status = records.statuses.get(&key).and_then(Kept::get);
        let scaled = |(one, kept): (&WorkloadKey, &Kept<_>)| {
            let instances = kept.get().map(|one: &reef_lattice::record::Scaled| one.instances)?;
            (AppKey::of(one) == key).then(|| (one.workload.to_string(), instances))
        };
        let scales = records.scales.iter().filter(|(one, _)| AppKey::of(one) == key);
        let of = scales.map(|(_, kept)| kept.revision).fold(revision, u64::max);
        // What is answered without a guest has no record of where it goes.
        let routes = records.routes.get(&key).map_or(revision, |kept| kept.revision.max(revision));
        let unrouted = |beat: &Heartbeat| {
            let of = |one: &&Missing| (&*one.namespace, &*one.app) == (&*key.namespace, &*key.app);
            let (missing, host) = (beat.missing.iter().find(of), beat.name.clone());
            let trouble = missing.and_then(|missing| missing.trouble.clone());
            let files = missing.is_some();
            (files || beat.routed < routes).then_some(Unrouted { host, files, trouble })
        };
        let heard = core.hosts().filter(|(_, _, heard)| *heard);
        let unrouted = heard.filter_map(|(beat, ..)| unrouted(beat)).collect();
        Ok(Description {
            namespace: asked.namespace.clone(),
            app: asked.app.clone(),
            wanted: app.wanted,
            deleted: app.deleted,
            of,
            status: status.filter(|status| status.of >= of).cloned(),
            routing: records.routes.get(&key).and_then(Kept::get).cloned(),
            unrouted,
            placements: placements(&core, |one| AppKey::of(one) == key),
            rollouts: rollouts(&core, &key),
            scaled: records.scales.iter().filter_map(scaled).collect(),
            revisions: app.revisions.clone(),
        })
    }

    pub(crate) fn history(&self, asked: &GetHistory) -> Result<History, Fault> {
        let core = self.core();
        let (app, _) = there(&core, &AppKey::new(&asked.namespace, &asked.app))?;
        Ok(History { wanted: app.wanted, revisions: app.revisions.clone() })
    }

    pub(crate) fn revision(&self, asked: &GetRevision) -> Result<Revision, Fault> {
        let core = self.core();
        let key = AppKey::new(&asked.namespace, &asked.app);
        let (app, _) = there(&core, &key)?;
        let last = app.revisions.last().map(|head| head.number);
        let number = asked.number.or(app.wanted).or(last);
        let number = number.ok_or_else(|| Fault::not_found(format!("revision of `{key}`")))?;
        let kept = core.records().revisions.get(&key).and_then(|all| all.get(&number));
        let kept = kept.ok_or_else(|| Fault::not_found(format!("revision {number} of `{key}`")))?;
        kept.value.clone().map_err(|why| Fault::new(Code::Unavailable, why))
    }

    pub(crate) fn rollouts(&self, asked: &GetRollouts) -> Result<Vec<RolloutInfo>, Fault> {
        let core = self.core();
        let key = AppKey::new(&asked.namespace, &asked.app);
        there(&core, &key)?;
        Ok(rollouts(&core, &key))
    }

    pub(crate) fn namespaces(&self) -> BTreeMap<String, Namespace> {
        let core = self.core();
        let all = core.records().namespaces.iter();
        all.filter_map(|(name, kept)| Some((name.to_string(), kept.get()?.clone()))).collect()
    }
}

/// An application that is there, and the revision of its record.
pub(super) fn there<'c>(core: &'c Core, key: &AppKey) -> Result<(&'c App, u64), Fault> {
    let gone = || Fault::not_found(format!("application `{key}`"));
    let kept = core.records().apps.get(key).ok_or_else(gone)?;
    let app = kept.value.as_ref();
    let app = app.map_err(|why| Fault::new(Code::Unavailable, why.clone()))?;
    match app.deleted && app.revisions.is_empty() && !core.records().statuses.contains_key(key) {
        true => Err(gone()),
        false => Ok((app, kept.revision)),
    }
}

fn placements(core: &Core, wanted: impl Fn(&WorkloadKey) -> bool) -> Vec<PlacementInfo> {
    let mut all = Vec::new();
    for (beat, _, heard) in core.hosts() {
        for (slot, there) in core.there(&Id::from(&beat.host)) {
            let (workload, revision) = slot;
            if !wanted(&workload) {
                continue;
            }
            let mut said = beat.placements.iter();
            let said = said.find(|one| (&one.workload, one.revision) == (&workload, revision));
            all.push(PlacementInfo {
                namespace: workload.namespace.to_string(),
                app: workload.app.to_string(),
                workload: workload.workload.to_string(),
                revision,
                host: beat.host.clone(),
                host_name: beat.name.clone(),
                heard,
                instances: there.0,
                ready: if heard { there.1 } else { 0 },
                trouble: said.and_then(|one| Some(one.trouble.as_ref()?.message.clone())),
            });
        }
    }
    all.sort_by(|one, other| {
        let key = |one: &PlacementInfo| {
            (
                one.namespace.clone(),
                one.app.clone(),
                one.workload.clone(),
                one.host_name.clone(),
                one.revision,
            )
        };
        key(one).cmp(&key(other))
    });
    all
}

fn rollouts(core: &Core, key: &AppKey) -> Vec<RolloutInfo> {
    let wanted = core.wanted_now();
    let from = key.workload("");
    let all = wanted.desired.workloads.range(from..);
    all.take_while(|(one, _)| AppKey::of(one) == *key)
        .map(|(one, workload)| {
            let rollout = core.records().rollouts.get(one).and_then(Kept::get);
            let number = workload.revision.number;
            let state = rollout.and_then(|rollout| rollout.state.clone());
            let measured = core.observed().measures.get(one).map(|measure| Measured {
                requests: measure.requests,
                errors: measure.errors,
                traps: measure.traps,
                latency_ms: measure.latency_ms,
            });
            let state = state.filter(|state| state.revision == number);
            RolloutInfo {
                workload: one.workload.to_string(),
                from: workload.previous.as_ref().map(|before| before.number),
                to: number,
                measured: measured.filter(|_| state.is_some()),
                state,
                weights: rollout.and_then(|rollout| rollout.weights.clone()),
            }
        })
        .collect()
}
