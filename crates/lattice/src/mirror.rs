//! A part of the store as it is known here.

use std::{
    collections::BTreeMap,
    ops::Bound,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use reef_capability::Failure;
use reef_egress::Backoff;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Change, Entry, Key, Store,
    store::{is_below, prefixes_of},
};

/// What is below some prefixes of a store, kept up by watching it: to be looked at without a wait. What it says is what
/// there was a moment ago, or when the store was last heard. Cheap to clone; watching ends with the last of the clones.
#[derive(Clone, Debug)]
pub struct Mirror {
    shared: Arc<Shared>,
    /// Counts changes; what this handle has seen of them is its own.
    count: watch::Receiver<u64>,
    _task: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    view: RwLock<View>,
    count: watch::Sender<u64>,
}

/// What a [`Mirror`] knows at one moment.
#[derive(Debug, Default)]
pub struct View {
    entries: BTreeMap<Key, Entry>,
    /// While everything is told anew: what was told of it.
    anew: Option<BTreeMap<Key, Entry>>,
    /// Whether it is complete, and heard.
    current: bool,
    /// The last one that was heard.
    revision: u64,
}

impl Mirror {
    /// Begins to watch what is below these prefixes (whole tokens; an empty one is all).
    ///
    /// # Errors
    /// When they are no prefixes.
    pub fn start(store: &Arc<dyn Store>, prefixes: &[&str]) -> Result<Self, Failure> {
        let prefixes = prefixes_of(prefixes)?;
        let (sender, count) = watch::channel(0);
        let shared = Arc::new(Shared { view: RwLock::default(), count: sender });
        let task = tokio::spawn(watch(store.clone(), prefixes, shared.clone()));
        Ok(Self { shared, count, _task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    /// One entry.
    pub fn get(&self, key: &Key) -> Option<Entry> {
        self.shared.read().get(key).cloned()
    }

    /// All entries below a prefix of whole tokens, in the order of their keys.
    pub fn below(&self, prefix: &str) -> Vec<Entry> {
        self.shared.read().below(prefix).cloned().collect()
    }

    /// Whether all is known, and the store is heard.
    pub fn is_current(&self) -> bool {
        self.shared.read().is_current()
    }

    /// Looks at all of it, as it is at one moment. The look has to be short: changes wait for it.
    pub fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.shared.read())
    }

    /// Waits until something has changed since this was last waited for, or since this handle was made: several changes
    /// may be one. Whether it is heard is a change, too.
    pub async fn changed(&mut self) {
        if self.count.changed().await.is_err() {
            // Its task is the last to say something, and lives as long as this.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a look finds what it looks for; none where it does not in time.
    pub async fn until<T>(
        &self,
        mut look: impl FnMut(&View) -> Option<T>,
        within: Duration,
    ) -> Option<T> {
        let mut own = self.clone();
        let found = async {
            loop {
                own.count.mark_unchanged();
                if let Some(found) = own.look(&mut look) {
                    return found;
                }
                own.changed().await;
            }
        };
        tokio::time::timeout(within, found).await.ok()
    }
}

impl View {
    /// One entry.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All entries below a prefix of whole tokens, in the order of their keys.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Entry> {
        below(&self.entries, prefix)
    }

    /// Whether all is known, and the store is heard.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// The last revision that was heard of, of what is watched.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Anew => {
                // What is known stays until all of it has been told.
                self.anew = Some(BTreeMap::new());
                self.current = false;
            }
            Change::Current => {
                if let Some(anew) = self.anew.take() {
                    self.revision = anew.values().map(|entry| entry.revision).max().unwrap_or(0);
                    self.entries = anew;
                }
                self.current = true;
            }
            Change::Lost => self.current = false,
            Change::Put(entry) => {
                self.hear(entry.revision);
                self.of().insert(entry.key.clone(), entry);
            }
            Change::Deleted(key, revision) => {
                self.hear(revision);
                self.of().remove(&key);
            }
        }
    }

    fn of(&mut self) -> &mut BTreeMap<Key, Entry> {
        self.anew.as_mut().unwrap_or(&mut self.entries)
    }

    fn hear(&mut self, revision: u64) {
        if self.anew.is_none() {
            self.current = true;
            self.revision = self.revision.max(revision);
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, change: Change) {
        // What is told anew is a change when all of it was told.
        let silent = {
            let mut view = self.write();
            let was = view.current;
            view.apply(change);
            view.anew.is_some() && view.current == was
        };
        if !silent {
            self.count.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// Watches for ever.
async fn watch(store: Arc<dyn Store>, prefixes: Vec<String>, shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        let watching = AssertUnwindSafe(follow(&*store, &prefixes, &shared, &mut backoff));
        match watching.catch_unwind().await {
            Ok(Ok(())) => {
                tracing::debug!("A watch of the lattice's store has ended; it begins anew.")
            }
            Ok(Err(failure)) => tracing::debug!(%failure, "The lattice's store cannot be watched."),
            Err(_) => tracing::error!("A watch of the lattice's store panicked; it begins anew."),
        }
        shared.apply(Change::Lost);
        sleep(backoff.pause()).await;
    }
}

async fn follow(
    store: &dyn Store,
    prefixes: &[String],
    shared: &Shared,
    backoff: &mut Backoff,
) -> Result<(), Failure> {
    let prefixes: Vec<_> = prefixes.iter().map(String::as_str).collect();
    let mut changes = store.watch(&prefixes).await?;
    while let Some(change) = changes.next().await {
        if change == Change::Current {
            backoff.reset();
        }
        shared.apply(change);
    }
    Ok(())
}

/// The entries below a prefix of whole tokens, in the order of their keys.
pub(crate) fn below<'a>(
    entries: &'a BTreeMap<Key, Entry>,
    prefix: &'a str,
) -> impl Iterator<Item = &'a Entry> {
    // `a-b` stands between `a` and `a.b`.
    let all = entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
    let begins = all.take_while(move |(key, _)| key.as_str().starts_with(prefix));
    begins.filter(move |(key, _)| is_below(key.as_str(), prefix)).map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests;
