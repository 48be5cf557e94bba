//! Values that are kept while their store cannot be reached: for links with `offline = "queue"`, whatever the backend, if
//! only that says when a value was written.
//!
//! What cannot be done now is acknowledged once it is in the link's journal. It is done in its order when the store is
//! there again, and what comes meanwhile waits behind it. Each write has a [`Stamp`], from its first try on, which stays
//! beside the value: so it is known what was written later than what, also by two hosts that were both cut off, and
//! whether a write whose answer was lost was done.
//!
//! Reads see what waits first. What has to look at the store to be decided fails for as long as that cannot be.

mod operation;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{future::FutureExt as _, stream::BoxStream};
use reef_capability::Failure;
use reef_journal::{Entry as Waiting, Journal, Sending};
use tokio::{runtime::Handle, time::timeout};

use self::operation::{Local, Operation, What, about, local, named};
use crate::{Dated, Entry, KeyValue, Page, SetOptions, Stamp, Told, Version, sum};

/// How long something may take that nothing waits before: less than the link's own timeout, as it is kept then.
const DIRECT: Duration = Duration::from_secs(1);
/// Tries of a write that others come before.
const TRIES: usize = 64;

/// Which of two values is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// The one that was written later, by the clocks of who wrote them.
    #[default]
    LastWriter,
    /// The one that somebody else wrote since this host was cut off, if somebody did.
    FirstWriter,
}

/// A backend, and what waits for it.
#[derive(Debug)]
pub struct Offline {
    store: Arc<Store>,
    journal: Arc<Journal>,
    /// Since when it waits, where something does.
    since: AtomicU64,
    _sending: Sending,
}

/// What does it in the end.
#[derive(Debug)]
struct Store {
    backend: Arc<dyn KeyValue>,
    merge: Merge,
}

impl Offline {
    /// One that does what waits already.
    ///
    /// # Errors
    /// `Unsupported` when the backend does not say when something was written.
    pub fn new(
        backend: Arc<dyn KeyValue>,
        merge: Merge,
        journal: Arc<Journal>,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        if !backend.is_dated() {
            return Err(crate::undated());
        }
        let store = Arc::new(Store { backend, merge });
        let to = store.clone();
        let send = Box::new(move |entry: Waiting| {
            let to = to.clone();
            async move {
                let nonsense = || Failure::Invalid("what was kept makes no sense".to_owned());
                let operation = Operation::read(&entry.record).ok_or_else(nonsense)?;
                match to.apply(&operation, false).await {
                    // No waiting helps.
                    Err(Failure::Unsupported(why)) => Err(Failure::Invalid(why)),
                    done => done.map(drop),
                }
            }
            .boxed()
        });
        // Those that a process before has given are not given again, whatever the clock says.
        let before = journal.last().and_then(|entry| Operation::read(&entry.record));
        let (last, since) = before.map_or((0, 0), |one| (one.stamp.at, one.since));
        journal.tick(last);
        let _sending = Sending::start(journal.clone(), runtime, send);
        Ok(Self { store, journal, since: since.into(), _sending })
    }

    /// Does it, or keeps it; a sum, if that is known.
    async fn put(&self, bucket: &str, key: &str, what: What) -> Result<Option<i64>, Failure> {
        let stamp = Stamp { at: self.journal.tick(now()), by: self.journal.id() };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let mut operation = Operation { bucket, key, what, stamp, since: stamp.at };
        if self.journal.is_empty() {
            let done = timeout(DIRECT, self.store.apply(&operation, true)).await;
            match done.unwrap_or(Err(Failure::Timeout(DIRECT))) {
                Err(failure) if may_pass(&failure) => {
                    let file = self.journal.path().display();
                    tracing::debug!(%file, key = operation.key, %failure, "It is kept.");
                    // Others may have begun to wait meanwhile.
                    if self.journal.is_empty() {
                        self.since.store(stamp.at, Ordering::Relaxed);
                    }
                }
                done => return done,
            }
        }
        operation.since = self.since.load(Ordering::Relaxed).min(stamp.at);
        let about = about(&operation.bucket, &operation.key);
        self.journal.push(about, operation.written()).await?;
        Ok(None)
    }

    fn waiting(&self, bucket: &str, key: &str) -> Vec<Waiting> {
        if self.journal.is_empty() {
            return Vec::new();
        }
        self.journal.about(&about(bucket, key))
    }

    /// What waits says of a key.
    fn local(&self, bucket: &str, key: &str) -> Result<Option<Local>, Failure> {
        of(&self.waiting(bucket, key))
    }

    /// Refuses what needs to know how a key is in the store, while something waits for it.
    fn settled(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        match self.waiting(bucket, key).len() {
            0 => Ok(()),
            many => Err(Failure::unreachable(format!("{many} changes of the key wait to be made"))),
        }
    }
}

fn of(waiting: &[Waiting]) -> Result<Option<Local>, Failure> {
    local(waiting.iter().filter_map(|entry| Operation::read(&entry.record)), now())
}

/// Whether it may well be done later.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Unavailable { .. } | Failure::Timeout(_) | Failure::Broken { .. })
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Store {
    /// Does what was asked for, unless that was done or something else is to stay; a sum, if it is one. `direct`: nobody
    /// waited for it, so it is the last.
    async fn apply(&self, operation: &Operation, direct: bool) -> Result<Option<i64>, Failure> {
        let Operation { bucket, key, what, stamp, .. } = operation;
        let write = |value, expires| Dated {
            value,
            expires,
            version: Version(Bytes::new()),
            stamp: *stamp,
        };
        if direct && !matches!(what, What::Add(_)) {
            let (value, expires) = operation.value();
            self.backend.set_dated(bucket, key, write(value, expires), None).await?;
            return Ok(None);
        }
        for _ in 0..TRIES {
            let there = self.backend.dated(bucket, key).await?;
            let value = there.as_ref().and_then(|there| there.value.as_deref());
            let (next, added) = match what {
                What::Add(delta) => {
                    if there.as_ref().is_some_and(|there| there.stamp == *stamp) {
                        return Ok(Some(crate::number(value.unwrap_or_default())?));
                    }
                    let sum = sum(value, *delta)?;
                    let expires = there.as_ref().and_then(|there| there.expires);
                    (write(Some(sum.to_string().into()), expires), Some(sum))
                }
                What::Set(..) | What::Delete => {
                    if there.as_ref().is_some_and(|there| self.stays(there.stamp, operation)) {
                        return Ok(None);
                    }
                    let (value, expires) = operation.value();
                    (write(value, expires), None)
                }
            };
            let version = there.as_ref().map(|there| &there.version);
            if self.backend.set_dated(bucket, key, next, Some(version)).await? {
                return Ok(added);
            }
            // Those that came together do not come together again.
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..2000))).await;
        }
        Err(Failure::unreachable(format!("others changed the key before {TRIES} times in a row")))
    }

    /// Whether what is there stays.
    fn stays(&self, there: Stamp, operation: &Operation) -> bool {
        match self.merge {
            Merge::LastWriter => there >= operation.stamp,
            Merge::FirstWriter => match there.by == operation.stamp.by {
                true => there >= operation.stamp,
                false => there.at > operation.since,
            },
        }
    }
}

impl Operation {
    /// What the key has then, and for how long.
    fn value(&self) -> (Option<Bytes>, Option<Duration>) {
        match (&self.what, self.left(now())) {
            (What::Set(value, _), Some(left)) => (Some(value.clone()), left),
            _ => (None, None),
        }
    }
}

#[async_trait]
impl KeyValue for Offline {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        for _ in 0..TRIES {
            let waiting = self.waiting(bucket, key);
            match of(&waiting)? {
                None => return self.store.backend.get(bucket, key).await,
                Some(Local::Value(value)) => return Ok(value),
                Some(Local::Sum(delta)) => {
                    let base = self.store.backend.get(bucket, key).await?;
                    // What was added meanwhile is in it.
                    if self.waiting(bucket, key) == waiting {
                        return Ok(Some(sum(base.as_deref(), delta)?.to_string().into()));
                    }
                }
            }
        }
        Err(Failure::Conflict("the key changes all the time".to_owned()))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        self.settled(bucket, key)?;
        self.store.backend.entry(bucket, key).await
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        if options.if_absent {
            self.settled(bucket, key)?;
            return self.store.backend.set_with(bucket, key, value, options).await;
        }
        self.put(bucket, key, What::Set(value, options.expires)).await?;
        Ok(true)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        self.put(bucket, key, What::Delete).await.map(drop)
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        self.settled(bucket, key)?;
        self.store.backend.swap(bucket, key, expected, value).await
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        // What is known to be no number is none later, too.
        if let Some(Local::Value(value)) = self.local(bucket, key)? {
            sum(value.as_deref(), delta)?;
        }
        if let Some(sum) = self.put(bucket, key, What::Add(delta)).await? {
            return Ok(sum);
        }
        match self.local(bucket, key)? {
            Some(Local::Sum(sum)) => Ok(sum),
            Some(Local::Value(value)) => sum(value.as_deref(), 0),
            // It was done meanwhile.
            None => {
                let value = self.store.backend.get(bucket, key).await?;
                sum(value.as_deref(), 0)
            }
        }
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let first = from.is_none();
        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (of, key) in self.journal.keys().iter().filter_map(|about| named(about)) {
            if of != bucket || !key.starts_with(prefix) {
                continue;
            }
            match self.local(bucket, &key)? {
                Some(Local::Value(None)) => gone.push(key),
                Some(_) => set.push(key),
                None => {}
            }
        }
        let mut page = self.store.backend.keys(bucket, prefix, from, most).await?;
        // What was set here and waits is on the first page.
        page.keys.retain(|key| !gone.contains(key) && !set.contains(key));
        if first {
            page.keys.extend(set);
        }
        Ok(page)
    }

    fn is_dated(&self) -> bool {
        // What waits has no place in the order of another one that waits.
        false
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        self.store.backend.watch(bucket).await
    }
}

#[cfg(test)]
mod tests;
