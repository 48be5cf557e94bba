//! The one thread that writes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Receiver},
};

use bytes::Bytes;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError,
};
use reef_capability::Failure;
use tokio::sync::oneshot;

use super::{Held, MOST, Shared, Told};
use crate::{
    Key,
    local::disk,
    store::{Change, Entry, Expected, changed},
};

/// Key; revision and value.
const ENTRIES: TableDefinition<'static, &str, (u64, &[u8])> = TableDefinition::new("entries");
/// The last revision that was given, be it to what was deleted.
const REVISIONS: TableDefinition<'static, &str, u64> = TableDefinition::new("revisions");
const LAST: &str = "last";

/// Writes of one transaction, and their bytes.
const TOGETHER: (usize, usize) = (512, 16 << 20);
/// Pages of the file that are held in memory, beside the entries.
const PAGES: usize = 4 << 20;

/// Something to write.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: Key,
    /// None: it is deleted.
    pub(super) to: Option<Bytes>,
    pub(super) before: Expected,
    pub(super) reply: oneshot::Sender<Result<u64, Failure>>,
}

/// Why a file is not open.
pub(super) enum Refused {
    /// Somebody else has it.
    Open,
    Failed(Failure),
}

pub(super) struct Writer {
    path: PathBuf,
    /// None after the disk failed: the library refuses every use then, until it is opened again.
    database: Option<Database>,
    shared: Arc<Shared>,
}

/// What one transaction does.
#[derive(Default)]
struct Transaction {
    /// In order.
    told: Vec<Change>,
    /// The entries that it leaves behind, or that they are gone.
    last: HashMap<Key, Option<Entry>>,
    /// More bytes than there were, or fewer.
    bytes: isize,
    revision: u64,
}

impl Writer {
    pub(super) fn open(path: &Path, shared: Arc<Shared>) -> Result<Self, Refused> {
        let database = match create(path) {
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(Refused::Open),
            opened => opened.map_err(|error| Refused::Failed(failed(path, error.into())))?,
        };
        let held = read(&database).map_err(|error| Refused::Failed(failed(path, error)))?;
        *shared.write() = held;
        Ok(Self { path: path.to_owned(), database: Some(database), shared })
    }

    /// Writes until nobody can ask for it any more.
    pub(super) fn run(mut self, writes: &Receiver<Write>) {
        while let Ok(first) = writes.recv() {
            let size = |write: &Write| write.to.as_ref().map_or(0, Bytes::len);
            let mut bytes = size(&first);
            let mut all = vec![first];
            // Those that came meanwhile share the wait for the disk.
            while all.len() < TOGETHER.0
                && bytes < TOGETHER.1
                && let Ok(next) = writes.try_recv()
            {
                bytes += size(&next);
                all.push(next);
            }
            self.write(all);
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        if let Err(failure) = self.reopen() {
            for write in writes {
                let _ = write.reply.send(Err(failure.clone()));
            }
            return;
        }
        let (outcomes, transaction) = {
            let held = self.shared.read();
            let mut transaction = Transaction { revision: held.revision, ..Transaction::default() };
            let outcomes: Vec<_> =
                writes.iter().map(|write| transaction.apply(&held, write)).collect();
            (outcomes, transaction)
        };
        let kept = self.keep(&transaction);
        if kept.is_ok() {
            self.shared.have(transaction);
        }
        for (write, outcome) in writes.into_iter().zip(outcomes) {
            let outcome = match (&kept, outcome) {
                (Err(failure), Ok(_)) => Err(failure.clone()),
                (_, outcome) => outcome,
            };
            // Whoever asked may have gone.
            let _ = write.reply.send(outcome);
        }
    }

    /// Puts a transaction on the disk.
    fn keep(&mut self, transaction: &Transaction) -> Result<(), Failure> {
        if transaction.told.is_empty() {
            return Ok(());
        }
        let Some(database) = &self.database else {
            return Err(Failure::unreachable("the lattice's store is opened again"));
        };
        let keep = || -> Result<(), redb::Error> {
            let writing = database.begin_write()?;
            {
                let mut entries = writing.open_table(ENTRIES)?;
                for (key, entry) in &transaction.last {
                    match entry {
                        Some(entry) => {
                            entries.insert(key.as_str(), (entry.revision, &*entry.value))?;
                        }
                        None => {
                            entries.remove(key.as_str())?;
                        }
                    }
                }
                writing.open_table(REVISIONS)?.insert(LAST, transaction.revision)?;
            }
            Ok(writing.commit()?)
        };
        keep().map_err(|error| {
            // Whether it is on the disk all the same shows when it is opened again.
            self.database = None;
            failed(&self.path, error)
        })
    }

    /// Opens the file again, if need be, and says anew what it holds.
    fn reopen(&mut self) -> Result<(), Failure> {
        if self.database.is_some() {
            return Ok(());
        }
        let opened = create(&self.path).map_err(redb::Error::from);
        let read = opened.and_then(|database| Ok((read(&database)?, database)));
        let (held, database) = read.map_err(|error| failed(&self.path, error))?;
        self.database = Some(database);
        tracing::info!(file = %self.path.display(), "The lattice's store is open again.");
        let mut known = self.shared.write();
        if *known != held {
            *known = held;
            let _ = self.shared.told.send(Told::Anew);
        }
        Ok(())
    }
}

impl Shared {
    /// What is on the disk is seen from now on.
    fn have(&self, transaction: Transaction) {
        let mut held = self.write();
        for (key, entry) in transaction.last {
            match entry {
                Some(entry) => held.entries.insert(key, entry),
                None => held.entries.remove(&key),
            };
        }
        held.revision = transaction.revision;
        held.bytes = held.bytes.saturating_add_signed(transaction.bytes);
        for change in transaction.told {
            // Perhaps nobody listens.
            let _ = self.told.send(Told::Change(change));
        }
    }
}

impl Transaction {
    fn apply(&mut self, held: &Held, write: &Write) -> Result<u64, Failure> {
        let key = &write.key;
        let now = match self.last.get(key) {
            Some(entry) => entry.as_ref(),
            None => held.entries.get(key),
        };
        let is = now.map(|entry| entry.revision);
        let before = size(now);
        let Some(value) = &write.to else {
            if is.is_none() {
                return Ok(self.revision);
            }
            as_expected(key, is, write.before)?;
            self.bytes -= before;
            self.revision += 1;
            self.last.insert(key.clone(), None);
            self.told.push(Change::Deleted(key.clone(), self.revision));
            return Ok(self.revision);
        };
        as_expected(key, is, write.before)?;
        let revision = self.revision + 1;
        let entry = Entry { key: key.clone(), value: value.clone(), revision };
        let bytes = self.bytes - before + size(Some(&entry));
        if bytes > 0 && held.bytes.saturating_add_signed(bytes) > MOST {
            return Err(Failure::Full(format!("it holds {MOST} bytes at most")));
        }
        (self.bytes, self.revision) = (bytes, revision);
        self.last.insert(key.clone(), Some(entry.clone()));
        self.told.push(Change::Put(entry));
        Ok(revision)
    }
}

fn as_expected(key: &Key, is: Option<u64>, before: Expected) -> Result<(), Failure> {
    match before {
        Expected::Any => Ok(()),
        Expected::Absent if is.is_none() => Ok(()),
        Expected::Revision(expected) if is == Some(expected) => Ok(()),
        _ => Err(changed(key, before)),
    }
}

/// What an entry takes; far less than `isize` has.
fn size(entry: Option<&Entry>) -> isize {
    entry.map_or(0, |entry| (entry.key.as_str().len() + entry.value.len()) as isize)
}

fn read(database: &Database) -> Result<Held, redb::Error> {
    let reading = database.begin_read()?;
    let mut held = Held::default();
    match reading.open_table(ENTRIES) {
        Ok(table) => {
            for found in table.iter()? {
                let (key, value) = found?;
                // Only keys are written; a newer version may know others.
                let Ok(key) = Key::parse(key.value()) else { continue };
                let (revision, value) = value.value();
                let entry = Entry { key, value: Bytes::copy_from_slice(value), revision };
                held.bytes = held.bytes.saturating_add_signed(size(Some(&entry)));
                held.entries.insert(entry.key.clone(), entry);
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    held.revision = match reading.open_table(REVISIONS) {
        Ok(table) => table.get(LAST)?.map_or(0, |last| last.value()),
        Err(TableError::TableDoesNotExist(_)) => 0,
        Err(error) => return Err(error.into()),
    };
    Ok(held)
}

fn failed(path: &Path, error: redb::Error) -> Failure {
    match error {
        redb::Error::Io(error) => disk::failed(path, &error),
        other => Failure::Backend(format!("{}: {other}", path.display())),
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(PAGES).create(path)
}
