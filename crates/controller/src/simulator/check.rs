//! What always holds.

use std::collections::BTreeMap;

use reef_lattice::{
    Expected,
    record::{App, Assignment, Revision, Rollout, Routing, Scheduling, Status, decode},
};
use reef_planner::{Constraint, Id, Phase, Schedule, Verdict, WorkloadKey};

use super::{
    Checked, World,
    host::{MIB, Slot},
    scenario::{APPS, BAD, HOLD, WORKLOAD},
};
use crate::core::{AppKey, Name, Write};

/// How long after a fault what a leader knows may be out of date, in milliseconds.
const KNOWN: u64 = 7_000;

/// After how many milliseconds a host that says nothing is not heard of.
const SILENT: u64 = 3_200;
/// How long it may take until routes say so: a turn, and a write.
const TICK: u64 = 500;

impl World {
    /// One leads at most, by its own clock.
    pub(super) fn check_leads(&mut self, at: usize) -> Checked {
        let term = |at: usize| {
            let one = &self.controllers[at];
            one.core.as_ref().and_then(|core| core.leads_at(self.local(at)))
        };
        let leaders: Vec<_> =
            (0..self.controllers.len()).filter_map(|at| term(at).map(|term| (at, term))).collect();
        match leaders.as_slice() {
            [(one, term)] if *one == at => {
                self.leaders.insert(*term);
                Ok(())
            }
            other => Err(format!("controller {at} acts, and these lead: {other:?}")),
        }
    }

    /// No traffic goes to hosts that nobody has heard of for longer than that takes to be noticed.
    pub(super) fn check_routed(&self) -> Checked {
        if self.now < self.hindered + KNOWN {
            return Ok(());
        }
        // What is late on its way is ten times as late as usual, at most: a heartbeat, a write, the word of it.
        let late = SILENT + TICK + 30 * self.scenario.delay;
        let unheard = self.hosts.iter().filter(|host| self.now > host.said + late);
        let unheard: Vec<&str> = unheard.map(|host| host.id.as_str()).collect();
        if unheard.is_empty() {
            return Ok(());
        }
        for app in APPS {
            let key = AppKey::new("default", app);
            let routing: Routing = self.record(&Name::Route(key.clone())).unwrap_or_default();
            let mut backends = routing.workloads.values().flat_map(|entry| &entry.backends);
            if let Some(one) = backends.find(|one| unheard.contains(&one.host.as_str())) {
                return Err(format!(
                    "{} of {key} get traffic on {}, which is not heard of",
                    one.ready, one.host
                ));
            }
        }
        Ok(())
    }

    /// A write that is about to be done.
    pub(super) fn check_write(&mut self, write: &Write) -> Checked {
        let known = self.store.entries.get(&write.key);
        let as_expected = match write.before {
            Expected::Any => true,
            Expected::Absent => known.is_none(),
            Expected::Revision(revision) => known.is_some_and(|(_, known)| *known == revision),
        };
        let Some(value) = write.value.as_ref().filter(|_| as_expected) else { return Ok(()) };
        match &write.name {
            Name::Want(host) => {
                let new: Assignment = read(value)?;
                let old: Option<Assignment> = self.record(&write.name);
                self.check_term(write, old.as_ref().map(|old| old.term), new.term)?;
                self.check_assignment(host, &old.unwrap_or_default(), &new)
            }
            Name::Route(_) => {
                let new: Routing = read(value)?;
                let old: Option<Routing> = self.record(&write.name);
                self.check_term(write, old.map(|old| old.term), new.term)
            }
            Name::Rollout(workload) => {
                let new: Rollout = read(value)?;
                let old: Option<Rollout> = self.record(&write.name);
                self.check_term(write, old.as_ref().map(|old| old.term), new.term)?;
                self.check_step(workload, &new)
            }
            Name::Status(app) => self.check_status(app, &read(value)?),
            Name::App(app) => {
                let old: Option<App> = self.record(&write.name);
                match old {
                    Some(old) if old.deleted => Ok(()),
                    _ => Err(format!("a leader wrote the record of {app}, which is not deleted")),
                }
            }
            _ => Ok(()),
        }
    }

    /// A step that serves is held for as long as it is to be, whoever leads meanwhile and whatever its clock says.
    fn check_step(&mut self, workload: &WorkloadKey, new: &Rollout) -> Checked {
        let Some(state) = &new.state else { return Ok(()) };
        let (now, is) = (self.now, (state.revision, state.step, state.serving));
        let known = self.steps.get(workload).copied();
        if let Some(((revision, step, true), began)) = known
            && revision == state.revision
            && (state.step > step || state.verdict == Verdict::Complete)
            && now < began + HOLD
        {
            let held = now - began;
            return Err(format!("{workload}: step {step} of {revision} ended after {held} ms"));
        }
        if known.is_none_or(|(was, _)| was != is) {
            self.steps.insert(workload.clone(), (is, now));
        }
        Ok(())
    }

    fn check_term(&self, write: &Write, old: Option<u64>, new: u64) -> Checked {
        match old.filter(|old| *old > new) {
            Some(old) => Err(format!("{}: term {new} after term {old}", write.name)),
            None => Ok(()),
        }
    }

    fn check_assignment(&self, id: &Id, old: &Assignment, new: &Assignment) -> Checked {
        let counts = |assignment: &Assignment| -> BTreeMap<Slot, u32> {
            let all = assignment.workloads.iter();
            all.map(|one| ((one.workload.clone(), one.revision), one.instances)).collect()
        };
        let (old, now) = (counts(old), counts(new));
        let Some(host) = self.hosts.iter().find(|host| *host.id == **id) else {
            return Err(format!("{id} is no host"));
        };
        for (slot, count) in &now {
            let app = AppKey::of(&slot.0);
            let started = old.get(slot).copied().unwrap_or(0) < *count;
            let running = host.running.get(slot).is_some_and(|one| one.instances >= *count);
            if !started || running {
                continue;
            }
            // What may be there is what the wanted revision says, or said while this was under way.
            let records = self.records();
            let all = records.revisions.get(&app);
            let fits = all.into_iter().flat_map(|all| all.values()).any(|record| {
                let workload = record.get().and_then(|record| record.workloads.get(WORKLOAD));
                workload.is_some_and(|workload| {
                    workload.rules.required.iter().all(|rule| match rule {
                        Constraint::In(_, zones) => zones.contains(host.zone),
                        _ => true,
                    })
                })
            });
            if !fits {
                return Err(format!(
                    "{}@{} is started on {id}, which does not fit",
                    slot.0, slot.1
                ));
            }
        }
        let total: u32 = now.values().sum();
        if u64::from(total) * 64 * MIB > host.capacity.memory {
            return Err(format!("{id} is to run {total} instances, and has no room for them"));
        }
        if self.leaders.last().is_some_and(|last| new.term < *last) {
            return Ok(());
        }
        for (slot, count) in &old {
            let to = now.get(slot).copied().unwrap_or(0);
            if to >= *count {
                continue;
            }
            let routing: Routing =
                self.record(&Name::Route(AppKey::of(&slot.0))).unwrap_or_default();
            let backends = routing.workloads.values().flat_map(|entry| &entry.backends);
            let routed: u32 = backends
                .filter(|one| *one.host == **id && one.revision == slot.1)
                .map(|one| one.ready)
                .sum();
            if routed.min(*count) > to {
                return Err(format!(
                    "{}@{} on {id} goes from {count} to {to}, and {routed} get traffic",
                    slot.0, slot.1
                ));
            }
        }
        Ok(())
    }

    /// Nobody is told that all is well while it is not.
    fn check_status(&self, key: &AppKey, status: &Status) -> Checked {
        let app: App = self.record(&Name::App(key.clone())).unwrap_or_default();
        let of = self.store.get(&Name::App(key.clone())).map_or(0, |(_, revision)| *revision);
        let scale = self.store.get(&Name::Scale(key.workload(WORKLOAD)));
        let of = of.max(scale.map_or(0, |(_, revision)| *revision));
        let heard = self.scenario.loss == 0 || self.now > self.scenario.end() + KNOWN;
        let known = heard && (self.fault == 0 || self.now > self.fault + KNOWN);
        if status.phase != Phase::Deployed || status.of < of || !known {
            return Ok(());
        }
        let Some(wanted) = app.wanted else { return Err(format!("{key} is not wanted")) };
        let record: Option<Revision> = self.record(&Name::Revision(key.clone(), wanted));
        let number =
            record.and_then(|record| Some(record.workloads.get(WORKLOAD)?.revision.number));
        let (mut ready, mut others) = (0, 0);
        for host in self.hosts.iter().filter(|host| host.alive) {
            for ((workload, revision), running) in &host.running {
                match AppKey::of(workload) == *key {
                    true if Some(*revision) == number => ready += running.ready,
                    true => others += running.instances,
                    false => {}
                }
            }
        }
        let said: u32 = status.workloads.values().map(|one| one.wanted).sum();
        // Going back is a state of its own: then others run.
        let state = status.workloads.get(WORKLOAD).and_then(|one| one.rollout.as_ref());
        let back = state.is_some_and(|state| matches!(state.verdict, Verdict::RolledBack(_)));
        if !back && (ready != said || others > 0) {
            return Err(format!(
                "{key} is said to be deployed with {said}: {ready} are ready, and {others} others run"
            ));
        }
        Ok(())
    }

    /// What is not as it is wanted.
    pub(super) fn unsettled(&self) -> String {
        let mut all = Vec::new();
        for app in APPS {
            let key = AppKey::new("default", app);
            let Some((_, of)) = self.store.get(&Name::App(key.clone())) else { continue };
            let record: App = self.record(&Name::App(key.clone())).unwrap_or_default();
            let status: Option<Status> = self.record(&Name::Status(key.clone()));
            match status {
                None if record.deleted && record.revisions.is_empty() => {}
                None => all.push(format!("{key} has no status")),
                Some(status) if status.of < *of => all.push(format!("{key}: status of before")),
                Some(_) if record.deleted => all.push(format!("{key} is still there")),
                Some(status) => {
                    let wanted = record.wanted;
                    // What never becomes ready, or is gone back to and does not, is waited for.
                    let kept = record.revisions.iter().filter_map(|head| {
                        self.record::<Revision>(&Name::Revision(key.clone(), head.number))
                    });
                    let is_bad = kept.into_iter().any(|record| {
                        record.workloads.values().any(|one| &*one.revision.digest == BAD)
                    });
                    let mut reasons = status.workloads.values().flat_map(|one| &one.reasons);
                    let no_room = reasons.any(|reason| reason.contains("wait for room"));
                    let undeployed = wanted.is_none() && status.workloads.is_empty();
                    let fine = match status.phase {
                        Phase::Deployed | Phase::Waiting | Phase::Failed => wanted.is_some(),
                        Phase::Undeployed => undeployed,
                        // Hosts are full, and nothing may be missing: somebody has to say what goes.
                        Phase::Reconciling if no_room => true,
                        Phase::Reconciling | Phase::Unhealthy => is_bad,
                    };
                    if !fine {
                        all.push(format!("{key}: {status:?}"));
                    }
                }
            }
        }
        all.join("\n")
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsettled().is_empty()
    }

    /// What holds once all is as it is wanted.
    pub(super) fn check_settled(&self) -> Checked {
        for (app, wanted) in &self.acknowledged {
            let key = AppKey::new("default", app);
            let record: Option<App> = self.record(&Name::App(key.clone()));
            let Some(record) = record else { return Err(format!("the record of {key} is lost")) };
            if record.wanted != *wanted {
                return Err(format!(
                    "{key}: {wanted:?} was acknowledged, and is {:?}",
                    record.wanted
                ));
            }
            for head in &record.revisions {
                if self.store.get(&Name::Revision(key.clone(), head.number)).is_none() {
                    return Err(format!("revision {} of {key} is lost", head.number));
                }
            }
            self.check_runs(&key, &record)?;
        }
        for host in &self.hosts {
            let running: BTreeMap<_, _> =
                host.running.iter().map(|(slot, one)| (slot.clone(), one.instances)).collect();
            if running != host.told {
                return Err(format!("{} runs {running:?}, and was told {:?}", host.id, host.told));
            }
            let name = Name::Scheduling(Id::from(&host.id));
            let scheduling: Option<Scheduling> = self.record(&name);
            let schedule = scheduling.map(|one| one.schedule).unwrap_or_default();
            if schedule == Schedule::Drained && !running.is_empty() {
                return Err(format!("{} is drained, and runs {running:?}", host.id));
            }
        }
        Ok(())
    }

    fn check_runs(&self, key: &AppKey, app: &App) -> Checked {
        let routing: Routing = self.record(&Name::Route(key.clone())).unwrap_or_default();
        let mut routed: BTreeMap<(String, u64), u32> = BTreeMap::new();
        for backend in routing.workloads.values().flat_map(|entry| &entry.backends) {
            routed.insert((backend.host.clone(), backend.revision), backend.ready);
        }
        let mut running = 0;
        for host in &self.hosts {
            for ((workload, revision), there) in &host.running {
                if AppKey::of(workload) != *key {
                    continue;
                }
                running += there.instances;
                let routed = routed.remove(&(host.id.clone(), *revision)).unwrap_or(0);
                let rollout: Rollout =
                    self.record(&Name::Rollout(workload.clone())).unwrap_or_default();
                let weights = rollout.weights.as_ref();
                let none = weights.is_some_and(|weights| !weights.contains_key(revision));
                if routed != there.ready && !(none && routed == 0) {
                    return Err(format!(
                        "{key}@{revision} on {}: {} are ready, and {routed} get traffic",
                        host.id, there.ready
                    ));
                }
            }
        }
        if let Some(left) = routed.into_iter().find(|(_, ready)| *ready > 0) {
            return Err(format!("{key}: traffic goes to {left:?}, which does not run"));
        }
        if app.wanted.is_none() && running > 0 {
            return Err(format!("{running} of {key} run, and none is wanted"));
        }
        let status: Option<Status> = self.record(&Name::Status(key.clone()));
        match status.filter(|status| status.phase == Phase::Deployed) {
            Some(status) => self.check_status(key, &status),
            None => Ok(()),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    decode("it", value).map_err(|failure| failure.to_string())
}
