//! In memory: gone with the last workload that uses it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};

use crate::{Change, Entry, KeyValue, Page, SetOptions, Told, Version, sum, watchers::Watchers};

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
    buckets: HashMap<String, BTreeMap<String, Kept>>,
    bytes: u64,
    /// The last version that was given.
    version: u64,
    /// What expires, by when it does and its version: bucket and key.
    due: BTreeMap<(Instant, u64), (String, String)>,
}

#[derive(Debug)]
struct Kept {
    value: Bytes,
    version: u64,
    until: Option<Instant>,
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

    fn put(
        &self,
        held: &mut Held,
        bucket: &str,
        key: &str,
        value: Bytes,
        until: Option<Instant>,
    ) -> Result<(), Failure> {
        self.sweep(held);
        let cost = cost(key, &value);
        let before = held.buckets.get(bucket).and_then(|entries| entries.get(key));
        let before = before.map(|kept| (self::cost(key, &kept.value), kept.due()));
        let bytes = held.bytes - before.map_or(0, |(cost, _)| cost) + cost;
        if bytes > self.capacity {
            let capacity = self.capacity;
            return Err(Failure::Full(format!("its `capacity` is {capacity} bytes")));
        }
        if let Some((_, Some(due))) = before {
            held.due.remove(&due);
        }
        held.bytes = bytes;
        held.version += 1;
        let version = held.version;
        // A guest's memory may hold more than this value.
        let value = Bytes::copy_from_slice(&value);
        self.watchers.tell(bucket, || Change { key: key.to_owned(), value: Some(value.clone()) });
        if let Some(until) = until {
            held.due.insert((until, version), (bucket.to_owned(), key.to_owned()));
        }
        let kept = Kept { value, version, until };
        match held.buckets.get_mut(bucket) {
            Some(entries) => drop(entries.insert(key.to_owned(), kept)),
            None => {
                let entries = BTreeMap::from([(key.to_owned(), kept)]);
                held.buckets.insert(bucket.to_owned(), entries);
            }
        }
        Ok(())
    }

    fn take(&self, held: &mut Held, bucket: &str, key: &str) {
        let Some(entries) = held.buckets.get_mut(bucket) else { return };
        let Some(kept) = entries.remove(key) else { return };
        if entries.is_empty() {
            held.buckets.remove(bucket);
        }
        if let Some(due) = kept.due() {
            held.due.remove(&due);
        }
        held.bytes -= cost(key, &kept.value);
        self.watchers.tell(bucket, || Change { key: key.to_owned(), value: None });
    }

    /// Takes away what has expired.
    fn sweep(&self, held: &mut Held) {
        if held.due.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = held.due.first_entry().filter(|first| first.key().0 <= now) {
            let (bucket, key) = first.remove();
            self.take(held, &bucket, &key);
        }
    }
}

impl Held {
    fn get(&self, bucket: &str, key: &str) -> Option<&Kept> {
        self.buckets.get(bucket)?.get(key).filter(|kept| kept.is_there())
    }
}

impl Kept {
    fn is_there(&self) -> bool {
        self.until.is_none_or(|until| until > Instant::now())
    }

    fn due(&self) -> Option<(Instant, u64)> {
        self.until.map(|until| (until, self.version))
    }
}

fn cost(key: &str, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.read().get(bucket, key).map(|kept| kept.value.clone()))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.read().get(bucket, key).map(|kept| {
            let version = Version(Bytes::copy_from_slice(&kept.version.to_be_bytes()));
            Entry { value: kept.value.clone(), version }
        }))
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let mut held = self.write();
        if options.if_absent && held.get(bucket, key).is_some() {
            return Ok(false);
        }
        let until = options.expires.map(|time| Instant::now() + time);
        self.put(&mut held, bucket, key, value, until)?;
        Ok(true)
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
        let now = held.get(bucket, key).map(|kept| kept.version.to_be_bytes());
        if now.as_ref().map(<[u8; 8]>::as_slice) != expected.map(|version| &*version.0) {
            return Ok(false);
        }
        self.put(&mut held, bucket, key, value, None)?;
        Ok(true)
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        let mut held = self.write();
        let now = held.get(bucket, key);
        let until = now.and_then(|kept| kept.until);
        let sum = sum(now.map(|kept| &*kept.value), delta)?;
        self.put(&mut held, bucket, key, sum.to_string().into(), until)?;
        Ok(sum)
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let held = self.read();
        let Some(entries) = held.buckets.get(bucket) else { return Ok(Page::default()) };
        let from = from.map_or(Bound::Included(prefix), Bound::Excluded);
        let mut keys: Vec<String> = entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, kept)| kept.is_there())
            .map(|(key, _)| key.clone())
            .take(most + 1)
            .collect();
        let next = (keys.len() > most).then(|| keys.truncate(most)).and(keys.last().cloned());
        Ok(Page { keys, next })
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        Ok(self.watchers.watch(bucket))
    }
}
