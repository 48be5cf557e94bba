//! Who holds how much of a scratch directory.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// A file, as long as it is there: device and number, or a hash of both.
pub(super) type Id = (u64, u64);

/// Names that a scratch directory may have in it: each takes room that is none of a file's bytes.
const MOST_NAMES: u64 = 10_000;

/// There is no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Where a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// At an offset.
    At(u64),
    /// At the end, wherever that is by then.
    End,
}

/// The bytes and names of one scratch directory.
///
/// A file is charged with its length, holes included. What grows a file is charged before it happens, for as much
/// as it can come to, and corrected by the file's length when nothing is at work on it any more: the sum is never
/// below what is there, also when whoever changes it is ended in the middle. A file without a name goes on being charged while it is open.
#[derive(Debug)]
pub(crate) struct Ledger {
    quota: u64,
    books: Mutex<Books>,
    /// Held by what makes, moves or removes names, of which one is done at a time.
    pub(super) names: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Books {
    bytes: u64,
    names: u64,
    files: HashMap<Id, Held>,
    dirs: HashSet<Id>,
}

#[derive(Debug, Default)]
struct Held {
    /// At most so long.
    length: u64,
    /// Changes of its length on their way.
    busy: u32,
    /// Has no name any more.
    nameless: bool,
    /// Those who have it open.
    open: Vec<Weak<dyn Any + Send + Sync>>,
}

/// A change of a file's length on its way.
#[derive(Debug)]
pub(super) struct Change {
    ledger: Arc<Ledger>,
    id: Id,
    settled: bool,
}

impl Ledger {
    /// For an empty directory with this identity.
    pub(super) fn new(quota: u64, root: Id) -> Self {
        let books = Books { dirs: HashSet::from([root]), ..Books::default() };
        Self { quota, books: Mutex::new(books), names: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are charged now.
    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        let mut books = self.lock();
        books.sweep();
        books.bytes
    }

    pub(super) fn has_file(&self, id: Id) -> bool {
        self.lock().files.get(&id).is_some_and(Held::is_there)
    }

    pub(super) fn has_dir(&self, id: Id) -> bool {
        self.lock().dirs.contains(&id)
    }

    /// Charges a write before it is made. `None` for a file that is none of this directory's.
    pub(super) fn write(
        self: &Arc<Self>,
        id: Id,
        from: From,
        bytes: u64,
    ) -> Option<Result<Change, Full>> {
        let length = |held: &Held| match from {
            From::At(offset) => offset.saturating_add(bytes),
            From::End => held.length.saturating_add(bytes),
        };
        self.grow(id, length)
    }

    /// Charges a change to a length before it is made.
    pub(super) fn resize(self: &Arc<Self>, id: Id, length: u64) -> Option<Result<Change, Full>> {
        self.grow(id, |_| length)
    }

    fn grow(self: &Arc<Self>, id: Id, to: impl Fn(&Held) -> u64) -> Option<Result<Change, Full>> {
        let mut books = self.lock();
        let held = books.files.get(&id).filter(|held| held.is_there())?;
        let more = to(held).saturating_sub(held.length);
        if more > self.quota.saturating_sub(books.bytes) {
            books.sweep();
            if more > self.quota.saturating_sub(books.bytes) {
                return Some(Err(Full));
            }
        }
        books.bytes += more;
        if let Some(held) = books.files.get_mut(&id) {
            held.length += more;
            held.busy += 1;
        }
        Some(Ok(Change { ledger: self.clone(), id, settled: false }))
    }

    fn settle(&self, id: Id, length: Option<u64>) {
        let mut books = self.lock();
        let Some(held) = books.files.get_mut(&id) else { return };
        held.busy = held.busy.saturating_sub(1);
        if let (0, Some(length)) = (held.busy, length) {
            let before = std::mem::replace(&mut held.length, length);
            books.bytes = books.bytes.saturating_sub(before).saturating_add(length);
        }
    }

    /// Charges a name before it is made.
    pub(super) fn name(&self) -> Result<(), Full> {
        let mut books = self.lock();
        if books.names >= MOST_NAMES {
            return Err(Full);
        }
        books.names += 1;
        Ok(())
    }

    /// A name was not made after all.
    pub(super) fn unname(&self) {
        let mut books = self.lock();
        books.names = books.names.saturating_sub(1);
    }

    /// A directory in this one was opened.
    pub(super) fn found_dir(&self, id: Id) {
        self.lock().dirs.insert(id);
    }

    /// A directory was removed.
    pub(super) fn removed_dir(&self, id: Id) {
        let mut books = self.lock();
        books.names = books.names.saturating_sub(1);
        books.dirs.remove(&id);
    }

    /// A file was opened, or made and opened, and is so long now. It is open as long as `by` is there.
    pub(super) fn opened(&self, id: Id, length: u64, by: Weak<dyn Any + Send + Sync>) {
        let mut books = self.lock();
        // What is left of another one of that number.
        if books.files.get(&id).is_some_and(|held| !held.is_there()) {
            books.forget(id);
        }
        let held = books.files.entry(id).or_default();
        held.open.retain(|by| by.strong_count() > 0);
        held.open.push(by);
        if held.busy == 0 {
            let before = std::mem::replace(&mut held.length, length);
            books.bytes = books.bytes.saturating_sub(before).saturating_add(length);
        }
    }

    /// One of the names of something that is no directory was removed; `links` it had before.
    pub(super) fn removed(&self, id: Id, links: u64) {
        let mut books = self.lock();
        books.names = books.names.saturating_sub(1);
        if links > 1 {
            return;
        }
        if let Some(held) = books.files.get_mut(&id) {
            held.nameless = true;
            if !held.is_there() {
                books.forget(id);
            }
        }
    }
}

impl Books {
    fn forget(&mut self, id: Id) {
        if let Some(held) = self.files.remove(&id) {
            self.bytes = self.bytes.saturating_sub(held.length);
        }
    }

    /// Forgets files that nobody can reach any more.
    fn sweep(&mut self) {
        let gone: Vec<_> =
            self.files.iter().filter(|(_, held)| !held.is_there()).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.forget(id));
    }
}

impl Held {
    fn is_there(&self) -> bool {
        !self.nameless || self.busy > 0 || self.open.iter().any(|by| by.strong_count() > 0)
    }
}

impl Change {
    /// It is done, or has failed; the file is so long now.
    pub(super) fn done(mut self, length: Option<u64>) {
        self.settled = true;
        self.ledger.settle(self.id, length);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.settle(self.id, None);
        }
    }
}

#[cfg(test)]
mod tests;
