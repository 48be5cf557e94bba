//! The one thread that writes.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc::Receiver},
};

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition};
use reef_capability::Failure;
use tokio::sync::oneshot;

use super::{ENTRIES, failure, recent::Recent};
use crate::{Change, sum, watching::Watchers};

/// Writes of one transaction, and their bytes.
const MOST: (usize, usize) = (512, 16 << 20);

/// The last version that was given, so that none is given twice.
const VERSIONS: TableDefinition<'static, &str, u64> = TableDefinition::new("versions");
const LAST: &str = "last";

type Reply = oneshot::Sender<Result<Done, Failure>>;

/// Something to write.
#[derive(Debug)]
pub(super) enum Write {
    Set { bucket: String, entries: Vec<(String, Bytes)>, reply: Reply },
    Delete { bucket: String, keys: Vec<String>, reply: Reply },
    Swap { bucket: String, key: String, expected: Option<u64>, value: Bytes, reply: Reply },
    Add { bucket: String, key: String, delta: i64, reply: Reply },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Written,
    Swapped(bool),
    Sum(i64),
}

pub(super) struct Writer {
    database: Arc<Database>,
    recent: Arc<Recent>,
    watchers: Arc<Watchers>,
    version: u64,
}

/// What a transaction did, by bucket and key: the value and its version, or that it is gone.
type Changes = HashMap<(String, String), Option<(Bytes, u64)>>;
type Entries<'a> = Table<'a, (&'static str, &'static str), (u64, &'static [u8])>;

/// The last version that was given.
pub(super) fn last_version(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(VERSIONS) {
        Ok(table) => Ok(table.get(LAST)?.map_or(0, |last| last.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

impl Write {
    fn size(&self) -> usize {
        match self {
            Self::Set { entries, .. } => {
                entries.iter().map(|(key, value)| key.len() + value.len()).sum()
            }
            Self::Delete { keys, .. } => keys.iter().map(String::len).sum(),
            Self::Swap { key, value, .. } => key.len() + value.len(),
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
        database: Arc<Database>,
        recent: Arc<Recent>,
        watchers: Arc<Watchers>,
        version: u64,
    ) -> Self {
        Self { database, recent, watchers, version }
    }

    /// Writes until nobody can ask for it any more.
    pub(super) fn run(mut self, writes: &Receiver<Write>) {
        while let Ok(first) = writes.recv() {
            let mut bytes = first.size();
            let mut all = vec![first];
            // Those that came meanwhile share the wait for the disk.
            while all.len() < MOST.0
                && bytes < MOST.1
                && let Ok(next) = writes.try_recv()
            {
                bytes += next.size();
                all.push(next);
            }
            self.write(all);
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        self.recent.begin(writes.iter().flat_map(Write::names));
        let mut changes = Changes::new();
        let version = self.version;
        let outcome = self.transact(&writes, &mut changes);
        if outcome.is_err() {
            self.version = version;
            changes.clear();
        }
        let written =
            changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        self.recent.end(written);
        for ((bucket, key), value) in changes {
            let value = value.map(|(value, _)| value);
            self.watchers.tell(&bucket, || Change { key, value });
        }
        match outcome {
            Ok(done) => {
                for (write, done) in writes.into_iter().zip(done) {
                    // Whoever asked may have gone.
                    let _ = write.into_reply().send(done);
                }
            }
            Err(error) => {
                let failure = failure("the key-value store", error);
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
    ) -> Result<Vec<Result<Done, Failure>>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut done = Vec::with_capacity(writes.len());
        {
            let mut table = transaction.open_table(ENTRIES)?;
            for write in writes {
                done.push(self.apply(&mut table, write, changes)?);
            }
            transaction.open_table(VERSIONS)?.insert(LAST, self.version)?;
        }
        transaction.commit()?;
        Ok(done)
    }

    fn apply(
        &mut self,
        table: &mut Entries<'_>,
        write: &Write,
        changes: &mut Changes,
    ) -> Result<Result<Done, Failure>, redb::StorageError> {
        match write {
            Write::Set { bucket, entries, .. } => {
                for (key, value) in entries {
                    self.put(table, bucket, key, value.clone(), changes)?;
                }
                Ok(Ok(Done::Written))
            }
            Write::Delete { bucket, keys, .. } => {
                for key in keys {
                    if table.remove((&**bucket, &**key))?.is_some() {
                        changes.insert((bucket.clone(), key.clone()), None);
                    }
                }
                Ok(Ok(Done::Written))
            }
            Write::Swap { bucket, key, expected, value, .. } => {
                let now = table.get((&**bucket, &**key))?.map(|found| found.value().0);
                let same = now == *expected;
                if same {
                    self.put(table, bucket, key, value.clone(), changes)?;
                }
                Ok(Ok(Done::Swapped(same)))
            }
            Write::Add { bucket, key, delta, .. } => {
                let sum = {
                    let now = table.get((&**bucket, &**key))?;
                    sum(now.as_ref().map(|found| found.value().1), *delta)
                };
                match sum {
                    Ok(sum) => {
                        self.put(table, bucket, key, sum.to_string().into(), changes)?;
                        Ok(Ok(Done::Sum(sum)))
                    }
                    Err(failure) => Ok(Err(failure)),
                }
            }
        }
    }

    fn put(
        &mut self,
        table: &mut Entries<'_>,
        bucket: &str,
        key: &str,
        value: Bytes,
        changes: &mut Changes,
    ) -> Result<(), redb::StorageError> {
        self.version += 1;
        table.insert((bucket, key), (self.version, &*value))?;
        changes.insert((bucket.to_owned(), key.to_owned()), Some((value, self.version)));
        Ok(())
    }
}
