//! What the store holds, as it was last heard of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hasher as _},
};

use reef_lattice::{
    Change, Entry, Key,
    key::kind,
    record::{
        App, Assignment, Leader, Namespace, Revision, Rollout, Routing, Scaled, Scheduling, Status,
        decode,
    },
};
use reef_planner::{Id, WorkloadKey};
use serde::de::DeserializeOwned;

/// An application in its namespace. Written as `namespace/app`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppKey {
    /// Its namespace.
    pub namespace: Id,
    /// What it is called there.
    pub app: Id,
}

/// What a key of the store is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the table in `reef_lattice::key`")]
pub enum Name {
    App(AppKey),
    Revision(AppKey, u64),
    Scale(WorkloadKey),
    Namespace(Id),
    Scheduling(Id),
    Rollout(WorkloadKey),
    Want(Id),
    Route(AppKey),
    Status(AppKey),
    Leader,
}

/// A record, and the revision of its last change.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    /// The store's revision.
    pub revision: u64,
    /// What it says, or why that cannot be understood.
    pub value: Result<T, String>,
}

/// All records.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the table in `reef_lattice::key`")]
pub struct Records {
    pub apps: BTreeMap<AppKey, Kept<App>>,
    pub revisions: BTreeMap<AppKey, BTreeMap<u64, Kept<Revision>>>,
    pub scales: BTreeMap<WorkloadKey, Kept<Scaled>>,
    pub namespaces: BTreeMap<Id, Kept<Namespace>>,
    pub scheduling: BTreeMap<Id, Kept<Scheduling>>,
    pub rollouts: BTreeMap<WorkloadKey, Kept<Rollout>>,
    pub wants: BTreeMap<Id, Kept<Assignment>>,
    pub routes: BTreeMap<AppKey, Kept<Routing>>,
    pub statuses: BTreeMap<AppKey, Kept<Status>>,
    pub leader: Option<Kept<Leader>>,
    /// Keys by name, of those that are there: the revision, and a hash of the value.
    names: BTreeMap<Name, (u64, u64)>,
    /// What is told anew, until all of it is.
    anew: Option<BTreeMap<Name, Entry>>,
    /// What was written from here in the meantime: it may be told as it was before.
    meanwhile: BTreeSet<Name>,
    /// Whether all that there was has been told, and the store is heard.
    current: bool,
}

impl<T> Kept<T> {
    /// What it says, if it can be understood.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref().ok()
    }
}

impl AppKey {
    /// The application `app` of `namespace`.
    pub fn new(namespace: impl Into<Id>, app: impl Into<Id>) -> Self {
        Self { namespace: namespace.into(), app: app.into() }
    }

    /// The one that a workload is of.
    pub fn of(workload: &WorkloadKey) -> Self {
        Self { namespace: workload.namespace.clone(), app: workload.app.clone() }
    }

    /// Whether a workload is of it.
    pub fn has(&self, workload: &WorkloadKey) -> bool {
        self.namespace == workload.namespace && self.app == workload.app
    }

    /// One of its workloads.
    pub fn workload(&self, name: impl Into<Id>) -> WorkloadKey {
        WorkloadKey::new(self.namespace.clone(), self.app.clone(), name)
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.app)
    }
}

// === impl Name ===

impl Name {
    /// What a key is of; none, if it is nobody's here.
    pub fn of(key: &Key) -> Option<Self> {
        let tokens: Vec<_> = key.tokens().collect();
        let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
        Some(match tokens.as_slice() {
            [kind::APP, ns, app] => Self::App(AppKey::new(ns, app)),
            [kind::REVISION, ns, app, number] => {
                Self::Revision(AppKey::new(ns, app), number.parse().ok()?)
            }
            [kind::SCALE, ns, app, workload] => Self::Scale(WorkloadKey::new(ns, app, workload)),
            [kind::NAMESPACE, ns] => Self::Namespace(ns.into()),
            [kind::SCHEDULING, host] => Self::Scheduling(host.into()),
            [kind::ROLLOUT, ns, app, workload] => {
                Self::Rollout(WorkloadKey::new(ns, app, workload))
            }
            [kind::WANT, host] => Self::Want(host.into()),
            [kind::ROUTE, ns, app] => Self::Route(AppKey::new(ns, app)),
            [kind::STATUS, ns, app] => Self::Status(AppKey::new(ns, app)),
            [kind::LEADER] => Self::Leader,
            _ => return None,
        })
    }

    /// The key; none, if a name in it has characters that no key has.
    pub fn key(&self) -> Option<Key> {
        let app = |kind: &str, app: &AppKey| Key::new(&[kind, &app.namespace, &app.app]);
        let workload = |kind: &str, one: &WorkloadKey| {
            Key::new(&[kind, &one.namespace, &one.app, &one.workload])
        };
        match self {
            Self::App(one) => app(kind::APP, one),
            Self::Revision(one, number) => {
                Key::new(&[kind::REVISION, &one.namespace, &one.app, &number.to_string()])
            }
            Self::Scale(one) => workload(kind::SCALE, one),
            Self::Namespace(one) => Key::new(&[kind::NAMESPACE, one]),
            Self::Scheduling(one) => Key::new(&[kind::SCHEDULING, one]),
            Self::Rollout(one) => workload(kind::ROLLOUT, one),
            Self::Want(one) => Key::new(&[kind::WANT, one]),
            Self::Route(one) => app(kind::ROUTE, one),
            Self::Status(one) => app(kind::STATUS, one),
            Self::Leader => Key::new(&[kind::LEADER]),
        }
        .ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => key.fmt(f),
            None => write!(f, "{self:?}"),
        }
    }
}

// === impl Records ===

impl Records {
    /// Whether it is all that there is.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// The revision of a record that is there.
    pub fn revision(&self, name: &Name) -> Option<u64> {
        self.names.get(name).map(|(revision, _)| *revision)
    }

    /// The names of all records.
    pub fn names(&self) -> impl Iterator<Item = (&Name, u64)> {
        self.names.iter().map(|(name, (revision, _))| (name, *revision))
    }

    /// A record of a workload's revision, if it can be understood.
    pub fn revision_of(&self, app: &AppKey, number: u64) -> Option<&Revision> {
        self.revisions.get(app)?.get(&number)?.get()
    }

    /// Takes in what the store tells. What changed by it.
    pub(super) fn change(&mut self, change: &Change) -> Vec<Name> {
        match change {
            Change::Anew => {
                self.current = false;
                self.anew = Some(BTreeMap::new());
                self.meanwhile.clear();
                Vec::new()
            }
            Change::Lost => {
                self.current = false;
                Vec::new()
            }
            Change::Current => {
                self.current = true;
                self.anew.take().map(|told| self.replace(told)).unwrap_or_default()
            }
            Change::Put(entry) => {
                let Some(name) = Name::of(&entry.key) else { return Vec::new() };
                if let Some(anew) = &mut self.anew {
                    anew.insert(name, entry.clone());
                    return Vec::new();
                }
                self.current = true;
                self.put(name, &entry.value, entry.revision).into_iter().collect()
            }
            Change::Deleted(key, revision) => {
                let Some(name) = Name::of(key) else { return Vec::new() };
                if let Some(anew) = &mut self.anew {
                    anew.remove(&name);
                    return Vec::new();
                }
                self.current = true;
                if self.names.get(&name).is_some_and(|(known, _)| known <= revision) {
                    self.remove(&name);
                    return vec![name];
                }
                Vec::new()
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn take(&mut self, change: &Change) {
        self.change(change);
    }

    fn replace(&mut self, told: BTreeMap<Name, Entry>) -> Vec<Name> {
        let meanwhile = std::mem::take(&mut self.meanwhile);
        // What is told to be older than it was known is of another store, or of this one as it was once: that counts.
        let stays = |name: &Name, known: u64| {
            let told = told.get(name);
            told.is_some_and(|entry| entry.revision >= known || meanwhile.contains(name))
        };
        let gone = self.names.iter().filter(|(name, (known, _))| !stays(name, *known));
        let mut changed: BTreeSet<Name> = gone.map(|(name, _)| name.clone()).collect();
        changed.iter().for_each(|name| self.remove(name));
        for (name, entry) in told {
            changed.extend(self.put(name, &entry.value, entry.revision));
        }
        changed.into_iter().collect()
    }

    /// Takes in a record, unless a later one is known.
    pub(super) fn put(&mut self, name: Name, value: &[u8], revision: u64) -> Option<Name> {
        let is = (revision, hash(value));
        // In another store, the same revision may be of another value.
        if self.names.get(&name).is_some_and(|known| known.0 > revision || *known == is) {
            return None;
        }
        if self.anew.is_some() {
            self.meanwhile.insert(name.clone());
        }
        match &name {
            Name::App(one) => keep(&mut self.apps, one, &name, value, revision),
            Name::Revision(one, number) => {
                let all = self.revisions.entry(one.clone()).or_default();
                keep(all, number, &name, value, revision);
            }
            Name::Scale(one) => keep(&mut self.scales, one, &name, value, revision),
            Name::Namespace(one) => keep(&mut self.namespaces, one, &name, value, revision),
            Name::Scheduling(one) => keep(&mut self.scheduling, one, &name, value, revision),
            Name::Rollout(one) => keep(&mut self.rollouts, one, &name, value, revision),
            Name::Want(one) => keep(&mut self.wants, one, &name, value, revision),
            Name::Route(one) => keep(&mut self.routes, one, &name, value, revision),
            Name::Status(one) => keep(&mut self.statuses, one, &name, value, revision),
            Name::Leader => self.leader = Some(kept(&name, value, revision)),
        }
        self.names.insert(name.clone(), is);
        Some(name)
    }

    fn remove(&mut self, name: &Name) {
        self.names.remove(name);
        match name {
            Name::App(one) => drop(self.apps.remove(one)),
            Name::Revision(one, number) => {
                if let Some(all) = self.revisions.get_mut(one) {
                    all.remove(number);
                    if all.is_empty() {
                        self.revisions.remove(one);
                    }
                }
            }
            Name::Scale(one) => drop(self.scales.remove(one)),
            Name::Namespace(one) => drop(self.namespaces.remove(one)),
            Name::Scheduling(one) => drop(self.scheduling.remove(one)),
            Name::Rollout(one) => drop(self.rollouts.remove(one)),
            Name::Want(one) => drop(self.wants.remove(one)),
            Name::Route(one) => drop(self.routes.remove(one)),
            Name::Status(one) => drop(self.statuses.remove(one)),
            Name::Leader => self.leader = None,
        }
    }
}

fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(value);
    hasher.finish()
}

fn kept<T: DeserializeOwned>(name: &Name, value: &[u8], revision: u64) -> Kept<T> {
    let value = decode(&name.to_string(), value).map_err(|failure| failure.to_string());
    Kept { revision, value }
}

fn keep<K: Ord + Clone, T: DeserializeOwned>(
    all: &mut BTreeMap<K, Kept<T>>,
    key: &K,
    name: &Name,
    value: &[u8],
    revision: u64,
) {
    all.insert(key.clone(), kept(name, value, revision));
}

#[cfg(test)]
mod tests;
