//! Values that were read or written of late, in memory.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::{Equivalent, Weighter, sync::Cache};

use super::Kept;

/// What an entry costs beside its key and value.
const OVERHEAD: u64 = 128;

/// Values that were read or written of late. They are never older than what a look at the file would show.
#[derive(Debug)]
pub(super) struct Recent {
    values: Cache<Name, Kept, Weight>,
    /// Even between transactions, odd while one is on its way to the disk: what is read then may be older or newer
    /// than what a reader after it finds, so it is not kept.
    moment: AtomicU64,
    keeping: RwLock<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(String, String);

#[derive(Hash)]
struct NameRef<'a>(&'a str, &'a str);

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Name, Kept> for Weight {
    fn weight(&self, name: &Name, kept: &Kept) -> u64 {
        (name.0.len() + name.1.len() + kept.value.len()) as u64 + OVERHEAD
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.0 == name.0 && self.1 == name.1
    }
}

impl Recent {
    pub(super) fn new(bytes: u64) -> Self {
        let about = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        let values = Cache::with_weighter(about, bytes, Weight);
        Self { values, moment: AtomicU64::new(0), keeping: RwLock::new(()) }
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<Kept> {
        self.values.get(&NameRef(bucket, key))
    }

    /// When a look at the file begins.
    pub(super) fn moment(&self) -> u64 {
        self.moment.load(Ordering::Acquire)
    }

    /// Keeps what a look found that began at `moment`, if nothing was written since.
    pub(super) fn keep(&self, moment: u64, bucket: &str, key: &str, found: Kept) {
        let _keeping = self.keeping.read().unwrap_or_else(PoisonError::into_inner);
        if moment.is_multiple_of(2) && self.moment() == moment {
            self.values.insert(Name(bucket.to_owned(), key.to_owned()), found);
        }
    }

    /// A transaction is on its way that changes these.
    pub(super) fn begin<'a>(&self, changed: impl Iterator<Item = (&'a str, &'a str)>) {
        let _keeping = self.keeping.write().unwrap_or_else(PoisonError::into_inner);
        self.moment.fetch_add(1, Ordering::AcqRel);
        for (bucket, key) in changed {
            self.values.remove(&NameRef(bucket, key));
        }
    }

    /// It is on the disk, or failed: these have changed.
    pub(super) fn end<'a>(
        &self,
        changed: impl Iterator<Item = (&'a (String, String), &'a Option<Kept>)>,
    ) {
        let _keeping = self.keeping.write().unwrap_or_else(PoisonError::into_inner);
        for ((bucket, key), kept) in changed {
            match kept {
                Some(kept) => self.values.insert(Name(bucket.clone(), key.clone()), kept.clone()),
                None => drop(self.values.remove(&NameRef(bucket, key))),
            }
        }
        self.moment.fetch_add(1, Ordering::AcqRel);
    }
}
