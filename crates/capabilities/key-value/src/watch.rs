//! What a trigger uses: what happens in a bucket, told by a store that may go away and come back.

mod lanes;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use reef_capability::{Caller, Failure, Listening, Origin, Presence, State, pause};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::lanes::Lanes;
use crate::{Bucket, Change, Told};

/// How often at most it is said that changes are missed.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// What is wanted of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What its keys begin with.
    pub prefix: String,
    /// The only key, if it is one.
    pub key: Option<String>,
    /// What has to have happened, if not just anything.
    pub only: Option<Happening>,
    /// Changes that may wait here. What comes then waits at the backend, which has its own limits.
    pub waiting: usize,
    /// How often a change is handled at most.
    pub max_deliver: u32,
    /// The first pause before one is handled again; it doubles.
    pub backoff: Duration,
}

/// What can happen to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It has a value now.
    Set,
    /// It has none any more.
    Delete,
}

/// What happens in a bucket, for as long as somebody has this. All clones share it: each change goes to one of them,
/// those of one key one after the other.
#[derive(Clone)]
pub struct Watching(Arc<Held>);

/// What ends with the last who has it.
struct Held {
    shared: Arc<Shared>,
    source: tokio::sync::Mutex<Listening<Shared>>,
}

struct Shared {
    bucket: Mutex<Bucket>,
    wish: Mutex<Wish>,
    lanes: Mutex<Lanes>,
    /// A lane has moved on.
    stirred: Notify,
    presence: Presence,
    missed: AtomicU64,
    /// Nothing is handled a second time any more.
    ended: AtomicBool,
    said: Mutex<Option<Instant>>,
}

/// A change that is to be handled. When it is dropped without a word, it is as if it had not been taken.
pub struct Noted {
    change: Change,
    attempt: u32,
    shared: Arc<Shared>,
    open: bool,
}

/// How the handling of a change went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Handled,
    /// Not well; another time it may go better.
    Failed(String),
    /// Not to its end, and nobody is to blame for that.
    Abandoned,
}

// === impl Wish ===

impl Wish {
    /// Whether it is of the same changes, however they are handled.
    pub fn like(&self, other: &Self) -> bool {
        self.prefix == other.prefix && self.key == other.key && self.only == other.only
    }

    fn wants(&self, change: &Change) -> bool {
        let happened = if change.value.is_some() { Happening::Set } else { Happening::Delete };
        self.key.as_ref().is_none_or(|key| *key == change.key)
            && self.only.is_none_or(|only| only == happened)
            && change.key.starts_with(&self.prefix)
    }
}

// === impl Watching ===

impl Watching {
    /// Watches. A store that is not there is tried again for as long as this is asked for changes.
    ///
    /// # Errors
    /// When that would come to nothing: the backend cannot do it, or the link is not allowed to.
    pub async fn open(bucket: Bucket, wish: Wish) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            bucket: Mutex::new(bucket),
            wish: Mutex::new(wish),
            lanes: Mutex::default(),
            stirred: Notify::new(),
            presence: Presence::default(),
            missed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            said: Mutex::default(),
        });
        let source = tokio::sync::Mutex::new(Listening::begin(&*shared).await?);
        Ok(Self(Arc::new(Held { shared, source })))
    }

    /// The next change; none when this was [ended](Self::end) and nothing is left. Dropped before it is ready, it has
    /// taken nothing.
    pub async fn next(&self) -> Option<Noted> {
        let shared = &self.0.shared;
        let mut source = self.0.source.lock().await;
        let ended = source.is_ended();
        loop {
            let mut stirred = std::pin::pin!(shared.stirred.notified());
            // From here on it is told, though it is not waiting yet.
            stirred.as_mut().enable();
            let (due, room) = {
                let mut lanes = shared.lanes();
                if let Some((change, attempt)) = lanes.take(Instant::now()) {
                    let shared = shared.clone();
                    return Some(Noted { change, attempt, shared, open: true });
                }
                if ended && !lanes.has_waiting() {
                    return None;
                }
                (lanes.due(), lanes.has_room(shared.wish().waiting.max(1)))
            };
            let due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stirred => {}
                () = due => {}
                told = source.next(shared), if room && !ended => {
                    if let Some(told) = told {
                        shared.told(told);
                    }
                }
            }
        }
    }

    /// Has no more told. What waits can still be taken, but for what was to be handled again.
    pub async fn end(&self) {
        let shared = &self.0.shared;
        self.0.source.lock().await.close();
        shared.ended.store(true, Ordering::Release);
        let given_up = shared.lanes().give_up();
        if given_up > 0 {
            let bucket = shared.bucket();
            let (workload, store) = (&**bucket.gate().workload(), &**bucket.name());
            tracing::warn!(
                workload,
                store,
                waiting = given_up,
                "Changes that were to be handled again were given up."
            );
        }
    }

    /// Wants something else from now on, on behalf of another workload.
    pub fn set(&self, bucket: Bucket, wish: Wish) {
        *self.0.shared.bucket.lock().unwrap_or_else(PoisonError::into_inner) = bucket;
        *self.0.shared.wish() = wish;
        self.0.shared.stirred.notify_one();
    }

    /// How the watch is.
    pub fn state(&self) -> State {
        self.0.shared.presence.state()
    }

    /// How many changes came faster than they were handled, and were missed.
    pub fn missed(&self) -> u64 {
        self.0.shared.missed.load(Ordering::Relaxed)
    }

    /// How many wait or are handled.
    pub fn waiting(&self) -> usize {
        self.0.shared.lanes().len()
    }

    /// Whether nobody else shares it, but for changes that are being handled.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

// === impl Shared ===

impl Shared {
    fn bucket(&self) -> Bucket {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, told: Told) {
        match told {
            Told::Changed(change) => {
                let wanted = self.wish().wants(&change);
                if wanted {
                    self.lanes().push(change);
                }
            }
            Told::Missed(count) => {
                let bucket = self.bucket();
                bucket.gate().usage().miss(count);
                let missed = self.missed.fetch_add(count, Ordering::Relaxed).saturating_add(count);
                let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
                    return;
                }
                *said = Some(Instant::now());
                let (workload, store) = (&**bucket.gate().workload(), &**bucket.name());
                let link = &**bucket.gate().link();
                tracing::warn!(
                    workload,
                    link,
                    store,
                    missed,
                    "Changes come faster than they are handled, and some are missed; raise \
                     limits.requests or limits.queue."
                );
            }
        }
    }
}

impl Origin for Shared {
    type Stream = BoxStream<'static, Told>;
    type Item = Told;
    const ENDED: &'static str = "the store tells no more";

    fn open(&self) -> BoxFuture<'static, Result<Self::Stream, Failure>> {
        let bucket = self.bucket();
        Box::pin(async move { bucket.watch(&Caller::default()).await })
    }

    async fn next(stream: &mut Self::Stream) -> Option<Result<Told, Failure>> {
        stream.next().await.map(Ok)
    }

    fn is_final(failure: &Failure) -> bool {
        matches!(
            failure,
            Failure::Denied(_)
                | Failure::Invalid(_)
                | Failure::Unsupported(_)
                | Failure::TooLarge { .. }
                | Failure::NotFound { .. }
        )
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn came(&self, again: bool) {
        let bucket = self.bucket();
        let (workload, store) = (&**bucket.gate().workload(), &**bucket.name());
        let (link, backend) = (&**bucket.gate().link(), bucket.gate().system());
        match again {
            true => tracing::warn!(
                workload,
                link,
                backend,
                store,
                "Changes are told again; those of the meantime are missed."
            ),
            false => {
                tracing::debug!(workload, link, backend, store, "Changes are told from now on.");
            }
        }
    }

    fn went(&self, failure: &Failure, is_new: bool) {
        let bucket = self.bucket();
        let (workload, store) = (&**bucket.gate().workload(), &**bucket.name());
        let (link, backend) = (&**bucket.gate().link(), bucket.gate().system());
        if is_new {
            tracing::warn!(
                workload,
                link,
                backend,
                store,
                "No changes are told: {failure}. It is tried again until they are."
            );
        } else {
            tracing::debug!(workload, link, backend, store, "No changes are told: {failure}.");
        }
    }
}

// === impl Noted ===

impl Noted {
    /// The change.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Which time it is handled: from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Has it handled, and sees to what follows from how that went.
    pub async fn handled_by(mut self, handling: impl Future<Output = Outcome>) {
        let why = match handling.await {
            Outcome::Abandoned => return,
            Outcome::Handled => return self.close(None),
            Outcome::Failed(why) => why,
        };
        let Wish { max_deliver, backoff, .. } = *self.shared.wish();
        if self.attempt < max_deliver && !self.shared.ended.load(Ordering::Acquire) {
            let at = Instant::now() + pause(backoff, self.attempt);
            return self.close(Some(at));
        }
        let bucket = self.shared.bucket();
        let (workload, store) = (&**bucket.gate().workload(), &**bucket.name());
        let key: String = self.change.key.chars().take(200).collect();
        tracing::warn!(
            workload,
            store,
            key,
            deliveries = self.attempt,
            "A change is dropped, as it could not be handled: {why}."
        );
        self.close(None);
    }

    /// It is over, or there is another time.
    fn close(&mut self, again: Option<Instant>) {
        self.open = false;
        let key = &self.change.key;
        match again {
            None => self.shared.lanes().done(key),
            Some(at) => self.shared.lanes().again(key, at),
        }
        self.shared.stirred.notify_one();
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.open {
            let key = &self.change.key;
            match self.shared.ended.load(Ordering::Acquire) {
                true => self.shared.lanes().done(key),
                false => self.shared.lanes().back(key),
            }
            self.shared.stirred.notify_one();
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.0.shared;
        f.debug_struct("Watching").field("bucket", &shared.bucket()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noted")
            .field("key", &self.change.key)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
