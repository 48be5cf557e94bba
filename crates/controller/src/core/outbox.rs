//! Writes that are under way, one of each key at a time.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use reef_lattice::{Expected, Key};
use reef_planner::Time;

use super::records::{Name, Records};

/// A write that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What of.
    pub name: Name,
    /// Its key.
    pub key: Key,
    /// What it is to say; none deletes it.
    pub value: Option<Bytes>,
    /// What has to be there before.
    pub before: Expected,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done: the store's revision of it, where it was not a deletion.
    Done(Option<u64>),
    /// Something else was there; nothing was written.
    Conflict,
    /// It may have been done. Why that is not known.
    Failed(String),
}

/// How long the store's word on a key is waited for after a conflict, or a deletion.
const WORD: Duration = Duration::from_secs(1);
/// How long a key is left alone after its write failed; twice as long each time.
const FIRST: Duration = Duration::from_millis(100);
/// At most so long.
const LONGEST: Duration = Duration::from_secs(2);

/// Writes that are under way, and keys that are left alone for a while.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    under_way: BTreeMap<Name, UnderWay>,
    waiting: BTreeMap<Name, Waiting>,
}

#[derive(Debug)]
struct UnderWay {
    value: Option<Bytes>,
    /// The last deletion that was told meanwhile.
    deleted: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    until: Time,
    /// Over, once the record is of another revision.
    known: Option<u64>,
    ends_with_change: bool,
    failures: u32,
}

impl Outbox {
    /// Whether a key may be written now.
    pub(super) fn is_free(&self, name: &Name, now: Time) -> bool {
        !self.under_way.contains_key(name)
            && self.waiting.get(name).is_none_or(|waiting| waiting.until <= now)
    }

    /// Begins a write, if its key may be written.
    pub(super) fn write(
        &mut self,
        records: &Records,
        now: Time,
        name: Name,
        value: Option<Bytes>,
    ) -> Option<Write> {
        if !self.is_free(&name, now) {
            return None;
        }
        let key = name.key()?;
        let before = records.revision(&name).map_or(Expected::Absent, Expected::Revision);
        self.under_way.insert(name.clone(), UnderWay { value: value.clone(), deleted: None });
        Some(Write { name, key, value, before })
    }

    /// A record was deleted, be it by somebody else: what is written may be told to be there after it is gone again.
    pub(super) fn deleted(&mut self, name: &Name, revision: u64) {
        if let Some(one) = self.under_way.get_mut(name) {
            one.deleted = one.deleted.max(Some(revision));
        }
    }

    /// What became of a write, by all that was told of its record.
    pub(super) fn seen(&self, name: &Name, outcome: Outcome) -> Outcome {
        let deleted = self.under_way.get(name).and_then(|one| one.deleted);
        match outcome {
            Outcome::Done(Some(revision)) if deleted > Some(revision) => Outcome::Conflict,
            other => other,
        }
    }

    /// Ends a write. What it was to say.
    pub(super) fn ended(
        &mut self,
        records: &Records,
        now: Time,
        name: &Name,
        outcome: &Outcome,
    ) -> Option<Bytes> {
        let value = self.under_way.remove(name)?.value;
        let failures = self.waiting.get(name).map_or(0, |waiting| waiting.failures);
        let known = records.revision(name);
        let waiting = match outcome {
            Outcome::Done(Some(_)) => None,
            Outcome::Done(None) | Outcome::Conflict => {
                Some(Waiting { until: now.after(WORD), known, ends_with_change: true, failures: 0 })
            }
            Outcome::Failed(_) => {
                let wait = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
                let failures = failures.saturating_add(1);
                Some(Waiting { until: now.after(wait), known, ends_with_change: false, failures })
            }
        };
        match waiting {
            // Told by the watch before the answer came.
            Some(waiting) if waiting.ends_with_change && known.is_none() => {
                self.waiting.remove(name);
            }
            Some(waiting) => drop(self.waiting.insert(name.clone(), waiting)),
            None => drop(self.waiting.remove(name)),
        }
        value
    }

    /// A record changed.
    pub(super) fn changed(&mut self, records: &Records, name: &Name) {
        let over =
            |waiting: &Waiting| waiting.ends_with_change && waiting.known != records.revision(name);
        if self.waiting.get(name).is_some_and(over) {
            self.waiting.remove(name);
        }
    }

    /// Forgets all of it: another one writes now.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// When a key may be written again.
    pub(super) fn wake(&self, now: Time) -> Option<Time> {
        self.waiting.values().map(|waiting| waiting.until).filter(|until| *until > now).min()
    }

    /// Whether a write of a key is under way: what is to be there is looked at once it has ended.
    #[cfg(test)]
    pub(super) fn is_under_way(&self, name: &Name) -> bool {
        self.under_way.contains_key(name)
    }

    /// How many writes are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }
}
