//! From a plan to what is written.

use std::collections::BTreeMap;

use bytes::Bytes;
use reef_lattice::record::{Rollout, Scheduling, encode};
use reef_planner::{Action, Id, Schedule, Time, Weights, WorkloadKey};
use serde::Serialize;

use super::{
    Core, Name, Note, Turn,
    hosts::{Counts, assignment},
    records::{AppKey, Kept},
    route::routed,
    stale::Stale,
    status::{is_due, status},
};

impl Core {
    /// Writes what is to be, where it is not so.
    pub(super) fn act(&mut self, now: Time, term: u64, turn: &mut Turn) {
        let mut stale = self.take_stale();
        let mut next: BTreeMap<Id, Counts> = BTreeMap::new();
        let mut weights: BTreeMap<WorkloadKey, Option<Weights>> = BTreeMap::new();
        let mut rollouts: BTreeMap<_, Rollout> = BTreeMap::new();
        let mut released = Vec::new();
        for action in &self.planner.planned().actions {
            match action {
                Action::Scale { host, workload, revision, to, .. } => {
                    let app = AppKey::of(workload);
                    // Of one that the store never heard of, nobody said that it is not wanted: the store was emptied.
                    if self.wanted.broken.contains_key(&app)
                        || !self.records.apps.contains_key(&app)
                    {
                        continue;
                    }
                    let Some(known) = self.hosts.all.get(host) else { continue };
                    let counts = next.entry(host.clone()).or_insert_with(|| known.base());
                    counts.insert((workload.clone(), *revision), *to);
                    counts.retain(|_, count| *count > 0);
                }
                Action::Record { workload, state } => {
                    let known = self.records.rollouts.get(workload).and_then(Kept::get);
                    let rollout = rollouts
                        .entry(workload.clone())
                        .or_insert_with(|| known.cloned().unwrap_or_default());
                    rollout.state = Some(state.clone());
                }
                Action::Route { workload, weights: shares } => {
                    let known = self.records.rollouts.get(workload).and_then(Kept::get);
                    let rollout = rollouts
                        .entry(workload.clone())
                        .or_insert_with(|| known.cloned().unwrap_or_default());
                    rollout.weights.clone_from(shares);
                    weights.insert(workload.clone(), shares.clone());
                }
                Action::Release { host } => released.push(host.clone()),
            }
        }
        stale.hosts.extend(next.keys().cloned());
        #[cfg(test)]
        self.check_stale(now, term, &stale, &next, &weights);
        for (workload, rollout) in rollouts {
            self.rollout(now, Rollout { term, ..rollout }, workload, turn);
        }
        self.routes(now, term, &stale, &next, &weights, turn);
        self.assignments(now, term, &stale, next, turn);
        for host in released {
            if let Some(record) = self.records.scheduling.get(&host).and_then(Kept::get) {
                let record = Scheduling { schedule: Schedule::Drained, ..record.clone() };
                self.put(now, Name::Scheduling(host), &record, turn);
            }
        }
        self.statuses(now, &stale, turn);
        self.tidy(now, &stale, turn);
    }

    fn rollout(&mut self, now: Time, rollout: Rollout, workload: WorkloadKey, turn: &mut Turn) {
        let known = self.records.rollouts.get(&workload).and_then(Kept::get);
        let before = known.and_then(|known| known.state.as_ref());
        let note = rollout.state.as_ref().filter(|state| {
            before.is_none_or(|before| {
                (before.revision, before.step, &before.verdict)
                    != (state.revision, state.step, &state.verdict)
            })
        });
        let note = note.map(|state| Note::Rollout {
            workload: workload.clone(),
            revision: state.revision,
            verdict: state.verdict.clone(),
            step: state.step,
        });
        if self.put(now, Name::Rollout(workload), &rollout, turn) {
            self.notes.extend(note);
        }
    }

    fn routes(
        &mut self,
        now: Time,
        term: u64,
        stale: &Stale,
        next: &BTreeMap<Id, Counts>,
        weights: &BTreeMap<WorkloadKey, Option<Weights>>,
        turn: &mut Turn,
    ) {
        for key in &stale.apps {
            let routing = self.routing(term, key, next, weights);
            let stored = self.records.routes.get(key);
            let is = stored.and_then(Kept::get).map(|stored| &stored.workloads);
            let same = match is {
                Some(is) => *is == routing.workloads,
                None => stored.is_none() && routing.workloads.is_empty(),
            };
            // What was sent and may come to be there is written over.
            if same && !self.sent_routes.contains_key(key) {
                continue;
            }
            if self.put(now, Name::Route(key.clone()), &routing, turn) {
                self.sent_routes.entry(key.clone()).or_default().push(routing);
            }
        }
    }

    /// Assignments that are to change, and those of an earlier term. What gets traffic by the store's routes is not
    /// stopped before these have changed.
    fn assignments(
        &mut self,
        now: Time,
        term: u64,
        stale: &Stale,
        mut next: BTreeMap<Id, Counts>,
        turn: &mut Turn,
    ) {
        for id in &stale.hosts {
            let Some(host) = self.hosts.all.get(id) else { continue };
            if host.is_told(term) && !next.contains_key(id) {
                continue;
            }
            let base = host.base();
            let mut counts = next.remove(id).unwrap_or_else(|| base.clone());
            for (slot, count) in &base {
                let to = counts.get(slot).copied().unwrap_or(0);
                if to < *count {
                    let held = routed(&self.records, &self.sent_routes, id, slot).min(*count);
                    if held > to {
                        counts.insert(slot.clone(), held);
                    }
                }
            }
            let is = match &host.told {
                Some((_, of, told)) => *of == term && *told == counts && host.sent.is_none(),
                None => counts.is_empty() && host.sent.is_none(),
            };
            if is {
                continue;
            }
            let record = assignment(term, &counts);
            if self.put(now, Name::Want(id.clone()), &record, turn)
                && let Some(host) = self.hosts.all.get_mut(id)
            {
                host.sent = Some(counts);
                self.changed_hosts.insert(id.clone());
            }
        }
    }

    fn statuses(&mut self, now: Time, stale: &Stale, turn: &mut Turn) {
        for key in &stale.apps {
            let plan = self.planner.planned();
            let Some(status) = status(&self.records, &self.wanted, plan, key, now) else {
                self.said.remove(key);
                continue;
            };
            let stored = self.records.statuses.get(key).and_then(Kept::get);
            match is_due(stored, &status, now) {
                Ok(false) => {}
                Err(due) => {
                    self.next = Some(self.next.map_or(due, |next| next.min(due)));
                    self.stale.apps.insert(key.clone());
                }
                Ok(true) => {
                    let from = stored.map(|stored| stored.phase);
                    let reason = status.workloads.values().find_map(|one| one.reasons.first());
                    let (reason, to) = (reason.cloned(), status.phase);
                    if self.put(now, Name::Status(key.clone()), &status, turn) && from != Some(to) {
                        self.notes.push(Note::Phase { app: key.clone(), from, to, reason });
                    }
                }
            }
            self.said.insert(key.clone(), status);
        }
    }

    /// Begins a write. Whether it could.
    pub(super) fn put<T: Serialize>(
        &mut self,
        now: Time,
        name: Name,
        record: &T,
        turn: &mut Turn,
    ) -> bool {
        match encode(record) {
            Ok(value) => self.write(now, name, Some(value), turn),
            Err(failure) => {
                self.notes.push(Note::NotWritten { name, why: failure.to_string() });
                false
            }
        }
    }

    pub(super) fn write(
        &mut self,
        now: Time,
        name: Name,
        value: Option<Bytes>,
        turn: &mut Turn,
    ) -> bool {
        if self.outbox.len() >= self.settings.writes {
            self.held_up = true;
            self.stale.note(&name);
            return false;
        }
        match self.outbox.write(&self.records, now, name.clone(), value) {
            Some(write) => turn.writes.push(write),
            None => {
                self.held_up = true;
                self.stale.note(&name);
                // Once it may be written again, it is to be.
                if let Some(at) = self.outbox.wake(now) {
                    self.next = Some(self.next.map_or(at, |next| next.min(at)));
                }
                return false;
            }
        }
        true
    }
}
