//! The store, and who watches it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use reef_lattice::{Change, Entry, Expected, Key};

use super::{Event, World};
use crate::core::{Name, Outcome, Write};

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watcher {
    Controller(usize),
    Host(usize),
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) entries: BTreeMap<Key, (Bytes, u64)>,
    pub(super) revision: u64,
    pub(super) is_full: bool,
    /// What is on its way to each, in order; when the last of it is there.
    queues: BTreeMap<Watcher, (VecDeque<Change>, u64)>,
}

impl Store {
    pub(super) fn get(&self, name: &Name) -> Option<&(Bytes, u64)> {
        self.entries.get(&name.key()?)
    }
}

impl World {
    /// Does a write, if the entry is as expected.
    pub(super) fn apply(&mut self, write: &Write) -> Outcome {
        let known = self.store.entries.get(&write.key).map(|(_, revision)| *revision);
        let expected = match write.before {
            Expected::Any => true,
            Expected::Absent => known.is_none(),
            Expected::Revision(revision) => known == Some(revision),
        };
        if write.value.is_none() && known.is_none() {
            return Outcome::Done(None);
        }
        if !expected {
            return Outcome::Conflict;
        }
        self.put(write.key.clone(), write.value.clone());
        Outcome::Done(write.value.as_ref().map(|_| self.store.revision))
    }

    /// Writes, and tells it.
    pub(super) fn put(&mut self, key: Key, value: Option<Bytes>) {
        self.store.revision += 1;
        let revision = self.store.revision;
        let change = match value {
            Some(value) => {
                self.store.entries.insert(key.clone(), (value.clone(), revision));
                Change::Put(Entry { key, value, revision })
            }
            None => {
                self.store.entries.remove(&key);
                Change::Deleted(key, revision)
            }
        };
        let controllers = (0..self.controllers.len()).map(Watcher::Controller);
        let hosts = (0..self.hosts.len()).map(Watcher::Host);
        for watcher in controllers.chain(hosts).collect::<Vec<_>>() {
            if self.link(watcher).inward == 0 {
                self.push(watcher, change.clone());
            }
        }
    }

    fn push(&mut self, watcher: Watcher, change: Change) {
        let delay = self.delay();
        let (queue, last) = self.store.queues.entry(watcher).or_default();
        queue.push_back(change);
        *last = (*last).max(self.now + delay);
        let due = *last;
        self.at(due, Event::Watch(watcher));
    }

    /// Has everything told anew.
    pub(super) fn watch_anew(&mut self, watcher: Watcher) {
        self.store.queues.remove(&watcher);
        self.push(watcher, Change::Anew);
        for (key, (value, revision)) in self.store.entries.clone() {
            self.push(watcher, Change::Put(Entry { key, value, revision }));
        }
        self.push(watcher, Change::Current);
    }

    pub(super) fn deliver(&mut self, watcher: Watcher) {
        if self.link(watcher).inward > 0 {
            // It is lost; all of it is told anew.
            self.store.queues.remove(&watcher);
            return;
        }
        let Some((queue, _)) = self.store.queues.get_mut(&watcher) else { return };
        let Some(change) = queue.pop_front() else { return };
        match watcher {
            Watcher::Controller(at) => {
                let start = self.controllers[at].start;
                self.tell(at, start, |core, now| core.change(now, &change));
            }
            Watcher::Host(at) => self.told(at, &change),
        }
    }
}
