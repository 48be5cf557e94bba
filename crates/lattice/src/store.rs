//! Where what is wanted of a lattice lives.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::Failure;

use crate::key::Key;

/// Entries by key, each with the revision of its last change. What was acknowledged is kept.
///
/// Revisions grow over all keys of a store: a later change has a higher one, whichever key it is of.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The most bytes of a value.
    fn max_value(&self) -> usize;

    /// One entry, as it is now: never an older one than this client has seen.
    ///
    /// # Errors
    /// When the store cannot be asked, or does not answer in time.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure>;

    /// Writes an entry if the one before is as expected. The revision that it has now.
    ///
    /// # Errors
    /// [`Failure::Conflict`] where the one before is another, and then nothing was written;
    /// [`Failure::TooLarge`]. When there is no answer in time, it may have been written, and where
    /// somebody else has written by then, nobody knows whether it was: [`Failure::Unavailable`].
    async fn put(&self, key: &Key, value: Bytes, before: Expected) -> Result<u64, Failure>;

    /// Deletes an entry if it is as expected. Nothing to delete is no error.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    async fn delete(&self, key: &Key, before: Expected) -> Result<(), Failure>;

    /// All entries whose keys begin with one of the prefixes (whole tokens; an empty one is all), and then what
    /// changes, for as long as it is looked at. It goes on over lost connections.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn watch(&self, prefixes: &[&str]) -> Result<Changes, Failure>;
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub key: Key,
    /// What it says.
    pub value: Bytes,
    /// When it was last changed, on the store's own count.
    pub revision: u64,
}

/// What an entry has to be before it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Any,
    /// Not there, or deleted.
    Absent,
    /// Of that revision.
    Revision(u64),
}

/// Something that happened to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From here on, everything is told anew: what is not told until [`Change::Current`] is not there. This is the
    /// first one, and comes again where changes may have been missed.
    Anew,
    /// All that there was has been told.
    Current,
    /// An entry was written.
    Put(Entry),
    /// An entry was deleted.
    Deleted(Key, u64),
    /// The store cannot be heard: what is known is what there was. `Anew` or another change follows when it can.
    Lost,
}

/// What happens to a store, in order for each key.
pub type Changes = BoxStream<'static, Change>;

/// The most bytes of a value where the store itself has no bound: what NATS carries as it is installed, less what stands
/// beside a value. What fits on one machine fits on many.
pub(crate) const MAX_VALUE: usize = (1 << 20) - BESIDE;
/// Bytes that may stand beside a value in a message.
pub(crate) const BESIDE: usize = 4 << 10;
/// Prefixes of one watch.
const MOST_PREFIXES: usize = 256;

/// What is watched: whole prefixes, none of them below another one.
pub(crate) fn prefixes_of(prefixes: &[&str]) -> Result<Vec<String>, Failure> {
    for prefix in prefixes {
        if !prefix.is_empty() {
            Key::parse(prefix).map_err(|error| Failure::Invalid(error.to_string()))?;
        }
    }
    let mut all: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    all.sort();
    all.dedup();
    let covered = |one: &String| all.iter().any(|other| other != one && is_below(one, other));
    let outermost: Vec<_> = all.iter().filter(|one| !covered(one)).cloned().collect();
    if outermost.is_empty() || outermost.len() > MOST_PREFIXES {
        let why = format!("a watch is of one prefix to {MOST_PREFIXES}");
        return Err(Failure::Invalid(why));
    }
    Ok(outermost)
}

/// Whether a key, or a prefix, is below a prefix of whole tokens, or that itself.
pub(crate) fn is_below(key: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a change is of what is watched.
pub(crate) fn is_watched(prefixes: &[String], change: &Change) -> bool {
    let key = match change {
        Change::Put(entry) => &entry.key,
        Change::Deleted(key, _) => key,
        Change::Anew | Change::Current | Change::Lost => return true,
    };
    prefixes.iter().any(|prefix| key.is_below(prefix))
}

pub(crate) fn changed(key: &Key, before: Expected) -> Failure {
    Failure::Conflict(match before {
        Expected::Revision(expected) => {
            format!("`{key}` is not of revision {expected} any more: somebody else changed it")
        }
        _ => format!("`{key}` is there already"),
    })
}

pub(crate) fn too_large(is: usize, most: usize) -> Failure {
    Failure::TooLarge { what: "value", is: is as u64, most: most as u64 }
}
