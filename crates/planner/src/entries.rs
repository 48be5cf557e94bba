//! Workloads, wanted or not, and what there is of each.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use crate::{
    converge::Live, desired::Workload, id::WorkloadKey, reason::Reason, resources::Resources,
};

/// What there is of a workload, by host and revision.
pub(crate) type Lives = BTreeMap<(u32, u64), Live>;

/// A workload, and what there is of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: WorkloadKey,
    /// Its place among all others: the first are planned first. None: it is not wanted.
    pub(crate) turn: Option<(Reverse<i32>, u64)>,
    pub(crate) live: Lives,
    /// What one instance asks for.
    pub(crate) requests: Resources,
    /// Instances that are wanted, and that may be.
    pub(crate) wanted: u64,
    pub(crate) granted: u32,
    /// Why these are fewer.
    pub(crate) reasons: Vec<Reason>,
}

/// All of them, each at a place that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    all: Vec<Entry>,
    places: HashMap<WorkloadKey, u32>,
    free: Vec<u32>,
}

impl Entries {
    pub(crate) fn at(&self, at: u32) -> &Entry {
        &self.all[at as usize]
    }

    pub(crate) fn at_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.all[at as usize]
    }

    pub(crate) fn place(&self, key: &WorkloadKey) -> Option<u32> {
        self.places.get(key).copied()
    }

    /// Where a workload is, whether it was known or not.
    pub(crate) fn place_of(&mut self, key: &WorkloadKey) -> u32 {
        if let Some(at) = self.places.get(key) {
            return *at;
        }
        let entry = Entry {
            key: key.clone(),
            turn: None,
            live: Lives::new(),
            requests: Resources::default(),
            wanted: 0,
            granted: 0,
            reasons: Vec::new(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.all[at as usize] = entry;
                at
            }
            None => {
                self.all.push(entry);
                u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.places.insert(key.clone(), at);
        at
    }

    pub(crate) fn remove(&mut self, at: u32) {
        self.places.remove(&self.all[at as usize].key);
        self.free.push(at);
    }

    /// All that are wanted, in no order.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = u32> {
        self.places.values().copied().filter(|at| self.at(*at).turn.is_some())
    }

    /// Puts some in the order in which they are planned: what is not wanted, then by priority, age and name.
    pub(crate) fn sort(&self, some: &mut [u32]) {
        some.sort_unstable_by(|one, other| {
            let (one, other) = (self.at(*one), self.at(*other));
            (one.turn, &one.key).cmp(&(other.turn, &other.key))
        });
    }

    /// Hosts have other places now.
    pub(crate) fn renumber(&mut self, to: &[Option<u32>]) {
        for entry in &mut self.all {
            let live = std::mem::take(&mut entry.live).into_iter();
            let moved = live.filter_map(|((host, revision), live)| {
                Some(((to.get(host as usize).copied().flatten()?, revision), live))
            });
            entry.live = moved.collect();
        }
    }
}

impl Entry {
    /// Takes away what there is on a host.
    pub(crate) fn leave(&mut self, host: u32) {
        let here = self.live.range((host, 0)..=(host, u64::MAX));
        let here: Vec<(u32, u64)> = here.map(|(place, _)| *place).collect();
        for place in here {
            self.live.remove(&place);
        }
    }

    /// Whether what runs holds what the workload asks for: then what stays leaves hosts as they are.
    pub(crate) fn is_exact(&self) -> bool {
        self.live.values().all(|live| live.requests == self.requests)
    }
}

/// The place of a workload among all others.
pub(crate) fn turn(workload: &Workload) -> (Reverse<i32>, u64) {
    (Reverse(workload.priority), workload.accepted)
}
