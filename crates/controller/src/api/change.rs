//! Changing what is wanted.

use bytes::Bytes;
use reef_lattice::{
    Expected, Failure, Lattice,
    record::{App, Namespace, Rollout, Scaled, Scheduling, decode, encode},
};
use reef_planner::{RollbackCause, Schedule, Verdict};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    server::Server,
    types::{
        ApiError, Changed, Code, Delete, Deploy, RolloutChange, Scale, SetNamespace, SetRollout,
        SetSchedule, Undeploy,
    },
};
use crate::core::{AppKey, Kept, Name};

/// Why something is not done.
pub(crate) type Fault = ApiError;

/// How often something is tried that others change at the same time.
const TRIES: u32 = 16;

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), faults: Vec::new() }
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::Conflict(_) => Code::Conflict,
            Failure::TooLarge { .. } => Code::TooLarge,
            Failure::NotFound { .. } => Code::NotFound,
            Failure::Denied(_) => Code::Denied,
            Failure::Invalid(_) => Code::Invalid,
            _ => Code::Unavailable,
        };
        // Of the store itself, whatever was asked of it is not the client's to mend.
        Self::new(code, format!("the lattice's store: {failure}"))
    }
}

/// What a record is to become.
pub(crate) enum To<T> {
    /// As it is.
    Same,
    /// Another.
    Put(T),
    /// Not there.
    Gone,
}

/// Changes a record from what it is at this moment. The store's revision of it afterwards; nothing where it is gone.
pub(crate) async fn change<T: Serialize + DeserializeOwned>(
    lattice: &Lattice,
    name: Name,
    mut to: impl FnMut(Option<T>) -> Result<To<T>, Fault>,
) -> Result<u64, Fault> {
    let key = name.key().ok_or_else(|| Fault::invalid(format!("`{name}` is not a name")))?;
    for _ in 0..TRIES {
        let entry = lattice.store.get(&key).await?;
        let revision = entry.as_ref().map(|entry| entry.revision);
        let record = entry.map(|entry| decode(key.as_str(), &entry.value)).transpose()?;
        let before = revision.map_or(Expected::Absent, Expected::Revision);
        let written = match to(record)? {
            To::Same => return Ok(revision.unwrap_or_default()),
            To::Gone if revision.is_none() => return Ok(0),
            To::Gone => lattice.store.delete(&key, before).await.map(|()| 0),
            To::Put(record) => put(lattice, &name, encode(&record)?, before).await,
        };
        match written {
            Err(Failure::Conflict(_)) => {
                tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..20))).await;
            }
            other => return Ok(other?),
        }
    }
    Err(Fault::conflict(format!("`{key}` is changed by others all the time; try again")))
}

pub(super) async fn put(
    lattice: &Lattice,
    name: &Name,
    value: Bytes,
    before: Expected,
) -> Result<u64, Failure> {
    let (is, most) = (value.len(), lattice.store.max_value());
    let Some(key) = name.key() else {
        return Err(Failure::Invalid(format!("`{name}` is not a name")));
    };
    if is > most {
        let (is, most) = (is as u64, most as u64);
        return Err(Failure::TooLarge { what: "record", is, most });
    }
    lattice.store.put(&key, value, before).await
}

fn there(app: Option<App>, key: &AppKey) -> Result<App, Fault> {
    app.filter(|app| !app.deleted).ok_or_else(|| Fault::not_found(format!("application `{key}`")))
}

impl Server {
    pub(crate) async fn delete(&self, asked: &Delete) -> Result<Changed, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        let runs = self.core().newest_there(&key);
        let changed = change(self.lattice(), Name::App(key.clone()), |app| {
            let app = match (app, runs) {
                // The store has forgotten it, and hosts have not.
                (None, Some(newest)) => App { next: newest + 1, ..App::default() },
                (app, _) => there(app, &key)?,
            };
            let previous = Default::default();
            Ok(To::Put(App { wanted: None, deleted: true, previous, ..app }))
        });
        changed.await.map(|of| Changed { of })
    }

    pub(crate) async fn undeploy(&self, asked: &Undeploy) -> Result<Changed, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        let changed = change(self.lattice(), Name::App(key.clone()), |app| {
            let app = there(app, &key)?;
            if app.wanted.is_none() {
                return Ok(To::Same);
            }
            Ok(To::Put(App { wanted: None, previous: Default::default(), ..app }))
        });
        changed.await.map(|of| Changed { of })
    }

    pub(crate) async fn deploy(&self, asked: &Deploy) -> Result<Changed, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        self.read_places().await;
        let (number, workloads) = {
            let core = self.core();
            let app = core.records().apps.get(&key).and_then(Kept::get);
            let app = there(app.cloned(), &key)?;
            let last = app.revisions.last().map(|head| head.number);
            let number = asked.number.or(last);
            let number = number.ok_or_else(|| Fault::not_found(format!("revision of `{key}`")))?;
            let record = core.records().revision_of(&key, number);
            let record =
                record.ok_or_else(|| Fault::not_found(format!("revision {number} of `{key}`")))?;
            self.allowed(&core, &key, record)?;
            (number, record.workloads.clone())
        };
        // A rollout of the same revision that was gone back from begins anew.
        for (name, workload) in &workloads {
            let of = workload.revision.number;
            change(self.lattice(), Name::Rollout(key.workload(name)), |rollout| {
                Ok(match rollout {
                    Some(Rollout { state: Some(state), weights, term })
                        if state.revision == of
                            && matches!(state.verdict, Verdict::RolledBack(_)) =>
                    {
                        To::Put(Rollout { state: None, weights, term })
                    }
                    _ => To::Same,
                })
            })
            .await?;
        }
        let changed = change(self.lattice(), Name::App(key.clone()), |app| {
            let app = there(app, &key)?;
            if app.wanted == Some(number) {
                return Ok(To::Same);
            }
            if !app.revisions.iter().any(|head| head.number == number) {
                return Err(Fault::not_found(format!("revision {number} of `{key}`")));
            }
            let previous = {
                let core = self.core();
                super::accept::previous(&core, &key, &app, &workloads)
            };
            Ok(To::Put(App { wanted: Some(number), previous, ..app }))
        });
        changed.await.map(|of| Changed { of })
    }

    pub(crate) async fn scale(&self, asked: &Scale) -> Result<Changed, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        let workload = key.workload(&asked.workload);
        {
            let core = self.core();
            let wanted = core.wanted_now();
            if !wanted.desired.workloads.contains_key(&workload) {
                let all = wanted.desired.workloads.keys().filter(|one| AppKey::of(one) == key);
                let names: Vec<_> = all.map(|one| format!("`{}`", one.workload)).collect();
                let help = match names.is_empty() {
                    true => format!("nothing of `{key}` is deployed"),
                    false => format!("there is {}", names.join(", ")),
                };
                let what = format!("workload `{}` in `{key}`: {help}", asked.workload);
                return Err(Fault::not_found(what));
            }
            if let Some(instances) = asked.instances {
                if instances > reef_planner::MOST_INSTANCES {
                    let most = reef_planner::MOST_INSTANCES;
                    return Err(Fault::invalid(format!(
                        "{instances} instances are more than can be planned: {most} at most"
                    )));
                }
                if wanted.autoscale.contains_key(&workload) {
                    return Err(Fault::invalid(format!(
                        "`{workload}` has as many instances as its load needs: change `scale.auto` in its manifest"
                    )));
                }
                let mut desired = wanted.desired.clone();
                if let Some(one) = desired.workloads.get_mut(&workload) {
                    one.scale = match one.scale {
                        reef_planner::Scale::Instances(_) => {
                            reef_planner::Scale::Instances(instances)
                        }
                        reef_planner::Scale::Daemon(_) => reef_planner::Scale::Daemon(instances),
                    };
                }
                super::accept::within_quota(&desired, &key, core.observed().hosts.len())?;
            }
        }
        let changed = change(self.lattice(), Name::Scale(workload), |known: Option<Scaled>| {
            Ok(match asked.instances.map(|instances| Scaled { instances }) {
                None => To::Gone,
                Some(asked) if known == Some(asked) => To::Same,
                Some(asked) => To::Put(asked),
            })
        });
        changed.await.map(|of| Changed { of })
    }

    pub(crate) async fn schedule(&self, asked: &SetSchedule) -> Result<Changed, Fault> {
        let id = self.host(&asked.host)?;
        let schedule = match asked.schedule {
            Schedule::Drained => Schedule::Draining,
            other => other,
        };
        let leave = asked.leave && schedule == Schedule::Draining;
        let name = Name::Scheduling(id);
        let changed = change(self.lattice(), name, |known: Option<Scheduling>| {
            let drained = known.as_ref().is_some_and(|one| one.schedule == Schedule::Drained);
            let to = match (schedule, drained) {
                (Schedule::Open, _) => None,
                (Schedule::Draining, true) => Some(Schedule::Drained),
                (other, _) => Some(other),
            };
            let to = to.map(|schedule| Scheduling { schedule, leave });
            Ok(match to {
                None => To::Gone,
                to if to == known => To::Same,
                Some(to) => To::Put(to),
            })
        });
        changed.await.map(|of| Changed { of })
    }

    pub(crate) async fn rollout(&self, asked: &SetRollout) -> Result<Changed, Fault> {
        let key = AppKey::new(&asked.namespace, &asked.app);
        let going: Vec<_> = {
            let core = self.core();
            let wanted = core.wanted_now();
            let all = wanted.desired.workloads.iter().filter(|(one, _)| AppKey::of(one) == key);
            all.filter(|(one, _)| {
                asked.workload.as_ref().is_none_or(|name| **name == *one.workload)
            })
            .filter_map(|(one, workload)| {
                let kept = core.records().rollouts.get(one).and_then(Kept::get)?;
                let state = kept.state.as_ref()?;
                let number = workload.revision.number;
                let goes = matches!(state.verdict, Verdict::Going | Verdict::Paused);
                (state.revision == number && goes).then(|| (one.clone(), number))
            })
            .collect()
        };
        if going.is_empty() {
            return Err(Fault::not_found(format!("rollout of `{key}` under way")));
        }
        let mut of = 0;
        for (workload, number) in going {
            let name = Name::Rollout(workload);
            let written = change(self.lattice(), name, |rollout: Option<Rollout>| {
                let Some(mut rollout) = rollout else { return Ok(To::Same) };
                let Some(state) = rollout.state.as_mut().filter(|one| one.revision == number)
                else {
                    return Ok(To::Same);
                };
                let to = match (asked.to, &state.verdict) {
                    (RolloutChange::Pause, Verdict::Going) => Verdict::Paused,
                    (RolloutChange::Resume, Verdict::Paused) => Verdict::Going,
                    (RolloutChange::Abort, Verdict::Going | Verdict::Paused) => {
                        Verdict::RolledBack(RollbackCause::Aborted)
                    }
                    _ => return Ok(To::Same),
                };
                state.verdict = to;
                Ok(To::Put(rollout))
            });
            of = of.max(written.await?);
        }
        Ok(Changed { of })
    }

    pub(crate) async fn namespace(&self, asked: &SetNamespace) -> Result<Changed, Fault> {
        super::accept::name("namespace", &asked.name)?;
        let name = Name::Namespace(asked.name.as_str().into());
        let changed = change(self.lattice(), name, |known: Option<Namespace>| {
            Ok(if known.as_ref() == Some(&asked.namespace) {
                To::Same
            } else {
                To::Put(asked.namespace.clone())
            })
        });
        changed.await.map(|of| Changed { of })
    }
}
