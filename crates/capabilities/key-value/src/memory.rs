//! In memory: gone with the last workload that uses it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};

use crate::{Change, Entry, KeyValue, Page, Version, sum, watching::Watchers};

const CAPACITY: Setting =
    Setting::new("capacity", "how much it holds, keys and values together: `64MiB`");
const DEFAULT_CAPACITY: u64 = 64 << 20;
/// What an entry costs beside its key and value.
const OVERHEAD: u64 = 96;

pub(crate) const BACKEND: Backend<dyn KeyValue> =
    Backend { name: "memory", system: "reef.memory", settings: &[CAPACITY], private: true, open };

#[derive(Debug)]
struct Memory {
    capacity: u64,
    held: RwLock<Held>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
struct Held {
    buckets: HashMap<String, BTreeMap<String, (Bytes, u64)>>,
    bytes: u64,
    /// The last version that was given.
    version: u64,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn KeyValue>, OpenError> {
    let capacity = opening.settings.size(CAPACITY.name)?.unwrap_or(DEFAULT_CAPACITY);
    Ok(Arc::new(Memory { capacity, held: RwLock::default(), watchers: Watchers::default() }))
}

impl Memory {
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn put(&self, held: &mut Held, bucket: &str, key: &str, value: Bytes) -> Result<(), Failure> {
        let cost = |value: &Bytes| (key.len() + value.len()) as u64 + OVERHEAD;
        let before = held.get(bucket, key).map_or(0, |(value, _)| cost(value));
        let bytes = held.bytes - before + cost(&value);
        if bytes > self.capacity {
            let capacity = self.capacity;
            return Err(Failure::Full(format!("its `capacity` is {capacity} bytes")));
        }
        held.bytes = bytes;
        held.version += 1;
        let version = held.version;
        // A guest's memory may hold more than this value.
        let value = Bytes::copy_from_slice(&value);
        self.watchers.tell(bucket, || Change { key: key.to_owned(), value: Some(value.clone()) });
        match held.buckets.get_mut(bucket) {
            Some(entries) => entries.insert(key.to_owned(), (value, version)),
            None => {
                let entries = BTreeMap::from([(key.to_owned(), (value, version))]);
                held.buckets.insert(bucket.to_owned(), entries);
                None
            }
        };
        Ok(())
    }

    fn take(&self, held: &mut Held, bucket: &str, key: &str) {
        let Some(entries) = held.buckets.get_mut(bucket) else { return };
        let Some((value, _)) = entries.remove(key) else { return };
        if entries.is_empty() {
            held.buckets.remove(bucket);
        }
        held.bytes -= (key.len() + value.len()) as u64 + OVERHEAD;
        self.watchers.tell(bucket, || Change { key: key.to_owned(), value: None });
    }
}

impl Held {
    fn get(&self, bucket: &str, key: &str) -> Option<&(Bytes, u64)> {
        self.buckets.get(bucket)?.get(key)
    }
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.read().get(bucket, key).map(|(value, _)| value.clone()))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.read().get(bucket, key).map(|(value, version)| {
            let version = Version(Bytes::copy_from_slice(&version.to_be_bytes()));
            Entry { value: value.clone(), version }
        }))
    }

    async fn set(&self, bucket: &str, key: &str, value: Bytes) -> Result<(), Failure> {
        self.put(&mut self.write(), bucket, key, value)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        self.take(&mut self.write(), bucket, key);
        Ok(())
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let mut held = self.write();
        let now = held.get(bucket, key).map(|(_, version)| version.to_be_bytes());
        if now.as_ref().map(<[u8; 8]>::as_slice) != expected.map(|version| &*version.0) {
            return Ok(false);
        }
        self.put(&mut held, bucket, key, value)?;
        Ok(true)
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        let mut held = self.write();
        let sum = sum(held.get(bucket, key).map(|(value, _)| &**value), delta)?;
        self.put(&mut held, bucket, key, sum.to_string().into())?;
        Ok(sum)
    }

    async fn keys(&self, bucket: &str, from: Option<&str>, most: usize) -> Result<Page, Failure> {
        let held = self.read();
        let Some(entries) = held.buckets.get(bucket) else { return Ok(Page::default()) };
        let from = from.map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys: Vec<String> = entries
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(key, _)| key.clone())
            .take(most + 1)
            .collect();
        let next = (keys.len() > most).then(|| keys.truncate(most)).and(keys.last().cloned());
        Ok(Page { keys, next })
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Change>, Failure> {
        Ok(self.watchers.watch(bucket))
    }
}
