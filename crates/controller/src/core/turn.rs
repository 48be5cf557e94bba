//! What a turn looks at, and what makes one necessary.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reef_lattice::record::{Assignment, AutoscaleTarget, HEARTBEAT};
use reef_planner::{Scale, Time, WorkloadKey};

use super::{AppKey, Core, Kept, Name, Note, Outcome, Turn, Wanted, hosts, status};
use crate::autoscale::EVERY;

/// How long counts that no plan hangs on at once may be looked at late.
const SOON: Duration = Duration::from_millis(250);

impl Core {
    /// A record changed.
    pub(super) fn changed(&mut self, now: Time, name: &Name) {
        self.outbox.changed(&self.records, name);
        self.stale.note(name);
        match name {
            Name::Want(host) => {
                let was = self.hosts.all.get(host).map(|host| (host.base(), host.there()));
                match self.records.wants.get(host) {
                    Some(kept) => {
                        let unreadable = Assignment::default();
                        let assignment = kept.get().unwrap_or(&unreadable);
                        self.hosts.told(host, kept.revision, assignment);
                    }
                    None => self.hosts.untold(host),
                }
                self.changed_hosts.insert(host.clone());
                // One's own write, as it was sent, changes nothing.
                let is = self.hosts.all.get(host).map(|host| (host.base(), host.there()));
                let term = self.records.wants.get(host).and_then(Kept::get).map(|one| one.term);
                self.dirty |= was != is || term != self.term;
            }
            // Not what is to be said: an earlier write came to be there later.
            Name::Status(app) => {
                let is = self.records.statuses.get(app).and_then(Kept::get);
                self.dirty |= !status::is_same(is, self.said.get(app));
                // How many there are at first, where their load says how many, is as the status says.
                if self.wanted.of(app).any(|(one, _)| self.wanted.autoscale.contains_key(one)) {
                    self.unread.apps.insert(app.clone());
                }
            }
            Name::Leader => {}
            Name::Rollout(workload) => {
                let rollout = self.records.rollouts.get(workload).and_then(Kept::get);
                if let Some(state) = rollout.and_then(|rollout| rollout.state.as_ref()) {
                    self.measures.step(workload, state, now);
                }
                self.changed_rollouts.insert(workload.clone());
                self.dirty = true;
            }
            Name::Route(app) => {
                self.sent_routes.remove(app);
                self.dirty = true;
            }
            Name::Scheduling(host) => {
                self.changed_hosts.insert(host.clone());
                self.dirty = true;
            }
            Name::Revision(app, _) => {
                self.revised.insert(app.clone());
                self.unread.apps.insert(app.clone());
                self.dirty = true;
            }
            Name::App(app) => {
                self.unread.apps.insert(app.clone());
                self.dirty = true;
            }
            Name::Scale(workload) => {
                self.unread.apps.insert(AppKey::of(workload));
                self.dirty = true;
            }
            Name::Namespace(_) => {
                self.unread.quotas = true;
                self.dirty = true;
            }
        }
    }

    pub(super) fn lease(&mut self, now: Time, turn: &mut Turn) {
        if !self.outbox.is_free(&Name::Leader, now) {
            return;
        }
        if let Some(record) = self.candidate.turn(&self.records, now) {
            match self.outbox.write(&self.records, now, Name::Leader, Some(record)) {
                Some(write) => turn.writes.push(write),
                None => drop(self.candidate.wrote(now, &Outcome::Conflict)),
            }
        }
    }

    pub(super) fn term_changed(&mut self, now: Time) {
        let term = self.candidate.term(now);
        if term == self.term {
            return;
        }
        if let Some(term) = self.term {
            self.notes.push(Note::Deposed { term });
        }
        if let Some(term) = term {
            self.notes.push(Note::Leads { term });
            self.outbox.clear();
            self.waits_told = false;
        }
        self.term = term;
        self.stale.all = true;
        self.dirty = true;
    }

    /// Notes which hosts are heard of.
    pub(super) fn listen(&mut self, now: Time) {
        let begun = self.begun.unwrap_or(now);
        for (id, heard) in self.hosts.listen(now, begun, self.settings.forget) {
            if !heard {
                self.notes.push(Note::Silent { host: id.clone() });
            }
            self.changed_hosts.insert(id);
            self.dirty = true;
        }
        if self.term.is_some() && self.hosts.forgetting().is_some_and(|at| at <= now) {
            self.dirty = true;
        }
    }

    /// Whether hosts that were told to run something were heard of, or had the time for it.
    pub(super) fn has_heard_all(&mut self, now: Time) -> bool {
        let patience = HEARTBEAT * hosts::MISSED + self.settings.policy.grace;
        if self.heard_all || self.begun.is_none_or(|begun| now >= begun.after(patience)) {
            self.heard_all = true;
            return true;
        }
        let all = self.hosts.all.values();
        let told =
            all.filter(|host| host.told.as_ref().is_some_and(|(_, _, told)| !told.is_empty()));
        let hosts = told.filter(|host| !host.is_heard || !host.is_confirmed()).count();
        if hosts > 0 && self.term.is_some() && !self.waits_told {
            self.waits_told = true;
            self.notes.push(Note::WaitsForHosts { hosts });
        }
        // From then on, who is not heard of is silent.
        self.heard_all = hosts == 0;
        self.heard_all
    }

    pub(super) fn scale(&mut self, now: Time) {
        if self.wanted.autoscale.is_empty() || now < self.scaled.after(EVERY) {
            return;
        }
        self.scaled = now;
        let mut changed = BTreeSet::new();
        for (workload, scale) in &self.wanted.autoscale {
            let metric = match &scale.target {
                AutoscaleTarget::Metric(name, _) => Some(name.as_str()),
                _ => None,
            };
            let there = self.wanted.desired.workloads.get(workload).map(|one| one.scale);
            let there = match there {
                Some(Scale::Instances(count)) => count,
                _ => 0,
            };
            let load = self.measures.load(workload, self.planner.placed(workload), metric);
            if self.scaler.look(workload, scale, load, there, now) {
                changed.insert(AppKey::of(workload));
            }
        }
        self.dirty |= !changed.is_empty();
        self.unread.apps.append(&mut changed);
    }

    /// Plans.
    pub(super) fn look(&mut self, now: Time) {
        if !self.unread.is_empty() {
            self.want();
        }
        self.observe(now);
        let changed = std::mem::take(&mut self.changed);
        let plan = self.planner.plan(&self.wanted.desired, &self.observed, &changed, now);
        self.next = plan.wake;
        self.stale.apps.extend(self.planner.replanned().iter().map(AppKey::of));
        self.dirty = false;
        self.held_up = false;
        #[cfg(test)]
        self.check_look(now);
    }

    /// Reads anew what changed of that which is wanted, and finds out what differs.
    fn want(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let of = |wanted: &Wanted| -> BTreeMap<_, _> {
            let all = unread.apps.iter().flat_map(|app| wanted.of(app));
            all.map(|(one, workload)| (one.clone(), workload.clone())).collect()
        };
        let broken = |wanted: &Wanted| -> Vec<_> {
            unread.apps.iter().map(|app| wanted.broken.get(app).cloned()).collect()
        };
        let (before, broken_before) = (of(&self.wanted), broken(&self.wanted));
        self.wanted.read(&self.records, &self.scaler, &unread);
        let now = of(&self.wanted);
        let differs = |workload: &&WorkloadKey| before.get(*workload) != now.get(*workload);
        self.changed.workloads.extend(before.keys().chain(now.keys()).filter(differs).cloned());
        self.stale.apps.extend(self.changed.workloads.iter().map(AppKey::of));
        self.stale.all |= broken_before != broken(&self.wanted);
        for app in &unread.apps {
            // What the percentile of a measure is, may differ.
            let rollouts = self.records.rollouts.range(app.workload("")..).map(|(one, _)| one);
            self.changed_rollouts.extend(rollouts.take_while(|one| app.has(one)).cloned());
        }
        let wanted = &self.wanted;
        self.scaler.keep(|workload| wanted.autoscale.contains_key(workload));
        if before.keys().any(|one| !now.contains_key(one)) {
            self.measures.keep(|workload| {
                wanted.desired.workloads.contains_key(workload)
                    || wanted.broken.contains_key(&AppKey::of(workload))
            });
        }
        // What an instance asks for may be known only now.
        for app in std::mem::take(&mut self.revised) {
            let from = app.workload("");
            let planned = self.planner.planned().workloads.range(from..);
            let of_app = planned.map(|(one, _)| one).take_while(|one| app.has(one));
            let hosts = of_app.flat_map(|one| self.planner.placed(one)).map(|(host, _)| host);
            // What is lost is placed nowhere.
            let unheard = self.hosts.all.iter().filter(|(_, host)| !host.is_heard);
            self.changed_hosts.extend(hosts.chain(unheard.map(|(id, _)| id)).cloned());
        }
    }

    pub(super) fn soon(&mut self, now: Time) {
        let at = now.after(SOON);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub(super) fn wake(&self, now: Time, ready: bool) -> Option<Time> {
        if !ready {
            return None;
        }
        let lease = self.candidate.wake(&self.records, now).filter(|_| self.settings.leads);
        let silence = self.hosts.quiet();
        let scale = (!self.wanted.autoscale.is_empty()).then(|| self.scaled.after(EVERY));
        let retry = self.outbox.wake(now);
        // While it waits for hosts, nothing is planned before they are heard of, or their time is over.
        let patience = HEARTBEAT * hosts::MISSED + self.settings.policy.grace;
        let begun = self.begun.filter(|_| !self.heard_all).map(|begun| begun.after(patience));
        let next = self.next.filter(|_| self.heard_all);
        let forgetting = self.hosts.forgetting();
        let forgetting = forgetting.filter(|_| self.term.is_some() && self.heard_all);
        let all = [lease, silence, scale, retry, next, begun, forgetting];
        all.into_iter().flatten().min().map(|at| at.max(Time(now.0 + 1)))
    }
}
