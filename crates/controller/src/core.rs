//! The reconciler, without I/O, clock or chance.
//!
//! What happens goes in: changes of the store, heartbeats, what became of writes. [`Core::turn`] says what is to be
//! written now, and when to come again. Moments are milliseconds on one clock of the caller's, which only goes forward.

#[cfg(test)]
mod check;
mod hosts;
mod lease;
mod measure;
mod note;
mod observe;
mod outbox;
mod records;
mod route;
#[cfg(test)]
pub(crate) mod samples;
mod stale;
mod status;
mod tidy;
mod turn;
mod wanted;
mod writes;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use reef_lattice::{
    Change,
    record::{App, Heartbeat, Revision, Routing, Status},
};
use reef_planner::{Changed, Id, Observed, Planner, Policy, Time, WorkloadKey};

pub(crate) use self::note::word;
pub use self::{
    hosts::Host,
    note::Note,
    outbox::{Outcome, Write},
    records::{AppKey, Kept, Name, Records},
    wanted::Wanted,
};
use self::{
    hosts::{Beat, Hosts},
    lease::Candidate,
    measure::Measures,
    outbox::Outbox,
    stale::Stale,
    wanted::Unread,
};
use crate::autoscale::Autoscaler;

/// How a core behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is: another one for each start.
    pub holder: Arc<str>,
    /// How long a leader may be silent before it is taken over.
    pub lease: Duration,
    /// What holds for all workloads.
    pub policy: Policy,
    /// How long a host may be silent before it is forgotten.
    pub forget: Duration,
    /// Writes under way at once, at most.
    pub writes: usize,
    /// Whether it wants to lead.
    pub leads: bool,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Turn {
    /// Writes, each with what has to be there before. What becomes of each is told by [`Core::wrote`].
    pub writes: Vec<Write>,
    /// What is worth telling.
    pub notes: Vec<Note>,
    /// When to come again, though nothing happens.
    pub wake: Option<Time>,
}

/// The reconciler.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    records: Records,
    hosts: Hosts,
    measures: Measures,
    scaler: Autoscaler,
    candidate: Candidate,
    outbox: Outbox,
    wanted: Wanted,
    observed: Observed,
    planner: Planner,
    /// The term in which it led at the last turn.
    term: Option<u64>,
    /// Since when it knows the store and hears hosts.
    begun: Option<Time>,
    heard_all: bool,
    /// What of that which is wanted is to be read anew.
    unread: Unread,
    /// Whether there is to be a plan; when there is to be one at the latest.
    dirty: bool,
    next: Option<Time>,
    /// What is to be observed anew.
    changed_hosts: BTreeSet<Id>,
    changed_rollouts: BTreeSet<WorkloadKey>,
    /// Applications of which a record of a revision changed.
    revised: BTreeSet<AppKey>,
    /// Hosts where something crashes, and rollouts that go on.
    crashing: BTreeSet<Id>,
    going: BTreeSet<WorkloadKey>,
    /// What the planner has not been told of, and what was not looked at since it may have to be written.
    changed: Changed,
    stale: Stale,
    /// How applications were found to be, when that was last looked at.
    said: BTreeMap<AppKey, Status>,
    /// Routes that were sent to the store, and may be there.
    sent_routes: BTreeMap<AppKey, Vec<Routing>>,
    /// Keys that could not be written because another write of them, or too many, were under way.
    held_up: bool,
    scaled: Time,
    notes: Vec<Note>,
    waits_told: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let policy = Policy { grace: Duration::from_millis(1500), ..Policy::default() };
        Self {
            holder: "controller".into(),
            lease: Duration::from_secs(2),
            policy,
            forget: Duration::from_secs(15 * 60),
            writes: 256,
            leads: true,
        }
    }
}

impl Core {
    /// One that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        let candidate = Candidate::new(settings.holder.clone(), settings.lease);
        let policy = settings.policy;
        Self {
            settings,
            records: Records::default(),
            hosts: Hosts::default(),
            measures: Measures::default(),
            scaler: Autoscaler::default(),
            candidate,
            outbox: Outbox::default(),
            wanted: Wanted::new(policy),
            observed: Observed::default(),
            planner: Planner::default(),
            term: None,
            begun: None,
            heard_all: false,
            unread: Unread::default(),
            dirty: true,
            next: None,
            changed_hosts: BTreeSet::new(),
            changed_rollouts: BTreeSet::new(),
            revised: BTreeSet::new(),
            crashing: BTreeSet::new(),
            going: BTreeSet::new(),
            changed: Changed::default(),
            stale: Stale::default(),
            said: BTreeMap::new(),
            sent_routes: BTreeMap::new(),
            held_up: false,
            scaled: Time(0),
            notes: Vec::new(),
            waits_told: false,
        }
    }

    /// The store tells something.
    pub fn change(&mut self, now: Time, change: &Change) {
        if let Change::Deleted(key, revision) = change
            && let Some(name) = Name::of(key)
        {
            self.outbox.deleted(&name, *revision);
        }
        for name in self.records.change(change) {
            self.changed(now, &name);
        }
    }

    /// A host says how it is. Whatever is wrong with it or late is left alone.
    pub fn heartbeat(&mut self, now: Time, beat: Heartbeat) {
        let id = Id::from(&beat.host);
        let name = Arc::from(beat.name.as_str());
        let change = self.hosts.heartbeat(beat, now);
        if change == Beat::Ignored {
            return;
        }
        if change == Beat::Left {
            self.measures.forget(&id);
            self.notes.push(Note::Left { host: id.clone() });
        } else if let Some((beat, _)) = self.hosts.all.get(&id).and_then(|one| one.heard.as_ref()) {
            let counted = self.measures.heartbeat(&id, beat);
            if counted.iter().any(|workload| self.is_measured(workload)) {
                self.soon(now);
            }
        }
        if change == Beat::Joined {
            self.notes.push(Note::Heard { host: id.clone(), name });
            // Who leads does so by itself: records have to go, too.
            if self.term.is_none() {
                self.hosts.forget_left(now, self.settings.forget);
                for old in self.hosts.forget_silent(now, self.settings.forget) {
                    self.measures.forget(&old);
                    self.changed_hosts.insert(old);
                }
            }
        }
        if change != Beat::Same {
            self.changed_hosts.insert(id);
            self.dirty = true;
        }
    }

    /// Something was heard on the bus: so hosts that are not heard of are silent, and it is not the bus.
    pub fn pulse(&mut self, now: Time) {
        self.hosts.sound(now);
    }

    /// A host has requests for a workload of which nothing runs.
    pub fn demand(&mut self, now: Time, workload: &WorkloadKey) {
        if let Some(scale) = self.wanted.autoscale.get(workload)
            && self.scaler.demand(workload, scale, now)
        {
            self.unread.apps.insert(AppKey::of(workload));
            self.dirty = true;
        }
    }

    /// What became of a write.
    pub fn wrote(&mut self, now: Time, name: &Name, outcome: Outcome) {
        let outcome = self.outbox.seen(name, outcome);
        let value = self.outbox.ended(&self.records, now, name, &outcome);
        self.stale.note(name);
        if let Outcome::Failed(why) = &outcome {
            self.notes.push(Note::NotWritten { name: name.clone(), why: why.clone() });
        }
        if *name == Name::Leader {
            // Before the record itself is taken in, so that it is seen as its own.
            self.candidate.wrote(now, &outcome);
        }
        match (outcome, value) {
            (Outcome::Done(Some(revision)), Some(value)) => {
                if let Some(name) = self.records.put(name.clone(), &value, revision) {
                    self.changed(now, &name);
                }
            }
            (Outcome::Conflict, _) => {
                if let Name::Route(app) = name
                    && let Some(sent) = self.sent_routes.get_mut(app)
                {
                    // Those before it may be there still.
                    sent.pop();
                    if sent.is_empty() {
                        self.sent_routes.remove(app);
                    }
                }
                if let Name::Want(host) = name
                    && let Some(one) = self.hosts.all.get_mut(host)
                {
                    one.sent = None;
                    self.changed_hosts.insert(host.clone());
                }
                self.dirty = true;
            }
            _ => self.dirty = true,
        }
        if self.held_up {
            self.dirty = true;
        }
    }

    /// Ends: what is to be written so that another one leads at once.
    pub fn resign(&mut self, now: Time) -> Option<Write> {
        self.settings.leads = false;
        if !self.candidate.resign() {
            return None;
        }
        self.outbox.write(&self.records, now, Name::Leader, None)
    }

    /// Says what is to be done now.
    pub fn turn(&mut self, now: Time) -> Turn {
        let mut turn = Turn::default();
        let deaf = self.hosts.is_deaf(now);
        let ready = self.records.is_current() && !deaf;
        if ready && self.settings.leads {
            self.lease(now, &mut turn);
        }
        self.term_changed(now);
        if ready {
            self.begun.get_or_insert(now);
            self.listen(now);
            self.scale(now);
            let due = self.dirty || self.next.is_some_and(|next| next <= now);
            if due && self.has_heard_all(now) {
                self.look(now);
                if let Some(term) = self.term {
                    self.act(now, term, &mut turn);
                }
            }
        }
        turn.notes.append(&mut self.notes);
        turn.wake = self.wake(now, ready);
        turn
    }

    /// The records of the store.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// What is wanted, as it was last looked at.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is wanted at this moment.
    pub(crate) fn wanted_now(&self) -> Cow<'_, Wanted> {
        let mut wanted = Cow::Borrowed(&self.wanted);
        if !self.unread.is_empty() {
            wanted.to_mut().read(&self.records, &self.scaler, &self.unread);
        }
        wanted
    }

    /// What would be wanted if a revision of an application were accepted.
    pub(crate) fn wanted_with(&self, key: &AppKey, app: &App, revision: &Revision) -> Wanted {
        let mut wanted = self.wanted_now().into_owned();
        wanted.accept(&self.records, &self.scaler, key, app, revision);
        wanted
    }

    /// What is on a host: how many of each workload's revision, and how many of them are ready.
    pub(crate) fn there(&self, host: &Id) -> BTreeMap<(WorkloadKey, u64), (u32, u32)> {
        let there = self.hosts.all.get(host).map(Host::there).unwrap_or_default();
        there.into_iter().map(|(slot, there)| (slot, (there.instances, there.ready))).collect()
    }

    /// The highest revision of an application that a host says that it runs.
    pub(crate) fn newest_there(&self, app: &AppKey) -> Option<u64> {
        let reported = self.hosts.all.values().flat_map(Host::reported);
        let own = reported.filter(|one| app.has(&one.workload));
        own.map(|one| one.revision).max()
    }

    /// What there is, as it was last looked at.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Whether hosts run something of which the store has no record, not even that it was deleted: so the store was lost,
    /// and may be had again.
    pub(crate) fn runs_what_is_unknown(&self) -> bool {
        let mut reported = self.hosts.all.values().flat_map(Host::reported);
        reported.any(|one| !self.records.apps.contains_key(&AppKey::of(&one.workload)))
    }

    /// The hosts, with what they said last, when that was, and whether they are heard of.
    pub fn hosts(&self) -> impl Iterator<Item = (&Heartbeat, Time, bool)> {
        let heard = |host: &'_ Host| host.is_heard;
        self.hosts
            .all
            .values()
            .filter_map(move |host| host.heard.as_ref().map(|(beat, at)| (beat, *at, heard(host))))
    }

    /// What holds for all workloads.
    pub fn policy(&self) -> Policy {
        self.settings.policy
    }

    /// The term in which it leads.
    pub fn term(&self) -> Option<u64> {
        self.term
    }

    /// The term in which it leads, and until when, unless it says once more that it does.
    pub(crate) fn leads(&self, now: Time) -> Option<(u64, Time)> {
        self.candidate.leads(now)
    }

    /// What it planned last.
    #[cfg(test)]
    pub(crate) fn planned(&self) -> &reef_planner::Plan {
        self.planner.planned()
    }

    /// The term in which it leads at a moment.
    #[cfg(test)]
    pub(crate) fn leads_at(&self, now: Time) -> Option<u64> {
        self.candidate.term(now)
    }

    /// Whether all that is known has been told, so that clients can be answered.
    pub fn is_current(&self) -> bool {
        self.records.is_current()
    }

    /// What load says of how many instances there are to be.
    pub fn scaler(&self) -> &Autoscaler {
        &self.scaler
    }
}

/// A map from workloads.
type ByWorkload<T> = BTreeMap<WorkloadKey, T>;
