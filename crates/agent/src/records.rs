//! What of the store this host looks at, read once for each change.
//!
//! What belongs to an application that the store has no record of at all, not even that it was deleted, stays as it was:
//! the store was emptied, or is another one than it was.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reef_app::{Route, Workload};
use reef_lattice::{
    Key, Lattice, Mirror, accept,
    key::kind,
    record::{self, Revision},
};

use crate::kept::Kept;

/// How long the store may take to say what is not known here yet.
const ASKED: Duration = Duration::from_secs(5);

/// Records, as they were last heard of.
pub(crate) struct Records {
    lattice: Lattice,
    pub(crate) mirror: Mirror,
    kept: Arc<Kept>,
    /// Revisions never change in a store: read once, with what they were read from.
    revisions: Mutex<HashMap<Key, (Bytes, Arc<Revision>)>>,
    /// What they answer at.
    routes: Mutex<HashMap<Key, OfRevision>>,
}

/// A revision, and what it answers at.
type OfRevision = (Arc<Revision>, Arc<Routes>);

/// The routes of each workload.
pub(crate) type Routes = BTreeMap<String, Vec<Route>>;

impl Records {
    pub(crate) fn new(lattice: Lattice, mirror: Mirror, kept: Arc<Kept>) -> Self {
        Self { lattice, mirror, kept, revisions: Mutex::default(), routes: Mutex::default() }
    }

    /// A revision: from what is known here, or the store.
    pub(crate) async fn revision(&self, key: &Key) -> Result<Arc<Revision>, String> {
        if let Some(known) = self.known(key) {
            return Ok(known);
        }
        let asking = tokio::time::timeout(ASKED, self.lattice.store.get(key));
        let value = match asking.await {
            Ok(Ok(Some(entry))) => return self.read_or_kept(key, &entry.value),
            Ok(Ok(None)) => {
                let kept = self.kept.read(key).filter(|_| self.is_unheard_of(key));
                kept.ok_or_else(|| format!("the store has no record `{key}`"))?
            }
            Ok(Err(failure)) => {
                let kept = self.kept.read(key);
                kept.ok_or_else(|| format!("the store cannot be asked for `{key}`: {failure}"))?
            }
            Err(_) => {
                let kept = self.kept.read(key);
                kept.ok_or_else(|| format!("the store did not say what `{key}` is in time"))?
            }
        };
        self.read(key, &value, &value)
    }

    /// A revision that is known here.
    pub(crate) fn known(&self, key: &Key) -> Option<Arc<Revision>> {
        let revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = revisions.get(key).cloned();
        drop(revisions);
        let value = match (self.mirror.get(key), known) {
            // In another store it may be another one.
            (Some(entry), Some((of, known))) if of == entry.value => return Some(known),
            (Some(entry), _) => return self.read_or_kept(key, &entry.value).ok(),
            (None, Some((_, known))) => return Some(known),
            (None, None) if !self.mirror.is_current() || self.is_unheard_of(key) => {
                self.kept.read(key)?
            }
            (None, None) => return None,
        };
        self.read(key, &value, &value).ok()
    }

    /// Whether the store has no record of the application that this key of a revision is of, as far as is known here.
    fn is_unheard_of(&self, key: &Key) -> bool {
        let tokens: Vec<_> = key.tokens().collect();
        match &tokens[..] {
            [_, namespace, app, ..] => !self.has_heard_of(namespace, app),
            _ => false,
        }
    }

    /// Whether the store has a record of an application, be it that it was deleted, as far as is known here.
    pub(crate) fn has_heard_of(&self, namespace: &str, app: &str) -> bool {
        let key = Key::new(&[kind::APP, namespace, app]);
        key.is_ok_and(|key| self.mirror.get(&key).is_some())
    }

    /// What a revision that is known here answers at: none where it cannot be understood.
    pub(crate) fn routes(&self, key: &Key) -> Option<Arc<Routes>> {
        let routes = || self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.known(key)?;
        if let Some((of, known)) = routes().get(key)
            && Arc::ptr_eq(of, &revision)
        {
            return Some(known.clone());
        }
        let application = accept::application(&revision).ok()?;
        let of = |workload: &Workload| {
            let all = workload.trigger.http.iter().map(|trigger| trigger.route.value.clone());
            (workload.name.to_string(), all.collect())
        };
        let read: Arc<Routes> = Arc::new(application.workloads.iter().map(of).collect());
        routes().insert(key.clone(), (revision, read.clone()));
        Some(read)
    }

    /// A revision as it is in the store, or, where that makes no sense, as it was before: revisions never change.
    fn read_or_kept(&self, key: &Key, value: &Bytes) -> Result<Arc<Revision>, String> {
        match self.read(key, value, value) {
            Ok(read) => {
                self.kept.keep(key, value);
                Ok(read)
            }
            Err(why) => {
                let kept = self.kept.read(key).and_then(|kept| self.read(key, &kept, value).ok());
                kept.ok_or(why)
            }
        }
    }

    /// What is read is known for as long as the store has this value.
    fn read(&self, key: &Key, value: &[u8], of: &Bytes) -> Result<Arc<Revision>, String> {
        let read: Revision =
            record::decode(key.as_str(), value).map_err(|failure| failure.to_string())?;
        let read = Arc::new(read);
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.insert(key.clone(), (of.clone(), read.clone()));
        Ok(read)
    }

    /// Forgets revisions that the store has not any more.
    pub(crate) fn tidy(&self) {
        if !self.mirror.is_current() {
            return;
        }
        let there = |key: &Key| self.mirror.get(key).is_some() || self.is_unheard_of(key);
        let mut revisions = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        revisions.retain(|key, _| there(key));
        drop(revisions);
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|key, _| there(key));
        drop(routes);
        self.kept.retain(|key| !key.is_below(kind::REVISION) || there(key));
    }
}
