//! Journals, and what is known of them without a look at the disk.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use reef_capability::{Failure, Setting};
use reef_grants::ByteSize;
use tokio::sync::{oneshot, watch};

use crate::file::{File, Held, Write};

/// The setting that bounds a link's journal.
pub const OFFLINE_CAPACITY: Setting =
    Setting::new("offline-capacity", "how much may wait while the host is cut off: `16MiB`");

/// Writes that may wait for the disk.
const WRITES: usize = 1024;
/// What an entry costs beside its bytes.
const OVERHEAD: usize = 64;

/// Journals that are open, by their files.
#[derive(Debug, Default)]
pub struct Journals(Mutex<HashMap<PathBuf, Weak<Journal>>>);

/// Entries in the order in which they came, on the disk.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    /// None while it ends.
    writes: Option<mpsc::SyncSender<Write>>,
    thread: Option<JoinHandle<()>>,
    /// Whose turn it is to send: one sends at a time, whatever there are.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one: each is larger than all before.
    pub number: u64,
    /// What it is about.
    pub key: Bytes,
    /// What it says.
    pub record: Bytes,
}

/// What senders look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    /// Entries that wait.
    pub(crate) waiting: usize,
    /// Links that use it.
    pub(crate) users: usize,
}

#[derive(Debug)]
pub(crate) struct Shared {
    path: PathBuf,
    id: u64,
    capacity: AtomicU64,
    /// The last time that was given.
    last: AtomicU64,
    state: Mutex<State>,
    now: watch::Sender<Now>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<u64, Entry>,
    by_key: HashMap<Bytes, VecDeque<u64>>,
    /// Of all that waits, is about to, or was put aside.
    bytes: usize,
    aside: usize,
    next: u64,
}

impl Journals {
    /// The journal in a file, which is made if it is not there, of at most so many bytes.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub fn open(&self, path: &Path, capacity: u64) -> Result<Arc<Journal>, Failure> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, journal| journal.strong_count() > 0);
        if let Some(journal) = all.get(path).and_then(Weak::upgrade) {
            journal.shared.capacity.store(capacity, Ordering::Relaxed);
            return Ok(journal);
        }
        let journal = Arc::new(Journal::open(path, capacity)?);
        all.insert(path.to_owned(), Arc::downgrade(&journal));
        Ok(journal)
    }
}

impl Journal {
    fn open(path: &Path, capacity: u64) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::Backend(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // The library panics at some damage.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let file = File::open(path)?;
            file.read().map(|held| (file, held))
        }));
        let (file, held) = opened.unwrap_or_else(|_| {
            Err(Failure::Backend(format!(
                "{}: the file is damaged; move it away to go on without what waits in it",
                path.display()
            )))
        })?;
        let Held { waiting, aside, next, id } = held;
        let mut state = State { bytes: aside.1, aside: aside.0, next, ..State::default() };
        for entry in waiting {
            state.bytes += cost(&entry.key, &entry.record);
            state.put(entry);
        }
        let (now, _) = watch::channel(Now { waiting: state.waiting.len(), users: 0 });
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            id,
            capacity: capacity.into(),
            last: 0.into(),
            state: Mutex::new(state),
            now,
        });
        let (writes, receiver) = mpsc::sync_channel(WRITES);
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || file.run(&of_thread, &receiver)).map_err(failed)?;
        let turn = tokio::sync::Mutex::default();
        Ok(Self { shared, writes: Some(writes), thread: Some(thread), turn })
    }

    /// Keeps an entry behind all others: it is on the disk then. Which one it is.
    ///
    /// # Errors
    /// `Full` when it would be more than may wait, or the disk is full.
    pub async fn push(&self, key: Bytes, record: Bytes) -> Result<u64, Failure> {
        let cost = cost(&key, &record);
        self.shared.reserve(cost)?;
        let (reply, answer) = oneshot::channel();
        // Later it is for who writes to give back what was reserved: whoever asked may have gone.
        self.write(Write::Push(key, record, reply))
            .inspect_err(|_| self.shared.lock().bytes -= cost)?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Whether nothing waits: what comes now overtakes nothing.
    pub fn is_empty(&self) -> bool {
        self.shared.now.borrow().waiting == 0
    }

    /// What waits, in number.
    pub fn len(&self) -> usize {
        self.shared.now.borrow().waiting
    }

    /// What was put aside, in number.
    pub fn aside(&self) -> usize {
        self.shared.lock().aside
    }

    /// What waits about something, in order.
    pub fn about(&self, key: &[u8]) -> Vec<Entry> {
        let state = self.shared.lock();
        let numbers = state.by_key.get(key).into_iter().flatten();
        numbers.filter_map(|number| state.waiting.get(number)).cloned().collect()
    }

    /// All that something waits about.
    pub fn keys(&self) -> Vec<Bytes> {
        self.shared.lock().by_key.keys().cloned().collect()
    }

    /// The one that waits for longest.
    pub fn first(&self) -> Option<Entry> {
        self.shared.lock().waiting.first_key_value().map(|(_, entry)| entry.clone())
    }

    /// Forgets an entry: it was sent.
    ///
    /// # Errors
    /// When the disk fails. It may be sent once more then.
    pub async fn done(&self, number: u64) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.write(Write::Done(number, reply))?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Keeps an entry beside those that wait, as it can never be sent, and why.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn put_aside(&self, number: u64, why: String) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.write(Write::Aside(number, why, reply))?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Which one it is of all that there are, for as long as its file is there.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The one that came last of those that wait.
    pub fn last(&self) -> Option<Entry> {
        self.shared.lock().waiting.last_key_value().map(|(_, entry)| entry.clone())
    }

    /// A time that was not given before, and is no less than this one.
    pub fn tick(&self, now: u64) -> u64 {
        let next = |last: u64| now.max(last.saturating_add(1));
        let before = self
            .shared
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        before.map_or(now, next)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(crate) fn now(&self) -> watch::Receiver<Now> {
        self.shared.now.subscribe()
    }

    pub(crate) fn used(&self, by: isize) {
        self.shared.now.send_modify(|now| now.users = now.users.saturating_add_signed(by));
    }

    fn write(&self, write: Write) -> Result<(), Failure> {
        let writes = self.writes.as_ref().ok_or_else(ended)?;
        writes.try_send(write).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => {
                Failure::TooMany(format!("{WRITES} writes wait for the disk already"))
            }
            mpsc::TrySendError::Disconnected(_) => ended(),
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.writes = None;
        // What was asked for is written, and then somebody else may open it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, cost: usize) -> Result<(), Failure> {
        let mut state = self.lock();
        let (most, bytes) = (self.capacity.load(Ordering::Relaxed), state.bytes + cost);
        if bytes as u64 > most {
            let (name, most) = (OFFLINE_CAPACITY.name, ByteSize(most));
            return Err(Failure::Full(format!(
                "the host is cut off, and {} entries wait already: `{name}` is {most}",
                state.waiting.len()
            )));
        }
        state.bytes = bytes;
        Ok(())
    }

    /// The number that the next entry has.
    pub(crate) fn next(&self) -> u64 {
        self.lock().next
    }

    /// It is on the disk.
    pub(crate) fn done(&self, mut number: u64, writes: Vec<Write>) {
        let mut replies: Vec<Box<dyn FnOnce()>> = Vec::with_capacity(writes.len());
        let mut state = self.lock();
        for write in writes {
            match write {
                Write::Push(key, record, reply) => {
                    state.put(Entry { number, key, record });
                    let own = number;
                    // Whoever asked may have gone.
                    replies.push(Box::new(move || drop(reply.send(Ok(own)))));
                    number += 1;
                }
                Write::Done(number, reply) => {
                    if let Some(entry) = state.take(number) {
                        state.bytes -= cost(&entry.key, &entry.record);
                    }
                    replies.push(Box::new(move || drop(reply.send(Ok(())))));
                }
                Write::Aside(number, _, reply) => {
                    if let Some(entry) = state.take(number) {
                        state.bytes -= cost(&entry.key, &entry.record) - entry.record.len();
                        state.aside += 1;
                    }
                    replies.push(Box::new(move || drop(reply.send(Ok(())))));
                }
            }
        }
        state.next = number;
        let waiting = state.waiting.len();
        drop(state);
        // Known before it is acknowledged: what is sent next stays behind it.
        self.now.send_modify(|now| now.waiting = waiting);
        replies.into_iter().for_each(|reply| reply());
    }

    pub(crate) fn failed(&self, failure: &Failure, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Push(key, record, reply) => {
                    self.lock().bytes -= cost(&key, &record);
                    drop(reply.send(Err(failure.clone())));
                }
                Write::Done(_, reply) | Write::Aside(_, _, reply) => {
                    drop(reply.send(Err(failure.clone())));
                }
            }
        }
    }
}

impl State {
    fn put(&mut self, entry: Entry) {
        self.by_key.entry(entry.key.clone()).or_default().push_back(entry.number);
        self.waiting.insert(entry.number, entry);
    }

    fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.waiting.remove(&number)?;
        if let Some(numbers) = self.by_key.get_mut(&entry.key) {
            numbers.retain(|one| *one != number);
            if numbers.is_empty() {
                self.by_key.remove(&entry.key);
            }
        }
        Some(entry)
    }
}

fn cost(key: &[u8], record: &[u8]) -> usize {
    key.len() + record.len() + OVERHEAD
}

fn ended() -> Failure {
    Failure::unreachable("the host is ending")
}

#[cfg(test)]
mod tests;
