//! The key-value capability: values by their keys, in buckets.
//!
//! [`KeyValue`] is what a backend does; [`BACKENDS`] are those there are. A guest's adapter has a [`Bucket`]: one
//! bucket of one link, each use of which passes through the link's gate.
//!
//! Another backend is another file beside these, and another line in [`BACKENDS`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod bucket;
mod cursors;
mod embedded;
mod memory;
mod nats;
mod offline;
mod postgres;
mod redis;
mod watch;
mod watchers;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::{Backend, Failure};

pub use bucket::{Bucket, Condition, OPERATIONS, Swapped};
pub use offline::{Merge, Offline};
pub use watch::{Happening, Noted, Outcome, Watching, Wish};

/// What a manifest calls it.
pub const CAPABILITY: &str = "key-value";

/// Every backend. The first is the one of a link that names none.
pub static BACKENDS: &[Backend<dyn KeyValue>] =
    &[embedded::BACKEND, memory::BACKEND, redis::BACKEND, nats::BACKEND, postgres::BACKEND];

/// Bytes of a key, and of the name of a bucket.
pub const LONGEST_KEY: usize = 1024;
/// Keys of one page.
pub const PAGE: usize = 1000;
/// Keys of one batch.
pub const BATCH: usize = 1000;

/// A value, and which one of its key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Which one it is.
    pub version: Version,
}

/// Which value of its key one is: of what kind, only the backend knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub Bytes);

impl fmt::Display for Version {
    /// As guests see it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// When something was written, and by whom: the larger one was written later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Milliseconds since 1970, by the clock of who wrote it, or of the server where that was not said.
    pub at: u64,
    /// Who; zero where that was not said.
    pub by: u64,
}

/// What was last written to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The value; none where that was taken away.
    pub value: Option<Bytes>,
    /// For how much longer the key has it; for ever, if nothing is said.
    pub expires: Option<Duration>,
    /// Which one it is.
    pub version: Version,
    /// When it was written.
    pub stamp: Stamp,
}

/// How a key is given a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// How long it has it: for ever, if nothing is said. From a millisecond to a century; a backend that counts in
    /// seconds rounds up.
    pub expires: Option<Duration>,
    /// Whether it is given one only if it has none.
    pub if_absent: bool,
}

/// Some of a bucket's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys, in an order of the backend's; none of them twice in one page.
    pub keys: Vec<String>,
    /// Where the next page begins, if there may be one: of what kind, only the backend knows.
    pub next: Option<String>,
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// Its value now; none if it was deleted, or its time was over and the backend has removed it.
    pub value: Option<Bytes>,
}

/// What somebody who watches is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something happened.
    Changed(Change),
    /// So much happened faster than it was taken, and is not told.
    Missed(u64),
}

/// Values by their keys, in buckets. A bucket need not be made: one that nothing was put into is empty.
///
/// What was acknowledged is there for every later use, and what a backend keeps is there after any crash.
/// Names were checked before: not empty (a bucket's may be), and no longer than [`LONGEST_KEY`].
#[async_trait]
pub trait KeyValue: fmt::Debug + Send + Sync {
    /// The value of a key, if it has one.
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure>;

    /// The value of a key with its version, for [`swap`](Self::swap).
    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure>;

    /// Whether a key has a value.
    async fn exists(&self, bucket: &str, key: &str) -> Result<bool, Failure> {
        Ok(self.get(bucket, key).await?.is_some())
    }

    /// Gives a key a value, in place of the one that it had, for ever.
    async fn set(&self, bucket: &str, key: &str, value: Bytes) -> Result<(), Failure> {
        self.set_with(bucket, key, value, SetOptions::default()).await.map(drop)
    }

    /// Gives a key a value, for a time or if it has none. `false` if it has one and was not to be given another.
    ///
    /// # Errors
    /// `Unsupported` when the backend cannot do what the options say: they are never ignored.
    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure>;

    /// Takes a key's value away. It need not have had one.
    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure>;

    /// Gives a key a value, for ever, if it still has this version, or still none. `false` if not.
    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure>;

    /// Adds to a key's value, which is a number in decimal digits or not there (zero): the sum. What expires
    /// does so when it would have.
    ///
    /// # Errors
    /// `Invalid` when it is no number, or the sum is none of 64 bits.
    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure>;

    /// Some of the keys that begin with `prefix`: about `most`, from the start or where a page before said. A key
    /// that is there all the time is in one of the pages.
    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure>;

    /// The values of keys, in their order.
    async fn get_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Bytes>>, Failure> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(bucket, key).await?);
        }
        Ok(values)
    }

    /// Gives keys values, in their order. When it fails, some may have theirs.
    async fn set_many(&self, bucket: &str, entries: Vec<(String, Bytes)>) -> Result<(), Failure> {
        for (key, value) in entries {
            self.set(bucket, &key, value).await?;
        }
        Ok(())
    }

    /// Takes the values of keys away. When it fails, some may have theirs still.
    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<(), Failure> {
        for key in keys {
            self.delete(bucket, key).await?;
        }
        Ok(())
    }

    /// Whether the backend says when something was written: [`dated`](Self::dated).
    fn is_dated(&self) -> bool {
        false
    }

    /// What was last written to a key, for as long as that is known. Nobody answers: that is a failure which may pass.
    ///
    /// # Errors
    /// `Unsupported` when the backend does not say when something was written.
    async fn dated(&self, _bucket: &str, _key: &str) -> Result<Option<Dated>, Failure> {
        Err(undated())
    }

    /// Writes to a key with a stamp of its own, if what was last written is still this version, or nothing was yet;
    /// whatever was, if `expected` says nothing. `write.version` is not looked at. What is written twice under one stamp,
    /// closely after each other, is written once. `false` if something else was written.
    ///
    /// # Errors
    /// As [`dated`](Self::dated).
    async fn set_dated(
        &self,
        _bucket: &str,
        _key: &str,
        _write: Dated,
        _expected: Option<Option<&Version>>,
    ) -> Result<bool, Failure> {
        Err(undated())
    }

    /// What happens in a bucket from now on, whoever does it; of each key in its order. Of changes that follow closely
    /// on each other, only the last may be told. It ends when the backend cannot tell any longer.
    ///
    /// # Errors
    /// `Unsupported` when the backend tells nobody; the text says what would make it.
    async fn watch(&self, _bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        Err(Failure::Unsupported("the backend tells nobody of changes".to_owned()))
    }
}

fn undated() -> Failure {
    Failure::Unsupported("the backend does not say when something was written".to_owned())
}

/// A number as it is kept.
pub(crate) fn number(value: &[u8]) -> Result<i64, Failure> {
    let text = std::str::from_utf8(value).ok().map(str::trim);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::Invalid("the value is no whole number of 64 bits".to_owned()))
}

/// A number, added to one as it is kept.
pub(crate) fn sum(value: Option<&[u8]>, delta: i64) -> Result<i64, Failure> {
    let value = value.map_or(Ok(0), number)?;
    value.checked_add(delta).ok_or_else(|| {
        Failure::Invalid("the sum is beyond what a number of 64 bits can hold".to_owned())
    })
}
