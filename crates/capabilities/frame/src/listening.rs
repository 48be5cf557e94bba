//! What a trigger listens to: told by a server that may go away and come back.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use reef_egress::Backoff;
use tokio::time::{Sleep, sleep, timeout};

use crate::Failure;

/// How long an application that begins waits for what it listens to.
const BEGINNING: Duration = Duration::from_secs(2);
/// The longest pause before something is handled again.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Something that can be listened to, and how that is done.
pub trait Origin: Send + Sync {
    /// What is open then.
    type Stream: Send;
    /// What comes from there.
    type Item: Send;
    /// Why nothing comes any more when a stream has ended.
    const ENDED: &'static str;

    /// Opens it, in a time that is bounded.
    fn open(&self) -> BoxFuture<'static, Result<Self::Stream, Failure>>;

    /// The next that comes; an error, or none, when nothing more will. Dropped before it is ready, it has taken
    /// nothing.
    fn next(
        stream: &mut Self::Stream,
    ) -> impl Future<Output = Option<Result<Self::Item, Failure>>> + Send;

    /// Whether to open it again would come to the same.
    fn is_final(failure: &Failure) -> bool;

    /// Where it is kept how it is.
    fn presence(&self) -> &Presence;

    /// Says that something comes from now on, or comes again.
    fn came(&self, again: bool);

    /// Says that nothing comes: what is not new was said before.
    fn went(&self, failure: &Failure, is_new: bool);
}

/// Whether the other side is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether something comes when there is something.
    pub listening: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// Why nothing comes, if that is so.
    pub why: Option<String>,
}

/// How it is with the other side, for those who ask.
#[derive(Debug)]
pub struct Presence(Mutex<State>);

/// An [`Origin`] that is listened to, for ever, or until that is [ended](Self::end).
pub struct Listening<O: Origin> {
    phase: Phase<O::Stream>,
    backoff: Backoff,
    ended: bool,
}

/// What is open, or the way there.
enum Phase<S> {
    Open(S),
    Opening(BoxFuture<'static, Result<S, Failure>>),
    Pausing(Pin<Box<Sleep>>),
    Closed,
}

/// The pause before something is handled again that was handled so often: it doubles, up to [`LONGEST_PAUSE`].
pub fn pause(first: Duration, attempt: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1).min(16));
    // Those that failed together do not come back together.
    first.saturating_mul(doubled).min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64() / 2.0)
}

// === impl Listening ===

impl<O: Origin> Listening<O> {
    /// Begins. What is not there is tried again for as long as [`next`](Self::next) is asked.
    ///
    /// # Errors
    /// When that would come to nothing.
    pub async fn begin(origin: &O) -> Result<Self, Failure> {
        let phase = Phase::Opening(origin.open());
        let mut listening = Self { phase, backoff: Backoff::default(), ended: false };
        if let Ok(Err(failure)) = timeout(BEGINNING, listening.opened(origin)).await
            && O::is_final(&failure)
        {
            return Err(failure);
        }
        Ok(listening)
    }

    /// The next that comes; none when this was [ended](Self::end) and nothing is left. Dropped before it is ready, it
    /// has taken nothing.
    pub async fn next(&mut self, origin: &O) -> Option<O::Item> {
        loop {
            match &mut self.phase {
                Phase::Open(stream) => {
                    let failure = match O::next(stream).await {
                        Some(Ok(item)) => {
                            self.backoff.reset();
                            return Some(item);
                        }
                        Some(Err(failure)) => failure,
                        None if self.ended => return None,
                        None => Failure::lost(O::ENDED),
                    };
                    lost(origin, &failure);
                    self.phase = Phase::Pausing(Box::pin(sleep(self.backoff.pause())));
                }
                _ if self.ended => return None,
                Phase::Opening(_) => {
                    if self.opened(origin).await.is_err() {
                        self.phase = Phase::Pausing(Box::pin(sleep(self.backoff.pause())));
                    }
                }
                Phase::Pausing(pause) => {
                    pause.await;
                    self.phase = Phase::Opening(origin.open());
                }
                Phase::Closed => return None,
            }
        }
    }

    /// Opens nothing any more, and gives what is open, which may have to be told.
    pub fn end(&mut self) -> Option<&mut O::Stream> {
        self.ended = true;
        if !matches!(self.phase, Phase::Open(_)) {
            self.phase = Phase::Closed;
        }
        self.stream()
    }

    /// Ends it at once, with what is open.
    pub fn close(&mut self) {
        (self.phase, self.ended) = (Phase::Closed, true);
    }

    /// Whether it was [ended](Self::end), or [closed](Self::close).
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What is open, if it is.
    pub fn stream(&mut self) -> Option<&mut O::Stream> {
        match &mut self.phase {
            Phase::Open(stream) => Some(stream),
            _ => None,
        }
    }

    /// Waits until what is being opened is open, or is not.
    async fn opened(&mut self, origin: &O) -> Result<(), Failure> {
        let Phase::Opening(opening) = &mut self.phase else { return Ok(()) };
        match opening.await {
            Ok(stream) => {
                self.phase = Phase::Open(stream);
                origin.came(origin.presence().came());
                Ok(())
            }
            Err(failure) => {
                self.phase = Phase::Pausing(Box::pin(sleep(Duration::ZERO)));
                lost(origin, &failure);
                Err(failure)
            }
        }
    }
}

fn lost<O: Origin>(origin: &O, failure: &Failure) {
    let is_new = origin.presence().went(failure.to_string());
    origin.went(failure, is_new);
}

impl<O: Origin> fmt::Debug for Listening<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_open = matches!(self.phase, Phase::Open(_));
        f.debug_struct("Listening")
            .field("is_open", &is_open)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

// === impl Presence ===

impl Presence {
    /// How it is.
    pub fn state(&self) -> State {
        self.locked().clone()
    }

    /// It is there: whether it was known to be gone.
    pub fn came(&self) -> bool {
        let mut state = self.locked();
        (state.listening, state.since) = (true, SystemTime::now());
        state.why.take().is_some()
    }

    /// It is not there: whether that is new.
    pub fn went(&self, why: String) -> bool {
        let mut state = self.locked();
        let is_new = state.listening || state.why.is_none();
        if state.listening {
            (state.listening, state.since) = (false, SystemTime::now());
        }
        state.why = Some(why);
        is_new
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self(Mutex::new(State { listening: false, since: SystemTime::now(), why: None }))
    }
}

#[cfg(test)]
mod tests;
