//! The file, and the one thread that writes it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use reef_capability::Failure;
use tokio::sync::oneshot;

use crate::journal::{Entry, Shared};

/// What waits: by its number, whose it is and what it says.
const WAITING: TableDefinition<'static, u64, (&[u8], &[u8])> = TableDefinition::new("waiting");
/// What was put aside: what it says, and why.
const ASIDE: TableDefinition<'static, u64, (&[u8], &str)> = TableDefinition::new("aside");
/// The next number, so that none is given twice.
const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");
const NEXT: &str = "next";
const ID: &str = "id";

/// Pages of the file that are held in memory.
const PAGES: usize = 1 << 20;
/// Writes of one transaction.
const AT_ONCE: usize = 256;
/// How long one that still closes the file may take.
const CLOSING: Duration = Duration::from_secs(5);

/// Something to write.
#[derive(Debug)]
pub(crate) enum Write {
    Push(Bytes, Bytes, oneshot::Sender<Result<u64, Failure>>),
    Done(u64, oneshot::Sender<Result<(), Failure>>),
    Aside(u64, String, oneshot::Sender<Result<(), Failure>>),
}

/// What the file holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) waiting: Vec<Entry>,
    pub(crate) aside: (usize, usize),
    pub(crate) next: u64,
    pub(crate) id: u64,
}

#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    /// None after the disk failed: the library refuses every use then.
    database: Option<Database>,
}

impl File {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = Self { path: path.to_owned(), database: None };
        let until = Instant::now() + CLOSING;
        loop {
            match create(path) {
                Ok(database) => return Ok(Self { database: Some(database), ..file }),
                Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(file.failure(error.into())),
            }
        }
    }

    pub(crate) fn read(&self) -> Result<Held, Failure> {
        let Some(database) = &self.database else { return Ok(Held::default()) };
        made(database).and_then(|()| held(database)).map_err(|error| self.failure(error))
    }

    /// Writes until nobody can ask for it any more.
    pub(crate) fn run(mut self, shared: &Arc<Shared>, writes: &Receiver<Write>) {
        while let Ok(first) = writes.recv() {
            let mut all = vec![first];
            // Those that came meanwhile share the wait for the disk.
            while all.len() < AT_ONCE
                && let Ok(next) = writes.try_recv()
            {
                all.push(next);
            }
            let first = shared.next();
            match self.transact(first, &all) {
                Ok(()) => shared.done(first, all),
                Err(failure) => shared.failed(&failure, all),
            }
        }
    }

    fn transact(&mut self, next: u64, writes: &[Write]) -> Result<(), Failure> {
        let database = match self.database.take() {
            Some(database) => database,
            None => create(&self.path).map_err(|error| self.failure(error.into()))?,
        };
        match write(&database, next, writes) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            // It is opened again for the next one.
            Err(error @ (redb::Error::Io(_) | redb::Error::PreviousIo)) => Err(self.failure(error)),
            Err(error) => {
                self.database = Some(database);
                Err(self.failure(error))
            }
        }
    }

    fn failure(&self, error: redb::Error) -> Failure {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match error {
            redb::Error::Io(error) if full.contains(&error.kind()) => {
                Failure::Full(error.to_string())
            }
            other => Failure::Backend(format!("{}: {other}", self.path.display())),
        }
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(PAGES).create(path)
}

/// Has everything there that is read.
fn made(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    writing.open_table(WAITING)?;
    writing.open_table(ASIDE)?;
    {
        let mut numbers = writing.open_table(NUMBERS)?;
        if numbers.get(ID)?.is_none() {
            numbers.insert(ID, fastrand::u64(1..))?;
        }
    }
    writing.commit()?;
    Ok(())
}

fn write(database: &Database, mut next: u64, writes: &[Write]) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let (mut waiting, mut aside) = (writing.open_table(WAITING)?, writing.open_table(ASIDE)?);
        for write in writes {
            match write {
                Write::Push(key, record, _) => {
                    waiting.insert(next, (&**key, &**record))?;
                    next += 1;
                }
                Write::Done(number, _) => {
                    waiting.remove(number)?;
                }
                Write::Aside(number, why, _) => {
                    if let Some(entry) = waiting.remove(number)? {
                        let (_, record) = entry.value();
                        aside.insert(number, (record, why.as_str()))?;
                    }
                }
            }
        }
        writing.open_table(NUMBERS)?.insert(NEXT, next)?;
    }
    writing.commit()?;
    Ok(())
}

fn held(database: &Database) -> Result<Held, redb::Error> {
    let reading = database.begin_read()?;
    let mut held = Held::default();
    for entry in reading.open_table(WAITING)?.iter()? {
        let (number, entry) = entry?;
        let (key, record) = entry.value();
        held.waiting.push(Entry {
            number: number.value(),
            key: Bytes::copy_from_slice(key),
            record: Bytes::copy_from_slice(record),
        });
    }
    for entry in reading.open_table(ASIDE)?.iter()? {
        held.aside.0 += 1;
        held.aside.1 += entry?.1.value().0.len();
    }
    let numbers = reading.open_table(NUMBERS)?;
    held.next = numbers.get(NEXT)?.map_or(0, |next| next.value());
    held.id = numbers.get(ID)?.map_or(0, |id| id.value());
    Ok(held)
}
