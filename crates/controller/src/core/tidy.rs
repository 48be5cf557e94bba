//! Records that nobody needs any more.

use std::collections::BTreeSet;

use reef_lattice::record::App;
use reef_planner::{Id, Schedule, Time, WorkloadKey};

use super::{
    Core, Name, Note, Turn,
    records::{AppKey, Kept},
    stale::Stale,
};

impl Core {
    /// Deletes them.
    pub(super) fn tidy(&mut self, now: Time, stale: &Stale, turn: &mut Turn) {
        let mut gone: BTreeSet<Name> = BTreeSet::new();
        for app in &stale.apps {
            gone.extend(self.needless(app));
        }
        for host in &stale.hosts {
            if !self.hosts.all.contains_key(host) && self.records.wants.contains_key(host) {
                gone.insert(Name::Want(host.clone()));
            }
        }
        for name in gone {
            self.write(now, name, None, turn);
        }
        self.bury(now, stale, turn);
        self.forget_hosts(now, turn);
    }

    /// Records of an application that nobody needs.
    pub(super) fn needless(&self, app: &AppKey) -> Vec<Name> {
        let mut gone = Vec::new();
        let records = &self.records;
        let (from, is_there) = (app.workload(""), self.is_there(app));
        let of_app = |workload: &&WorkloadKey| AppKey::of(workload) == *app;
        if !is_there && !self.wanted.broken.contains_key(app) {
            let rollouts = records.rollouts.range(from.clone()..).map(|(one, _)| one);
            let unwanted = |one: &&WorkloadKey| !self.wanted.desired.workloads.contains_key(*one);
            let unwanted = rollouts.take_while(of_app).filter(unwanted);
            gone.extend(unwanted.cloned().map(Name::Rollout));
        }
        if self.is_deleted(app) {
            let scales = records.scales.range(from..).map(|(one, _)| one).take_while(of_app);
            gone.extend(scales.cloned().map(Name::Scale));
            if !is_there && records.statuses.contains_key(app) {
                gone.push(Name::Status(app.clone()));
            }
        }
        let routing = records.routes.get(app).and_then(Kept::get);
        if routing.is_some_and(|routing| routing.workloads.is_empty()) && !self.is_wanted(app) {
            gone.push(Name::Route(app.clone()));
        }
        if let Some(known) = records.apps.get(app).and_then(Kept::get) {
            let numbers = records.revisions.get(app).into_iter().flat_map(|all| all.keys());
            let needless = numbers.filter(|number| {
                **number < known.next && !known.revisions.iter().any(|head| head.number == **number)
            });
            gone.extend(needless.map(|number| Name::Revision(app.clone(), *number)));
        }
        gone
    }

    /// Leaves of applications that were deleted, and of which nothing runs, what says which numbers there were.
    fn bury(&mut self, now: Time, stale: &Stale, turn: &mut Turn) {
        for key in stale.apps.iter().filter(|key| self.is_to_bury(key)).cloned().collect::<Vec<_>>()
        {
            let app = self.records.apps.get(&key).and_then(Kept::get).cloned().unwrap_or_default();
            let rest = App {
                wanted: None,
                revisions: Vec::new(),
                previous: std::collections::BTreeMap::new(),
                ..app
            };
            self.put(now, Name::App(key), &rest, turn);
        }
    }

    pub(super) fn is_to_bury(&self, app: &AppKey) -> bool {
        let known = self.records.apps.get(app).and_then(Kept::get);
        known.is_some_and(|known| known.deleted && !known.revisions.is_empty())
            && !self.is_there(app)
    }

    /// Forgets hosts that left, and those that were not heard of for too long.
    fn forget_hosts(&mut self, now: Time, turn: &mut Turn) {
        self.hosts.forget_left(now, self.settings.forget);
        if self.hosts.forgetting().is_none_or(|at| now < at) {
            return;
        }
        let begun = self.begun.unwrap_or(now);
        let forget = self.settings.forget;
        let is_old = |at: Time| now >= at.after(forget);
        let old = self.hosts.all.iter().filter(|(_, host)| match &host.heard {
            Some((_, at)) => is_old(*at),
            None => is_old(begun),
        });
        for id in old.map(|(id, _)| id.clone()).collect::<Vec<Id>>() {
            self.notes.push(Note::Forgotten { host: id.clone() });
            self.hosts.forget(&id);
            self.measures.forget(&id);
            self.changed_hosts.insert(id.clone());
            self.dirty = true;
            let record = self.records.scheduling.get(&id).and_then(Kept::get);
            let passing = |schedule: Schedule| schedule != Schedule::Cordoned;
            if record.is_some_and(|record| passing(record.schedule)) {
                self.write(now, Name::Scheduling(id.clone()), None, turn);
            }
            if self.records.revision(&Name::Want(id.clone())).is_some() {
                self.write(now, Name::Want(id), None, turn);
            }
        }
    }

    fn is_wanted(&self, app: &AppKey) -> bool {
        let known = self.records.apps.get(app).and_then(Kept::get);
        known.is_some_and(|known| known.wanted.is_some() && !known.deleted)
            || self.wanted.broken.contains_key(app)
    }

    fn is_deleted(&self, app: &AppKey) -> bool {
        match self.records.apps.get(app).map(Kept::get) {
            None => true,
            Some(known) => known.is_some_and(|known| known.deleted),
        }
    }

    /// Whether something of an application is there.
    fn is_there(&self, app: &AppKey) -> bool {
        let from = app.workload("");
        let mut all = self
            .planner
            .planned()
            .workloads
            .range(from..)
            .take_while(|(one, _)| AppKey::of(one) == *app);
        all.any(|(_, status)| status.running > 0)
    }
}
