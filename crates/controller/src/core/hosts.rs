//! Hosts: what they say, what they were told, and what comes of both.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use reef_lattice::record::{Assigned, Assignment, HEARTBEAT, Heartbeat, Reported};
use reef_planner::{Crashes, Id, Time, WorkloadKey};

/// A workload at a revision on some host.
pub(super) type Slot = (WorkloadKey, u64);

/// How many instances of what.
pub(super) type Counts = BTreeMap<Slot, u32>;

/// Heartbeats that may be missed before a host is not heard of.
pub(super) const MISSED: u32 = 3;

/// How late a heartbeat may be.
const LATE: Duration = Duration::from_millis(200);

/// Assignments that are remembered for a host that has not confirmed them.
const HISTORY: usize = 32;

/// Starts of a host that are remembered.
const STARTS: usize = 8;

/// The hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) all: BTreeMap<Id, Host>,
    /// Hosts that left, with the start that did, so that what comes late brings none of them back.
    left: BTreeMap<Id, (u64, Time)>,
    /// When something was last heard at all.
    sound: Option<Time>,
    /// Before then, no host that is heard of is silent.
    quiet: Option<Time>,
    /// Before then, none that is not heard of is to be forgotten.
    forgetting: Option<Time>,
}

/// What is known of a host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// What it said last, and when that was heard; none, if only the store knows of it.
    pub(super) heard: Option<(Heartbeat, Time)>,
    /// What it was told last, as the store has it.
    pub(super) told: Option<(u64, u64, Counts)>,
    /// Assignments before, which it may not have followed yet, the oldest first.
    before: VecDeque<(u64, Counts)>,
    /// What was sent to the store, and may be there.
    pub(super) sent: Option<Counts>,
    /// Its starts before: what comes of them is late.
    ended: VecDeque<u64>,
    /// Crashes of what it runs, and when the last of each was.
    pub(super) crashes: BTreeMap<Slot, Crashes>,
    /// Whether it was heard of in time, when that was last looked at.
    pub(super) is_heard: bool,
}

/// What a heartbeat changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// It is late, or was there before.
    Ignored,
    /// Nothing that matters for planning.
    Same,
    /// Something.
    Changed,
    /// The host was not known, or not heard of.
    Joined,
    /// It has left.
    Left,
}

/// How many there are of a workload on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct There {
    pub(super) instances: u32,
    pub(super) ready: u32,
}

impl Hosts {
    /// Something was heard: whatever is not heard of from now on is not because nothing can be heard.
    pub(super) fn sound(&mut self, now: Time) {
        let allowed = HEARTBEAT * 2;
        if let Some(last) = self.sound
            && now > last.after(allowed)
        {
            let gap = now.0 - last.0;
            let heard = self.all.values_mut().filter_map(|host| host.heard.as_mut());
            heard.for_each(|(_, at)| at.0 = at.0.saturating_add(gap).min(now.0));
            self.quiet = None;
        }
        self.sound = Some(self.sound.map_or(now, |last| last.max(now)));
    }

    /// Whether nothing at all is heard.
    pub(super) fn is_deaf(&self, now: Time) -> bool {
        self.sound.is_none_or(|last| now > last.after(HEARTBEAT * 2))
    }

    /// Takes in what a host says.
    pub(super) fn heartbeat(&mut self, beat: Heartbeat, now: Time) -> Beat {
        self.sound(now);
        let id = Id::from(&beat.host);
        if self.left.get(&id).is_some_and(|(boot, _)| *boot == beat.boot) {
            return Beat::Ignored;
        }
        self.left.remove(&id);
        let host = self.all.entry(id.clone()).or_default();
        if let Some((known, at)) = &host.heard {
            let silent = now >= silence(*at);
            let old = host.ended.contains(&beat.boot) && !silent;
            let late = beat.boot == known.boot && beat.sequence <= known.sequence;
            if old || late {
                return Beat::Ignored;
            }
            if beat.boot != known.boot {
                host.ended.retain(|boot| *boot != beat.boot);
                host.ended.push_back(known.boot);
                if host.ended.len() > STARTS {
                    host.ended.pop_front();
                }
            }
        }
        if beat.left {
            self.left.insert(id.clone(), (beat.boot, now));
            self.all.remove(&id);
            return Beat::Left;
        }
        let result = match &host.heard {
            None => Beat::Joined,
            Some(_) if !host.is_heard => Beat::Joined,
            Some((known, _)) if is_same(known, &beat) => Beat::Same,
            Some(_) => Beat::Changed,
        };
        if result == Beat::Joined {
            self.quiet = None;
        }
        host.confirmed(beat.assignment);
        host.crashed(&beat, now);
        host.heard = Some((beat, now));
        host.is_heard = true;
        result
    }

    /// Takes in what a host is told, as the store has it.
    pub(super) fn told(&mut self, id: &Id, revision: u64, assignment: &Assignment) {
        let host = self.all.entry(id.clone()).or_default();
        let counts = counts(assignment);
        host.sent = None;
        host.now_told(revision, assignment.term, counts);
    }

    /// What a host was told is not in the store any more.
    pub(super) fn untold(&mut self, id: &Id) {
        if let Some(host) = self.all.get_mut(id) {
            host.told = None;
            host.before.clear();
            host.sent = None;
            if host.heard.is_none() {
                self.all.remove(id);
            }
        }
    }

    /// Notes which hosts are heard of. Those of which that changed, and whether they are. What is only known from the
    /// store is forgotten as if it had been heard at `begun`.
    pub(super) fn listen(&mut self, now: Time, begun: Time, forget: Duration) -> Vec<(Id, bool)> {
        if self.quiet.is_some_and(|quiet| now < quiet) {
            return Vec::new();
        }
        let mut changed = Vec::new();
        (self.quiet, self.forgetting) = (None, None);
        for (id, host) in &mut self.all {
            let at = host.heard.as_ref().map(|(_, at)| *at);
            let silent = at.map(silence).filter(|silent| now < *silent);
            if host.heard.is_some() && host.is_heard != silent.is_some() {
                host.is_heard = silent.is_some();
                changed.push((id.clone(), host.is_heard));
            }
            let (earliest, next) = match silent {
                Some(silent) => (&mut self.quiet, silent),
                None => (&mut self.forgetting, at.unwrap_or(begun).after(forget)),
            };
            *earliest = Some(earliest.map_or(next, |earliest| earliest.min(next)));
        }
        changed
    }

    /// When to [listen](Self::listen) again, if nothing is heard.
    pub(super) fn quiet(&self) -> Option<Time> {
        self.quiet
    }

    /// When a host may have to be forgotten.
    pub(super) fn forgetting(&self) -> Option<Time> {
        self.forgetting
    }

    /// Forgets a host.
    pub(super) fn forget(&mut self, id: &Id) {
        self.all.remove(id);
        (self.quiet, self.forgetting) = (None, None);
    }

    /// Forgets who was not heard of for so long, and is told nothing that would have to be deleted; which those were.
    pub(super) fn forget_silent(&mut self, now: Time, after: Duration) -> Vec<Id> {
        let is_old = |host: &Host| {
            host.told.is_none()
                && host.sent.is_none()
                && host.heard.as_ref().is_some_and(|(_, at)| now >= at.after(after))
        };
        let old = self.all.iter().filter(|(_, host)| is_old(host));
        let old: Vec<_> = old.map(|(id, _)| id.clone()).collect();
        old.iter().for_each(|id| self.forget(id));
        old
    }

    /// Forgets who left so long ago.
    pub(super) fn forget_left(&mut self, now: Time, after: Duration) {
        self.left.retain(|_, (_, at)| now < at.after(after));
    }
}

impl Host {
    fn now_told(&mut self, revision: u64, term: u64, counts: Counts) {
        if let Some((before, _, was)) = self.told.take() {
            let confirmed = self.heard.as_ref().map_or(0, |(beat, _)| beat.assignment);
            self.before.push_back((before, was));
            while self.before.len() > HISTORY {
                // The least of two that follow each other is as careful.
                if let (Some((_, one)), Some((_, next))) =
                    (self.before.pop_front(), self.before.front_mut())
                {
                    next.retain(|slot, count| {
                        *count = (*count).min(one.get(slot).copied().unwrap_or(0));
                        *count > 0
                    });
                }
            }
            self.told = Some((revision, term, counts));
            self.confirmed(confirmed);
        } else {
            self.told = Some((revision, term, counts));
        }
    }

    /// The host follows the assignment of a revision: those before it do not matter any more.
    fn confirmed(&mut self, revision: u64) {
        let told = self.told.as_ref().map_or(0, |(revision, ..)| *revision);
        if revision >= told {
            self.before.clear();
            return;
        }
        while self.before.get(1).is_some_and(|(next, _)| *next <= revision) {
            self.before.pop_front();
        }
    }

    /// Notes crashes. When the last was stays as it was first heard, so that nothing seems to change with each word.
    fn crashed(&mut self, beat: &Heartbeat, now: Time) {
        let mut crashes = BTreeMap::new();
        for one in &beat.placements {
            let Some(trouble) = one.trouble.as_ref().filter(|trouble| trouble.crashes > 0) else {
                continue;
            };
            let slot = slot(one);
            let known = self.crashes.get(&slot).filter(|known| known.count == trouble.crashes);
            let last = Time(now.0.saturating_sub(trouble.ago));
            let new = Crashes { count: trouble.crashes, last };
            crashes.insert(slot, known.copied().unwrap_or(new));
        }
        self.crashes = crashes;
    }

    /// Whether it has said that it follows what it was told last.
    pub(super) fn is_confirmed(&self) -> bool {
        let told = self.told.as_ref().map_or(0, |(revision, ..)| *revision);
        self.sent.is_none() && self.heard.as_ref().is_some_and(|(beat, _)| beat.assignment >= told)
    }

    /// Whether it was told what it is to run in a term, and no more is to be told.
    pub(super) fn is_told(&self, term: u64) -> bool {
        self.sent.is_none() && self.told.as_ref().is_some_and(|(_, of, _)| *of == term)
    }

    /// When it is not heard of any more, if nothing comes.
    pub(super) fn silent_at(&self) -> Option<Time> {
        self.heard.as_ref().map(|(_, at)| silence(*at))
    }

    /// What it is told, as far as that is known: what was sent and may be there, what is there, or what it runs.
    pub(super) fn base(&self) -> Counts {
        match (&self.sent, &self.told) {
            (Some(sent), _) => sent.clone(),
            (None, Some((_, _, told))) => told.clone(),
            (None, None) => self.reported().map(|one| (slot(one), one.instances)).collect(),
        }
    }

    pub(super) fn reported(&self) -> impl Iterator<Item = &Reported> {
        self.heard.iter().flat_map(|(beat, _)| beat.placements.iter())
    }

    /// What there is of one slot.
    pub(super) fn there_of(&self, of: &Slot) -> There {
        let mut there = There::default();
        let (workload, revision) = of;
        let said = self.reported().filter(|one| one.instances > 0);
        for one in said.filter(|one| one.revision == *revision && one.workload == *workload) {
            there.instances = there.instances.saturating_add(one.instances);
            there.ready = there.ready.saturating_add(one.ready.min(one.instances));
        }
        let told = self.told.as_ref().map(|(_, _, counts)| counts);
        let count = |counts: &Counts| counts.get(of).copied().unwrap_or(0);
        for counts in self.before.iter().map(|(_, counts)| counts).chain(told).chain(&self.sent) {
            there.ready = there.ready.min(count(counts));
        }
        for counts in told.into_iter().chain(&self.sent) {
            there.instances = there.instances.max(count(counts));
        }
        there
    }

    /// What there is on it. What it was told counts as there, until it says something else; what it was told to stop
    /// counts as there until it says that it is not, but does no work. Ready is what it says, and what it has been told
    /// all the time since it said so.
    pub(super) fn there(&self) -> BTreeMap<Slot, There> {
        let mut all: BTreeMap<Slot, There> = BTreeMap::new();
        for one in self.reported().filter(|one| one.instances > 0) {
            let there = all.entry(slot(one)).or_default();
            there.instances = there.instances.saturating_add(one.instances);
            there.ready = there.ready.saturating_add(one.ready.min(one.instances));
        }
        let told = self.told.as_ref().map(|(_, _, counts)| counts);
        let before = self.before.iter().map(|(_, counts)| counts);
        for counts in before.chain(told).chain(&self.sent) {
            for (slot, there) in &mut all {
                there.ready = there.ready.min(counts.get(slot).copied().unwrap_or(0));
            }
        }
        for counts in told.into_iter().chain(&self.sent) {
            for (slot, count) in counts {
                let there = all.entry(slot.clone()).or_default();
                there.instances = there.instances.max(*count);
            }
        }
        all
    }
}

/// A slot of what a host says.
pub(super) fn slot(reported: &Reported) -> Slot {
    (reported.workload.clone(), reported.revision)
}

/// What an assignment says.
pub(super) fn counts(assignment: &Assignment) -> Counts {
    let all = assignment.workloads.iter();
    all.map(|one| ((one.workload.clone(), one.revision), one.instances)).collect()
}

/// An assignment of these.
pub(super) fn assignment(term: u64, counts: &Counts) -> Assignment {
    let one = |((workload, revision), instances): (&Slot, &u32)| Assigned {
        workload: workload.clone(),
        revision: *revision,
        instances: *instances,
    };
    let workloads = counts.iter().filter(|(_, count)| **count > 0).map(one).collect();
    Assignment { term, workloads }
}

/// When a host that was heard at a moment is not heard of any more: one that is a little late is not missed.
fn silence(at: Time) -> Time {
    at.after(HEARTBEAT * MISSED + LATE)
}

/// Whether nothing that planning, routes or status look at differs.
fn is_same(one: &Heartbeat, other: &Heartbeat) -> bool {
    let place = |reported: &Reported| {
        let trouble = reported.trouble.as_ref().map(|trouble| trouble.crashes);
        (slot(reported), reported.instances, reported.ready, reported.requests, trouble)
    };
    one.boot == other.boot
        && one.name == other.name
        && one.labels == other.labels
        && one.capacity == other.capacity
        && one.http == other.http
        && one.leaving == other.leaving
        && one.assignment == other.assignment
        && one.placements.len() == other.placements.len()
        && one.placements.iter().map(place).eq(other.placements.iter().map(place))
}

#[cfg(test)]
mod tests;
