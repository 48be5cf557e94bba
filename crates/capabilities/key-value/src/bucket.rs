//! What an adapter uses: one bucket of one link.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::{Caller, Failure, Gate, Link, Operation};

use crate::{
    BATCH, Entry, KeyValue, LONGEST_KEY, PAGE, Page, SetOptions, Told, Version, cursors::CURSORS,
};

static GET: Operation = Operation::repeatable("get");
static SET: Operation = Operation::repeatable("set");
static SET_ABSENT: Operation = Operation::once("set-if-absent");
static DELETE: Operation = Operation::repeatable("delete");
static EXISTS: Operation = Operation::repeatable("exists");
static KEYS: Operation = Operation::repeatable("list");
static ADD: Operation = Operation::once("increment");
static SWAP: Operation = Operation::once("compare-and-swap");
static GET_MANY: Operation = Operation::repeatable("get-many");
static SET_MANY: Operation = Operation::repeatable("set-many");
static DELETE_MANY: Operation = Operation::repeatable("delete-many");
static WATCH: Operation = Operation::repeatable("watch");

/// What can be done over a link.
pub static OPERATIONS: &[&Operation] = &[
    &GET,
    &SET,
    &SET_ABSENT,
    &DELETE,
    &EXISTS,
    &KEYS,
    &ADD,
    &SWAP,
    &GET_MANY,
    &SET_MANY,
    &DELETE_MANY,
    &WATCH,
];

/// A century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Tries of a swap that others come before.
const SWAPS: usize = 16;

/// What has to hold of a key's value for another to take its place. What is not said holds.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// Its version, as [`Version`] is displayed.
    pub version: Option<String>,
    /// The value itself.
    pub value: Option<Bytes>,
}

/// What came of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The key has the new value.
    Done,
    /// The condition does not hold of what there is.
    Stale(Option<Entry>),
}

/// One bucket of one link. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    link: Arc<Link<dyn KeyValue>>,
    name: Arc<str>,
}

impl Bucket {
    /// A bucket of a link.
    ///
    /// # Errors
    /// When its name is too long.
    pub fn new(link: Arc<Link<dyn KeyValue>>, name: Arc<str>) -> Result<Self, Failure> {
        short("name of a bucket", &name)?;
        Ok(Self { link, name })
    }

    /// What every use of it passes through.
    pub fn gate(&self) -> &Gate {
        &self.link.gate
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// When the key is none, or the link fails; so for all others.
    pub async fn get(&self, caller: &Caller, key: &str) -> Result<Option<Bytes>, Failure> {
        let key = checked(key)?;
        let attempt = || self.link.backend.get(&self.name, key);
        self.link.gate.run(caller, &GET, attempt).await
    }

    /// The value of a key with its version.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn entry(&self, caller: &Caller, key: &str) -> Result<Option<Entry>, Failure> {
        let key = checked(key)?;
        let attempt = || self.link.backend.entry(&self.name, key);
        self.link.gate.run(caller, &GET, attempt).await
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn exists(&self, caller: &Caller, key: &str) -> Result<bool, Failure> {
        let key = checked(key)?;
        let attempt = || self.link.backend.exists(&self.name, key);
        self.link.gate.run(caller, &EXISTS, attempt).await
    }

    /// Gives a key a value.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the value is too large.
    pub async fn set(&self, caller: &Caller, key: &str, value: Bytes) -> Result<(), Failure> {
        let key = checked(key)?;
        self.link.gate.fits("value", value.len())?;
        let attempt = || self.link.backend.set(&self.name, key, value.clone());
        self.link.gate.run(caller, &SET, attempt).await
    }

    /// Gives a key a value, for a time or if it has none. `false` if it has one and was not to be given another.
    ///
    /// # Errors
    /// As [`set`](Self::set), and when the backend cannot do that.
    pub async fn set_with(
        &self,
        caller: &Caller,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let key = checked(key)?;
        self.link.gate.fits("value", value.len())?;
        // Beyond that, it is for ever.
        let expires = options.expires.filter(|time| *time < LONGEST);
        let expires = expires.map(|time| time.max(Duration::from_millis(1)));
        let options = SetOptions { expires, ..options };
        let operation = if options.if_absent { &SET_ABSENT } else { &SET };
        let attempt = || self.link.backend.set_with(&self.name, key, value.clone(), options);
        self.link.gate.run(caller, operation, attempt).await
    }

    /// Takes a key's value away.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, caller: &Caller, key: &str) -> Result<(), Failure> {
        let key = checked(key)?;
        let attempt = || self.link.backend.delete(&self.name, key);
        self.link.gate.run(caller, &DELETE, attempt).await
    }

    /// Gives a key a value if it still has this version, or still none. `false` if not.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn swap(
        &self,
        caller: &Caller,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let key = checked(key)?;
        self.link.gate.fits("value", value.len())?;
        let attempt = || self.link.backend.swap(&self.name, key, expected, value.clone());
        self.link.gate.run(caller, &SWAP, attempt).await
    }

    /// Gives a key a value if what there is meets a condition; what there is if not.
    ///
    /// # Errors
    /// As [`set`](Self::set); when nothing is said of what there is; and when others come before again and again.
    pub async fn swap_if(
        &self,
        caller: &Caller,
        key: &str,
        condition: &Condition,
        value: Bytes,
    ) -> Result<Swapped, Failure> {
        if condition.version.is_none() && condition.value.is_none() {
            return Err(Failure::Invalid("a swap without any condition is none".to_owned()));
        }
        for _ in 0..SWAPS {
            let now = self.entry(caller, key).await?;
            let Some(entry) = now.as_ref().filter(|entry| condition.holds(entry)) else {
                return Ok(Swapped::Stale(now));
            };
            if self.swap(caller, key, Some(&entry.version), value.clone()).await? {
                return Ok(Swapped::Done);
            }
            // Another version may have the value that is asked for.
        }
        Err(Failure::Conflict(format!("others changed the key before {SWAPS} times in a row")))
    }

    /// Adds to a key's number: the sum.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when it is no number.
    pub async fn add(&self, caller: &Caller, key: &str, delta: i64) -> Result<i64, Failure> {
        let key = checked(key)?;
        let attempt = || self.link.backend.add(&self.name, key, delta);
        self.link.gate.run(caller, &ADD, attempt).await
    }

    /// A page of the keys that begin with `prefix`, from the start or where a page before of this bucket and
    /// prefix said.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the cursor is of no such page.
    pub async fn keys(
        &self,
        caller: &Caller,
        prefix: &str,
        cursor: Option<&str>,
    ) -> Result<Page, Failure> {
        short("prefix", prefix)?;
        let tag = self.tag(prefix);
        let from = |cursor: &str| cursor.strip_prefix(&tag).ok_or_else(foreign).map(str::to_owned);
        let from = cursor.map(from).transpose()?;
        let attempt = || self.link.backend.keys(&self.name, prefix, from.as_deref(), PAGE);
        let page = self.link.gate.run(caller, &KEYS, attempt).await?;
        let next = page.next.map(|next| format!("{tag}{next}"));
        Ok(Page { keys: page.keys, next })
    }

    /// The same of all keys, for interfaces whose cursors are numbers.
    ///
    /// # Errors
    /// As [`keys`](Self::keys).
    pub async fn keys_by_number(
        &self,
        caller: &Caller,
        cursor: Option<u64>,
    ) -> Result<(Vec<String>, Option<u64>), Failure> {
        let from = match cursor {
            None => None,
            Some(cursor) => Some(CURSORS.find(cursor).ok_or_else(foreign)?),
        };
        let page = self.keys(caller, "", from.as_deref()).await?;
        Ok((page.keys, page.next.map(|next| CURSORS.issue(next))))
    }

    /// Every key.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when they are more than the link's largest value.
    pub async fn all_keys(&self, caller: &Caller) -> Result<Vec<String>, Failure> {
        let (mut keys, mut cursor, mut bytes) = (Vec::new(), None, 0);
        loop {
            let page = self.keys(caller, "", cursor.as_deref()).await?;
            bytes += page.keys.iter().map(|key| key.len() + 16).sum::<usize>();
            self.link.gate.fits("list of all keys", bytes)?;
            keys.extend(page.keys);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(keys),
            }
        }
    }

    /// The values of keys, in their order.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when there are too many.
    pub async fn get_many(
        &self,
        caller: &Caller,
        keys: &[String],
    ) -> Result<Vec<Option<Bytes>>, Failure> {
        few(keys.len())?;
        for key in keys {
            checked(key)?;
        }
        let attempt = || self.link.backend.get_many(&self.name, keys);
        self.link.gate.run(caller, &GET_MANY, attempt).await
    }

    /// Gives keys values.
    ///
    /// # Errors
    /// As [`set`](Self::set), and when there are too many.
    pub async fn set_many(
        &self,
        caller: &Caller,
        entries: Vec<(String, Bytes)>,
    ) -> Result<(), Failure> {
        few(entries.len())?;
        for (key, value) in &entries {
            checked(key)?;
            self.link.gate.fits("value", value.len())?;
        }
        let attempt = || self.link.backend.set_many(&self.name, entries.clone());
        self.link.gate.run(caller, &SET_MANY, attempt).await
    }

    /// Takes the values of keys away.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when there are too many.
    pub async fn delete_many(&self, caller: &Caller, keys: &[String]) -> Result<(), Failure> {
        few(keys.len())?;
        for key in keys {
            checked(key)?;
        }
        let attempt = || self.link.backend.delete_many(&self.name, keys);
        self.link.gate.run(caller, &DELETE_MANY, attempt).await
    }

    /// What happens from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the backend cannot tell.
    pub async fn watch(&self, caller: &Caller) -> Result<BoxStream<'static, Told>, Failure> {
        let attempt = || self.link.backend.watch(&self.name);
        self.link.gate.run(caller, &WATCH, attempt).await
    }

    /// What cursors of this bucket begin with. Another's makes no sense here, and may mean a key that is
    /// none of this guest's business.
    fn tag(&self, prefix: &str) -> String {
        // FNV-1a: it tells buckets apart, and hides nothing.
        let parts = [self.link.gate.workload(), self.link.name(), &*self.name, prefix];
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{:08x}.", hash as u32)
    }
}

impl Condition {
    fn holds(&self, entry: &Entry) -> bool {
        self.version.as_ref().is_none_or(|version| *version == entry.version.to_string())
            && self.value.as_ref().is_none_or(|value| *value == entry.value)
    }
}

fn foreign() -> Failure {
    Failure::Invalid("the cursor is of no listing of this store, or too old".to_owned())
}

fn checked(key: &str) -> Result<&str, Failure> {
    if key.is_empty() {
        return Err(Failure::Invalid("a key has at least one character".to_owned()));
    }
    short("key", key)?;
    Ok(key)
}

fn short(what: &'static str, name: &str) -> Result<(), Failure> {
    let (is, most) = (name.len() as u64, LONGEST_KEY as u64);
    if is > most { Err(Failure::TooLarge { what, is, most }) } else { Ok(()) }
}

fn few(keys: usize) -> Result<(), Failure> {
    if keys > BATCH {
        return Err(Failure::Invalid(format!("{keys} keys are more than the {BATCH} of a batch")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
