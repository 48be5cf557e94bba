//! A file, and all that it holds in memory: what is wanted of one machine is small.
//!
//! One thread writes. What waits for it is written in one transaction, and is acknowledged and seen when that is on the
//! disk.

mod writer;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc},
    thread::JoinHandle,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use reef_capability::Failure;
use tokio::sync::{broadcast, oneshot};

use self::writer::{Write, Writer};
use crate::{
    Key,
    mirror::below,
    store::{
        Change, Changes, Entry, Expected, MAX_VALUE, Store, is_watched, prefixes_of, too_large,
    },
};

/// Writes that may wait.
const WAITING: usize = 4096;
/// Changes that one who watches may be behind before everything is told anew.
const BEHIND: usize = 1024;
/// Bytes of all entries.
const MOST: usize = 256 << 20;

/// Entries in a file.
#[derive(Debug)]
pub(super) struct File {
    shared: Arc<Shared>,
    /// None while it ends.
    writes: Option<mpsc::SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
}

/// What readers have.
#[derive(Debug)]
struct Shared {
    held: RwLock<Held>,
    /// Told while `held` is locked for writing: who listens from a moment on knows what was there then.
    told: broadcast::Sender<Told>,
}

/// What the file holds.
#[derive(Debug, Default, PartialEq)]
struct Held {
    entries: BTreeMap<Key, Entry>,
    /// Of all values and keys.
    bytes: usize,
    /// The last one that was given.
    revision: u64,
}

#[derive(Clone, Debug)]
enum Told {
    Change(Change),
    /// What the file holds is not what was thought.
    Anew,
}

impl File {
    /// Opens a file, or makes it. `process`: where it is noted who has it open.
    pub(super) fn open(path: &Path, process: &Path) -> Result<Self, Failure> {
        let (told, _) = broadcast::channel(BEHIND);
        let shared = Arc::new(Shared { held: RwLock::default(), told });
        let writer = Writer::open(path, shared.clone()).map_err(|failure| match failure {
            writer::Refused::Open => Failure::Unavailable {
                why: format!("{} is open already{}", path.display(), by(process)),
                maybe_done: false,
            },
            writer::Refused::Failed(failure) => failure,
        })?;
        let _ = fs::write(process, std::process::id().to_string());
        let (writes, receiver) = mpsc::sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("lattice".to_owned());
        let thread = thread.spawn(move || writer.run(&receiver));
        let thread = thread.map_err(|error| super::disk::failed(path, &error))?;
        Ok(Self { shared, writes: Some(writes), thread: Some(thread) })
    }

    /// What the revision is after a change.
    async fn write(&self, key: &Key, to: Option<Bytes>, before: Expected) -> Result<u64, Failure> {
        let (reply, answer) = oneshot::channel();
        let gone = || Failure::lost("the lattice's store has ended");
        let write = Write { key: key.clone(), to, before, reply };
        match self.writes.as_ref().ok_or_else(gone)?.try_send(write) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                return Err(Failure::TooMany(format!(
                    "{WAITING} writes wait for the disk already"
                )));
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Who that is, where it is known.
fn by(process: &Path) -> String {
    let number = fs::read_to_string(process).ok();
    let number = number.and_then(|text| text.trim().parse::<u32>().ok());
    match number {
        Some(own) if own == std::process::id() => ", by this process".to_owned(),
        Some(other) => {
            format!(", by the process {other}: end that one, or use another folder (`--data`)")
        }
        None => ", by another process: end that one, or use another folder (`--data`)".to_owned(),
    }
}

#[async_trait]
impl Store for File {
    fn max_value(&self) -> usize {
        MAX_VALUE
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        Ok(self.shared.read().entries.get(key).cloned())
    }

    async fn put(&self, key: &Key, value: Bytes, before: Expected) -> Result<u64, Failure> {
        if value.len() > MAX_VALUE {
            return Err(too_large(value.len(), MAX_VALUE));
        }
        self.write(key, Some(value), before).await
    }

    async fn delete(&self, key: &Key, before: Expected) -> Result<(), Failure> {
        self.write(key, None, before).await.map(drop)
    }

    async fn watch(&self, prefixes: &[&str]) -> Result<Changes, Failure> {
        let prefixes = prefixes_of(prefixes)?;
        let (told, waiting) = self.shared.begin(&prefixes);
        // The store's end is not the watch's: nothing changes any more.
        let shared = self.shared.clone();
        let watched = Watched { shared, prefixes, told, waiting };
        Ok(stream::unfold(watched, Watched::next).boxed())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.writes = None;
        // What was asked for is written, and then somebody else may open it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that there is, and what happens from then on.
    fn begin(&self, prefixes: &[String]) -> (broadcast::Receiver<Told>, VecDeque<Change>) {
        let held = self.read();
        let told = self.told.subscribe();
        let mut all = VecDeque::from([Change::Anew]);
        for prefix in prefixes {
            all.extend(below(&held.entries, prefix).cloned().map(Change::Put));
        }
        all.push_back(Change::Current);
        (told, all)
    }
}

/// Somebody who watches.
struct Watched {
    shared: Arc<Shared>,
    prefixes: Vec<String>,
    told: broadcast::Receiver<Told>,
    /// What is to be told first.
    waiting: VecDeque<Change>,
}

impl Watched {
    async fn next(mut self) -> Option<(Change, Self)> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Some((change, self));
            }
            match self.told.recv().await {
                Ok(Told::Change(change)) if is_watched(&self.prefixes, &change) => {
                    return Some((change, self));
                }
                Ok(Told::Change(_)) => {}
                Ok(Told::Anew) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    (self.told, self.waiting) = self.shared.begin(&self.prefixes);
                }
                // It holds the sender itself.
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
