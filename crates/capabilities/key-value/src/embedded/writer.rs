//! The one thread that writes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition};
use reef_capability::Failure;
use tokio::sync::oneshot;

use super::{ENTRIES, Kept, file::File, is_there, milliseconds, now, recent::Recent};
use crate::{Change, sum, watchers::Watchers};

/// Writes of one transaction, and their bytes.
const MOST: (usize, usize) = (512, 16 << 20);

/// The last version that was given, so that none is given twice.
const VERSIONS: TableDefinition<'static, &str, u64> = TableDefinition::new("versions");
const LAST: &str = "last";

/// What expires: by when it does and its version, the bucket and the key.
const DUE: TableDefinition<'static, (u64, u64), (&str, &str)> = TableDefinition::new("due");
/// What expired and is taken away in one transaction.
const SWEPT: usize = 512;
/// How long it may at most be until what expired is looked for: clocks are set.
const LOOKING: Duration = Duration::from_secs(60);

type Reply = oneshot::Sender<Result<Done, Failure>>;

/// Something to write.
#[derive(Debug)]
pub(super) enum Write {
    Set {
        bucket: String,
        entries: Vec<(String, Bytes)>,
        until: u64,
        reply: Reply,
    },
    Delete {
        bucket: String,
        keys: Vec<String>,
        reply: Reply,
    },
    /// To a value and until when it is kept.
    Swap {
        bucket: String,
        key: String,
        expected: Option<u64>,
        to: (Bytes, u64),
        reply: Reply,
    },
    Add {
        bucket: String,
        key: String,
        delta: i64,
        reply: Reply,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Written,
    Swapped(bool),
    Sum(i64),
}

pub(super) struct Writer {
    file: Arc<File>,
    recent: Arc<Recent>,
    watchers: Arc<Watchers>,
    /// What is known of the file as it was opened last.
    state: Start,
    of: Weak<Database>,
}

/// What is known of a file when writing begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// The last version that was given.
    version: u64,
    /// When the first value expires, if any does.
    due: Option<u64>,
}

/// What a transaction did, by bucket and key: the value, or that it is gone.
type Changes = HashMap<(String, String), Option<Kept>>;
type Entries<'a> = Table<'a, (&'static str, &'static str), (u64, u64, &'static [u8])>;
type Due<'a> = Table<'a, (u64, u64), (&'static str, &'static str)>;

/// A transaction that writes.
struct Transaction<'a> {
    entries: Entries<'a>,
    due: Due<'a>,
    version: u64,
    changes: &'a mut Changes,
}

impl Start {
    pub(super) fn read(database: &Database) -> Result<Self, redb::Error> {
        let reading = database.begin_read()?;
        let version = match reading.open_table(VERSIONS) {
            Ok(table) => table.get(LAST)?.map_or(0, |last| last.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => 0,
            Err(error) => return Err(error.into()),
        };
        let due = match reading.open_table(DUE) {
            Ok(table) => table.first()?.map(|(first, _)| first.value().0),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { version, due })
    }
}

impl Write {
    fn size(&self) -> usize {
        match self {
            Self::Set { entries, .. } => {
                entries.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Self::Delete { keys, .. } => keys.iter().map(String::len).sum(),
            Self::Swap { key, to, .. } => key.len() + to.0.len(),
            Self::Add { key, .. } => key.len(),
        }
    }

    /// Buckets and keys that it may change.
    fn names(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Set { bucket, entries, .. } => {
                entries.iter().map(|(key, _)| (&**bucket, &**key)).collect()
            }
            Self::Delete { bucket, keys, .. } => {
                keys.iter().map(|key| (&**bucket, &**key)).collect()
            }
            Self::Swap { bucket, key, .. } | Self::Add { bucket, key, .. } => {
                vec![(bucket, key)]
            }
        }
    }

    fn into_reply(self) -> Reply {
        match self {
            Self::Set { reply, .. }
            | Self::Delete { reply, .. }
            | Self::Swap { reply, .. }
            | Self::Add { reply, .. } => reply,
        }
    }
}

impl Writer {
    pub(super) fn new(
        file: Arc<File>,
        recent: Arc<Recent>,
        watchers: Arc<Watchers>,
    ) -> Result<Self, Failure> {
        let database = file.database()?;
        let state = Start::read(&database).map_err(|error| file.failed(&database, error))?;
        Ok(Self { file, recent, watchers, state, of: Arc::downgrade(&database) })
    }

    /// Writes until nobody can ask for it any more.
    pub(super) fn run(mut self, writes: &Receiver<Write>) {
        loop {
            let first = match self.state.due {
                None => writes.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => {
                    let wait = Duration::from_millis(due.saturating_sub(now()));
                    writes.recv_timeout(wait.min(LOOKING))
                }
            };
            let mut all = match first {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = all.iter().map(Write::size).sum::<usize>();
            // Those that came meanwhile share the wait for the disk.
            while all.len() < MOST.0
                && bytes < MOST.1
                && let Ok(next) = writes.try_recv()
            {
                bytes += next.size();
                all.push(next);
            }
            if !all.is_empty() || self.state.due.is_some_and(|due| due <= now()) {
                self.write(all);
            }
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        self.recent.begin(writes.iter().flat_map(Write::names));
        let mut changes = Changes::new();
        let outcome = self.transact(&writes, &mut changes);
        if outcome.is_err() {
            changes.clear();
        }
        self.recent.end(changes.iter());
        for ((bucket, key), kept) in changes {
            let value = kept.map(|kept| kept.value);
            self.watchers.tell(&bucket, || Change { key, value });
        }
        match outcome {
            Ok((done, state)) => {
                self.state = state;
                for (write, done) in writes.into_iter().zip(done) {
                    // Whoever asked may have gone.
                    let _ = write.into_reply().send(done);
                }
            }
            Err(failure) => {
                if writes.is_empty() {
                    tracing::warn!(%failure, "What expired cannot be taken away.");
                    // Not again at once.
                    self.state.due = Some(now() + milliseconds(LOOKING));
                }
                for write in writes {
                    let _ = write.into_reply().send(Err(failure.clone()));
                }
            }
        }
    }

    fn transact(
        &mut self,
        writes: &[Write],
        changes: &mut Changes,
    ) -> Result<(Vec<Result<Done, Failure>>, Start), Failure> {
        let database = self.file.database()?;
        let done = self.transact_in(&database, writes, changes);
        done.map_err(|error| self.file.failed(&database, error))
    }

    fn transact_in(
        &mut self,
        database: &Arc<Database>,
        writes: &[Write],
        changes: &mut Changes,
    ) -> Result<(Vec<Result<Done, Failure>>, Start), redb::Error> {
        if !Weak::ptr_eq(&self.of, &Arc::downgrade(database)) {
            // What failed before may be on the disk all the same.
            self.state = Start::read(database)?;
            self.of = Arc::downgrade(database);
        }
        let writing = database.begin_write()?;
        let mut done = Vec::with_capacity(writes.len());
        let state;
        {
            let (entries, due) = (writing.open_table(ENTRIES)?, writing.open_table(DUE)?);
            let version = self.state.version;
            let mut transaction = Transaction { entries, due, version, changes };
            if self.state.due.is_some_and(|due| due <= now()) {
                transaction.sweep()?;
            }
            for write in writes {
                done.push(transaction.apply(write)?);
            }
            let due = transaction.due.first()?.map(|(first, _)| first.value().0);
            state = Start { version: transaction.version, due };
            writing.open_table(VERSIONS)?.insert(LAST, state.version)?;
        }
        writing.commit()?;
        Ok((done, state))
    }
}

impl Transaction<'_> {
    /// Takes away what has expired.
    fn sweep(&mut self) -> Result<(), redb::StorageError> {
        let now = now();
        for _ in 0..SWEPT {
            let expired = match self.due.first()? {
                Some((at, name)) if at.value().0 <= now => {
                    let (bucket, key) = name.value();
                    (bucket.to_owned(), key.to_owned())
                }
                _ => break,
            };
            self.remove(&expired.0, &expired.1)?;
        }
        Ok(())
    }

    fn apply(&mut self, write: &Write) -> Result<Result<Done, Failure>, redb::StorageError> {
        match write {
            Write::Set { bucket, entries, until, .. } => {
                for (key, value) in entries {
                    self.put(bucket, key, value.clone(), *until)?;
                }
                Ok(Ok(Done::Written))
            }
            Write::Delete { bucket, keys, .. } => {
                for key in keys {
                    self.remove(bucket, key)?;
                }
                Ok(Ok(Done::Written))
            }
            Write::Swap { bucket, key, expected, to: (value, until), .. } => {
                let now = self.entries.get((&**bucket, &**key))?.map(|found| {
                    let (version, until, _) = found.value();
                    (version, until)
                });
                let now = now.filter(|(_, until)| is_there(*until)).map(|(version, _)| version);
                let same = now == *expected;
                if same {
                    self.put(bucket, key, value.clone(), *until)?;
                }
                Ok(Ok(Done::Swapped(same)))
            }
            Write::Add { bucket, key, delta, .. } => {
                let now = self.entries.get((&**bucket, &**key))?;
                let now = now.map(|found| Kept::new(found.value())).filter(Kept::is_there);
                let until = now.as_ref().map_or(0, |kept| kept.until);
                match sum(now.as_ref().map(|kept| &*kept.value), *delta) {
                    Ok(sum) => {
                        self.put(bucket, key, sum.to_string().into(), until)?;
                        Ok(Ok(Done::Sum(sum)))
                    }
                    Err(failure) => Ok(Err(failure)),
                }
            }
        }
    }

    fn put(
        &mut self,
        bucket: &str,
        key: &str,
        value: Bytes,
        until: u64,
    ) -> Result<(), redb::StorageError> {
        self.version += 1;
        let version = self.version;
        let before = self.entries.insert((bucket, key), (version, until, &*value))?;
        let before = before.map(|before| {
            let (version, until, _) = before.value();
            (until, version)
        });
        if let Some(due) = before.filter(|(until, _)| *until != 0) {
            self.due.remove(due)?;
        }
        if until != 0 {
            self.due.insert((until, version), (bucket, key))?;
        }
        let kept = Kept { value, version, until };
        self.changes.insert((bucket.to_owned(), key.to_owned()), Some(kept));
        Ok(())
    }

    fn remove(&mut self, bucket: &str, key: &str) -> Result<(), redb::StorageError> {
        let before = self.entries.remove((bucket, key))?;
        let Some((version, until, _)) = before.as_ref().map(|before| before.value()) else {
            return Ok(());
        };
        drop(before);
        if until != 0 {
            self.due.remove((until, version))?;
        }
        self.changes.insert((bucket.to_owned(), key.to_owned()), None);
        Ok(())
    }
}
