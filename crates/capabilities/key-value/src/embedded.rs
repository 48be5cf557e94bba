//! In a file of the application's own: what was acknowledged is there after any crash.
//!
//! One thread writes. What waits for it is written in one transaction, and acknowledged when that is on the disk. Readers
//! take what they can from memory; the rest is read off the async workers.

mod file;
mod recent;
mod writer;

use std::{
    fs,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use redb::{ReadableDatabase as _, TableDefinition, TableError};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};
use tokio::sync::oneshot;

use self::{
    file::File,
    recent::Recent,
    writer::{Done, Write, Writer},
};
use crate::{Entry, KeyValue, Page, SetOptions, Told, Version, memory, watchers::Watchers};

const FILE: Setting =
    Setting::new("file", "where it is kept, from the manifest's folder on: `data/orders.redb`");
const CACHE: Setting = Setting::new("cache", "how much of it is held in memory, too: `32MiB`");
const DEFAULT_CACHE: u64 = 32 << 20;
/// Writes that may wait.
const WAITING: usize = 4096;

pub(crate) const BACKEND: Backend<dyn KeyValue> =
    Backend { name: "embedded", system: "redb", settings: &[FILE, CACHE], private: true, open };

/// Bucket and key; version, until when (0: for ever), and value.
const ENTRIES: TableDefinition<'static, (&str, &str), (u64, u64, &[u8])> =
    TableDefinition::new("entries");

/// A value as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    value: Bytes,
    version: u64,
    /// Until when: milliseconds since 1970, or 0 for ever.
    until: u64,
}

#[derive(Debug)]
struct Embedded {
    file: Arc<File>,
    writer: Option<mpsc::SyncSender<Write>>,
    thread: Option<std::thread::JoinHandle<()>>,
    recent: Arc<Recent>,
    watchers: Arc<Watchers>,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn KeyValue>, OpenError> {
    let cache = opening.settings.size(CACHE.name)?.unwrap_or(DEFAULT_CACHE);
    let file = match (opening.settings.get(FILE.name), opening.data) {
        (Some(file), _) => opening.folder.join(file),
        (None, Some(data)) => data.join("key-value.redb"),
        (None, None) => {
            let application = opening.application;
            tracing::info!(application, "Nothing is kept: key-value pairs are in memory only.");
            let opening = Opening { settings: &Default::default(), ..opening };
            return (memory::BACKEND.open)(opening);
        }
    };
    let place = |why: &dyn std::fmt::Display| {
        OpenError::Place(format!("the key-value store {} cannot be opened: {why}", file.display()))
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| place(&error))?;
    }
    let opened = File::open(file.clone()).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => place(
            &"another process uses it, or another link with other settings; end that process, give this one another `--data` folder, or give the links the same settings",
        ),
        error => place(&error),
    })?;
    let (opened, recent) = (Arc::new(opened), Arc::new(Recent::new(cache)));
    let watchers = Arc::new(Watchers::default());
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let writer = Writer::new(opened.clone(), recent.clone(), watchers.clone());
    let writer = writer.map_err(|error| place(&error))?;
    let thread = std::thread::Builder::new().name("key-value".to_owned());
    let thread = thread.spawn(move || writer.run(&receiver)).map_err(|error| place(&error))?;
    let (writer, thread) = (Some(sender), Some(thread));
    Ok(Arc::new(Embedded { file: opened, writer, thread, recent, watchers }))
}

impl Embedded {
    async fn write(
        &self,
        write: impl FnOnce(oneshot::Sender<Result<Done, Failure>>) -> Write,
    ) -> Result<Done, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::lost("its writer has ended");
        let sender = self.writer.as_ref().ok_or_else(gone)?;
        match sender.try_send(write(reply)) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                let why = format!("{WAITING} writes wait for the disk already");
                return Err(Failure::TooMany(why));
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// A look at the file, which may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(Option<&Entries>) -> Result<T, redb::StorageError> + Send + 'static,
    ) -> Result<T, Failure> {
        let file = self.file.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let database = file.database()?;
            let looked = || {
                let reading = database.begin_read().map_err(redb::Error::from)?;
                match reading.open_table(ENTRIES) {
                    Ok(table) => look(Some(&table)).map_err(redb::Error::from),
                    Err(TableError::TableDoesNotExist(_)) => look(None).map_err(redb::Error::from),
                    Err(error) => Err(error.into()),
                }
            };
            looked().map_err(|error| file.failed(&database, error))
        });
        looking.await.unwrap_or_else(|_| Err(Failure::lost("the host stops")))
    }

    async fn find(&self, bucket: &str, key: &str) -> Result<Option<Kept>, Failure> {
        if let Some(known) = self.recent.get(bucket, key) {
            return Ok(Some(known).filter(Kept::is_there));
        }
        let before = self.recent.moment();
        let name = (bucket.to_owned(), key.to_owned());
        let found = self
            .read(move |table| {
                let Some(table) = table else { return Ok(None) };
                let found = table.get((&*name.0, &*name.1))?;
                Ok(found.map(|found| Kept::new(found.value())))
            })
            .await?;
        if let Some(found) = &found {
            self.recent.keep(before, bucket, key, found.clone());
        }
        Ok(found.filter(Kept::is_there))
    }
}

type Entries = redb::ReadOnlyTable<(&'static str, &'static str), (u64, u64, &'static [u8])>;

impl Kept {
    fn new((version, until, value): (u64, u64, &[u8])) -> Self {
        Self { value: Bytes::copy_from_slice(value), version, until }
    }

    fn is_there(&self) -> bool {
        is_there(self.until)
    }
}

fn is_there(until: u64) -> bool {
    until == 0 || until > now()
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    milliseconds(since)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The writer ends when nobody can ask it any more, and the file is whole then.
        self.writer.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl KeyValue for Embedded {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        Ok(self.find(bucket, key).await?.map(|kept| kept.value))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        Ok(self.find(bucket, key).await?.map(|kept| {
            let version = Version(Bytes::copy_from_slice(&kept.version.to_be_bytes()));
            Entry { value: kept.value, version }
        }))
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let until = options.expires.map_or(0, |time| now().saturating_add(milliseconds(time)));
        let done = if options.if_absent {
            let (expected, to) = (None, (value, until));
            self.write(|reply| Write::Swap { bucket, key, expected, to, reply }).await?
        } else {
            let entries = vec![(key, value)];
            self.write(|reply| Write::Set { bucket, entries, until, reply }).await?
        };
        Ok(!matches!(done, Done::Swapped(false)))
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(|reply| Write::Delete { bucket, keys: vec![key], reply }).await?;
        Ok(())
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let expected = match expected.map(|version| <[u8; 8]>::try_from(&*version.0)) {
            None => None,
            Some(Ok(version)) => Some(u64::from_be_bytes(version)),
            Some(Err(_)) => return Ok(false),
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let write = |reply| Write::Swap { bucket, key, expected, to: (value, 0), reply };
        Ok(matches!(self.write(write).await?, Done::Swapped(true)))
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        match self.write(|reply| Write::Add { bucket, key, delta, reply }).await? {
            Done::Sum(sum) => Ok(sum),
            _ => Err(Failure::Backend("the writer answered something else".to_owned())),
        }
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        let from = from.map(str::to_owned);
        self.read(move |table| {
            let Some(table) = table else { return Ok(Page::default()) };
            let mut page = Page::default();
            let start = from.as_deref().unwrap_or(&prefix);
            for entry in table.range((&*bucket, start)..)? {
                let (name, kept) = entry?;
                let (of, key) = name.value();
                if of != bucket || !key.starts_with(&prefix) {
                    break;
                }
                if from.as_deref() == Some(key) || !is_there(kept.value().1) {
                    continue;
                }
                if page.keys.len() == most {
                    page.next = page.keys.last().cloned();
                    break;
                }
                page.keys.push(key.to_owned());
            }
            Ok(page)
        })
        .await
    }

    async fn get_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Bytes>>, Failure> {
        let (bucket, keys) = (bucket.to_owned(), keys.to_vec());
        // At one moment.
        self.read(move |table| {
            let Some(table) = table else { return Ok(vec![None; keys.len()]) };
            let value = |key: &String| {
                let found = table.get((&*bucket, &**key))?;
                let found = found.map(|found| Kept::new(found.value())).filter(Kept::is_there);
                Ok(found.map(|kept| kept.value))
            };
            keys.iter().map(value).collect()
        })
        .await
    }

    async fn set_many(&self, bucket: &str, entries: Vec<(String, Bytes)>) -> Result<(), Failure> {
        let bucket = bucket.to_owned();
        self.write(|reply| Write::Set { bucket, entries, until: 0, reply }).await?;
        Ok(())
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<(), Failure> {
        let (bucket, keys) = (bucket.to_owned(), keys.to_vec());
        self.write(|reply| Write::Delete { bucket, keys, reply }).await?;
        Ok(())
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        Ok(self.watchers.watch(bucket))
    }
}
