//! The way to a workload: where instances of it are ready, and which of them is next.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use reef_lattice::record::{Backend, Entry};
use reef_planner::WorkloadKey;
use tokio::sync::watch;

use crate::placement::name_of;

/// How long a host that could not be reached is left alone: at first, and at most.
const EJECTED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The revisions of a workload that have a route, as it is known now.
pub(crate) type Revisions = ArcSwap<BTreeSet<u64>>;

/// Where a workload is. What is read of it is one pointer.
pub(crate) struct Path {
    pub(crate) workload: WorkloadKey,
    to: ArcSwap<Targets>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Targets {
    entry: Entry,
    backends: Vec<Choice>,
}

/// Instances on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What it is deployed as there.
    pub(crate) name: String,
    pub(crate) host: String,
    /// Where that is reached.
    pub(crate) http: Option<String>,
    pub(crate) near: Near,
    revision: u64,
    ready: u32,
}

/// How near instances are: the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Near {
    Here,
    SameZone,
    Elsewhere,
}

/// Which host this is.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) host: String,
    pub(crate) zone: Option<String>,
}

/// When what is known of a way changes.
pub(crate) struct Changes(watch::Receiver<u64>);

/// Hosts that could not be reached lately.
#[derive(Default)]
pub(crate) struct Ejected(Mutex<HashMap<String, (Instant, Duration)>>);

// === impl Path ===

impl Path {
    pub(crate) fn new(workload: WorkloadKey) -> Self {
        Self { workload, to: ArcSwap::default(), changed: watch::Sender::new(0) }
    }

    /// What is known from now on.
    pub(crate) fn set(&self, entry: &Entry, own: &Own) {
        if self.to.load().entry == *entry {
            return;
        }
        let choice = |backend: &Backend| Choice {
            name: name_of(&self.workload, backend.revision),
            near: match backend {
                Backend { host, .. } if *host == own.host => Near::Here,
                Backend { zone: Some(zone), .. } if own.zone.as_ref() == Some(zone) => {
                    Near::SameZone
                }
                _ => Near::Elsewhere,
            },
            host: backend.host.clone(),
            http: backend.http.clone(),
            revision: backend.revision,
            ready: backend.ready,
        };
        let backends = entry.backends.iter().filter(|backend| backend.ready > 0).map(choice);
        let targets = Targets { entry: entry.clone(), backends: backends.collect() };
        self.to.store(targets.into());
        self.changed.send_modify(|times| *times += 1);
    }

    /// Where to send the next call, which goes over the bus: to the nearest instances that were not tried.
    pub(crate) fn choose_by_bus(&self, tried: &[Choice], ejected: &Ejected) -> Option<Choice> {
        let (targets, now) = (self.to.load(), Instant::now());
        let untried = || targets.backends.iter().filter(|one| !tried.contains(one));
        let mut all: Vec<_> = untried().filter(|one| !ejected.is_out(&one.host, now)).collect();
        if all.is_empty() {
            all = untried().collect();
        }
        if let Some(weights) = &targets.entry.weights {
            let revision = weighted(weights, &all)?;
            all.retain(|one| one.revision == revision);
        }
        let nearest = all.iter().map(|one| one.near).min()?;
        all.retain(|one| one.near == nearest);
        by_lot(&all, |one| one.ready).copied().cloned()
    }

    /// Where to send the next request: to the nearest instances, of each revision as often as its weight says.
    /// `of`: only these revisions; none is all. `busy`: whether those here have no place free.
    pub(crate) fn choose(
        &self,
        of: Option<&BTreeSet<u64>>,
        tried: &[Choice],
        ejected: &Ejected,
        busy: impl Fn(&str) -> bool,
    ) -> Option<Choice> {
        let targets = self.to.load();
        let now = Instant::now();
        let reachable = |one: &&Choice| {
            of.is_none_or(|of| of.contains(&one.revision))
                && !tried.contains(one)
                && (one.near == Near::Here
                    || (one.http.is_some() && !ejected.is_out(&one.host, now)))
        };
        let mut all: Vec<&Choice> = targets.backends.iter().filter(reachable).collect();
        if all.is_empty() {
            // One that was left alone is better than none.
            let any = |one: &&Choice| {
                of.is_none_or(|of| of.contains(&one.revision))
                    && !tried.contains(one)
                    && (one.near == Near::Here || one.http.is_some())
            };
            all = targets.backends.iter().filter(any).collect();
        }
        if let Some(weights) = &targets.entry.weights {
            let revision = weighted(weights, &all)?;
            all.retain(|one| one.revision == revision);
        }
        let here = all.iter().find(|one| one.near == Near::Here);
        let here = here.filter(|one| all.len() == 1 || !busy(&one.name));
        if let Some(here) = here {
            return Some((*here).clone());
        }
        // Others before those here that are busy.
        let elsewhere = all.iter().filter(|one| one.near != Near::Here).map(|one| one.near).min();
        let nearest = elsewhere.or(all.iter().map(|one| one.near).min())?;
        all.retain(|one| one.near == nearest);
        by_lot(&all, |one| one.ready).copied().cloned()
    }

    /// Sees what is known change from now on: to be had before it is looked at.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.changed.subscribe())
    }

    /// Whether instances on that host are still there to be chosen, as far as is known here.
    pub(crate) fn leads_to(&self, choice: &Choice) -> bool {
        let is = |one: &Choice| (&one.host, one.revision) == (&choice.host, choice.revision);
        self.to.load().backends.iter().any(is)
    }

    pub(crate) fn has_backends(&self) -> bool {
        !self.to.load().backends.is_empty()
    }
}

/// A revision that has instances, as often as its weight says.
fn weighted(weights: &BTreeMap<u64, u32>, there: &[&Choice]) -> Option<u64> {
    let of: Vec<(u64, u32)> = weights
        .iter()
        .filter(|(revision, weight)| {
            **weight > 0 && there.iter().any(|one| one.revision == **revision)
        })
        .map(|(revision, weight)| (*revision, *weight))
        .collect();
    by_lot(&of, |(_, weight)| *weight).map(|(revision, _)| *revision)
}

fn by_lot<T>(all: &[T], weight: impl Fn(&T) -> u32) -> Option<&T> {
    let sum: u64 = all.iter().map(|one| u64::from(weight(one))).sum();
    if sum == 0 {
        return all.first();
    }
    let mut drawn = fastrand::u64(..sum);
    all.iter().find(|one| {
        let weight = u64::from(weight(one));
        let this = drawn < weight;
        drawn = drawn.saturating_sub(weight);
        this
    })
}

// === impl Changes ===

impl Changes {
    /// Waits until something else is known than when this was last waited for.
    pub(crate) async fn next(&mut self, within: Duration) {
        let _ = tokio::time::timeout(within, self.0.changed()).await;
    }
}

// === impl Ejected ===

impl Ejected {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is left alone now.
    pub(crate) fn is_out(&self, host: &str, now: Instant) -> bool {
        self.lock().get(host).is_some_and(|(until, _)| now < *until)
    }

    /// A host could not be reached.
    pub(crate) fn out(&self, host: &str) {
        let mut all = self.lock();
        let now = Instant::now();
        let pause = match all.get(host) {
            // Others have found out at the same time.
            Some((until, _)) if now < *until => return,
            Some((_, pause)) => (*pause * 2).min(EJECTED.1),
            None => EJECTED.0,
        };
        all.insert(host.to_owned(), (now + pause, pause));
    }

    /// A host answered.
    pub(crate) fn back(&self, host: &str) {
        let mut all = self.lock();
        if !all.is_empty() {
            all.remove(host);
        }
    }
}
