//! What a trigger uses: messages, from a server that may go away and come back.

mod received;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use reef_bus::Capacity;
use reef_capability::{Failure, Link};
use reef_egress::Backoff;
use tokio::time::{Sleep, sleep, timeout};

pub use self::received::{Outcome, Received};
use crate::{
    Channel, Delivery, Interest, Subscription,
    again::{Again, PutBack},
};

/// How long a server may take to let somebody subscribe.
const SUBSCRIBING: Duration = Duration::from_secs(10);
/// How long an application that begins waits for that.
const BEGINNING: Duration = Duration::from_secs(2);

/// Messages that are delivered over a link, for as long as somebody has this. All clones share them: each message
/// goes to one of them.
#[derive(Clone)]
pub struct Incoming(Arc<Held>);

/// What ends with the last who has it.
struct Held {
    shared: Arc<Shared>,
    flow: tokio::sync::Mutex<Flow>,
}

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether messages come.
    pub listening: bool,
    /// Since when that is so.
    pub since: SystemTime,
    /// Why none come, or came last.
    pub why: Option<String>,
}

struct Shared {
    link: Arc<Link<Channel>>,
    interest: Interest,
    state: Mutex<State>,
    put_back: PutBack,
}

/// Where messages come from: the server, and those that are to be handled again.
struct Flow {
    source: Source,
    again: Again,
    backoff: Backoff,
    ended: bool,
}

/// A subscription, or the way to one.
enum Source {
    Open(Box<dyn Subscription>),
    Opening(BoxFuture<'static, Result<Box<dyn Subscription>, Failure>>),
    Pausing(Pin<Box<Sleep>>),
    Closed,
}

// === impl Incoming ===

impl Incoming {
    /// Subscribes. A server that is not there is tried again for as long as this is asked for messages.
    ///
    /// # Errors
    /// When that would come to nothing: the backend cannot do it, or the link is not allowed to.
    pub async fn open(link: Arc<Link<Channel>>, interest: Interest) -> Result<Self, Failure> {
        let syntax = link.backend.backend().syntax();
        syntax.check(&interest.subject).map_err(Failure::Invalid)?;
        let again = Again::new();
        let put_back = again.put_back();
        let source = Source::opening(&link, &interest);
        let mut flow = Flow { source, again, backoff: Backoff::default(), ended: false };
        let state = State { listening: false, since: SystemTime::now(), why: None };
        let shared = Arc::new(Shared { link, interest, state: Mutex::new(state), put_back });
        if let Ok(Err(failure)) = timeout(BEGINNING, flow.source.opened(&shared)).await
            && is_final(&failure)
        {
            return Err(failure);
        }
        Ok(Self(Arc::new(Held { shared, flow: tokio::sync::Mutex::new(flow) })))
    }

    /// The next message; none when this was [ended](Self::end) and nothing is left. Dropped before it is ready, it
    /// has taken nothing.
    pub async fn next(&self) -> Option<Received> {
        let shared = &self.0.shared;
        let mut flow = self.0.flow.lock().await;
        let Flow { source, again, backoff, ended } = &mut *flow;
        // Those that wait here are bounded, as those that wait at the server are none of ours.
        let room = again.len() < shared.interest.capacity.messages.max(1);
        let delivery = tokio::select! {
            biased;
            delivery = again.next(), if !*ended => delivery,
            delivery = source.next(shared, backoff, *ended), if room || *ended => delivery?,
        };
        Some(Received::new(delivery, shared.clone()))
    }

    /// Has no more delivered. Those that nobody else would have can still be taken.
    pub async fn end(&self) {
        let mut flow = self.0.flow.lock().await;
        flow.ended = true;
        let given_up = flow.again.give_up();
        let Shared { link, interest, .. } = &*self.0.shared;
        if given_up > 0 && !link.backend.backend().keeps() {
            let (workload, subject) = (&*interest.name, &*interest.subject);
            tracing::warn!(
                workload,
                subject,
                waiting = given_up,
                "Messages that were to be handled again were given up."
            );
        }
        match &mut flow.source {
            Source::Open(subscription) => subscription.end().await,
            source => *source = Source::Closed,
        }
    }

    /// Lets more or less wait from now on, where that is up to this host.
    pub async fn set_capacity(&self, capacity: Capacity) {
        let mut flow = self.0.flow.lock().await;
        if let Source::Open(subscription) = &mut flow.source {
            subscription.set_capacity(capacity);
        }
    }

    /// What was subscribed to.
    pub fn interest(&self) -> &Interest {
        &self.0.shared.interest
    }

    /// Over which link.
    pub fn link(&self) -> &Arc<Link<Channel>> {
        &self.0.shared.link
    }

    /// How the connection is.
    pub fn state(&self) -> State {
        self.0.shared.state().clone()
    }

    /// Whether nobody else shares it, but for messages that are being handled.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

// === impl Source ===

impl Source {
    fn opening(link: &Arc<Link<Channel>>, interest: &Interest) -> Self {
        let (link, interest) = (link.clone(), interest.clone());
        Self::Opening(Box::pin(async move {
            let subscribing = link.backend.backend().subscribe(&interest);
            timeout(SUBSCRIBING, subscribing).await.unwrap_or(Err(Failure::Timeout(SUBSCRIBING)))
        }))
    }

    /// Waits until what is being opened is open, or is not.
    async fn opened(&mut self, shared: &Shared) -> Result<(), Failure> {
        let Self::Opening(opening) = self else { return Ok(()) };
        match opening.await {
            Ok(subscription) => {
                *self = Self::Open(subscription);
                shared.listening();
                Ok(())
            }
            Err(failure) => {
                *self = Self::Pausing(Box::pin(sleep(Duration::ZERO)));
                shared.lost(&failure);
                Err(failure)
            }
        }
    }

    async fn next(
        &mut self,
        shared: &Shared,
        backoff: &mut Backoff,
        ended: bool,
    ) -> Option<Delivery> {
        loop {
            match self {
                Self::Open(subscription) => {
                    let failure = match subscription.next().await {
                        Some(Ok(delivery)) => {
                            backoff.reset();
                            return Some(delivery);
                        }
                        Some(Err(failure)) => failure,
                        None if ended => return None,
                        None => Failure::lost("the subscription ended"),
                    };
                    shared.lost(&failure);
                    *self = Self::Pausing(Box::pin(sleep(backoff.pause())));
                }
                _ if ended => return None,
                Self::Opening(_) => {
                    if self.opened(shared).await.is_err() {
                        *self = Self::Pausing(Box::pin(sleep(backoff.pause())));
                    }
                }
                Self::Pausing(pause) => {
                    pause.await;
                    *self = Self::opening(&shared.link, &shared.interest);
                }
                Self::Closed => return None,
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listening(&self) {
        let mut state = self.state();
        let before = state.why.take();
        (state.listening, state.since) = (true, SystemTime::now());
        drop(state);
        let (workload, link) = (&*self.interest.name, self.link.name());
        let (backend, subject) = (self.link.gate.system(), &*self.interest.subject);
        match before {
            Some(_) => tracing::info!(workload, link, backend, subject, "Messages come again."),
            None => tracing::debug!(workload, link, backend, subject, "Messages come from now on."),
        }
    }

    /// Said once, until there are messages again.
    fn lost(&self, failure: &Failure) {
        let mut state = self.state();
        let is_new = state.listening || state.why.is_none();
        if state.listening {
            (state.listening, state.since) = (false, SystemTime::now());
        }
        state.why = Some(failure.to_string());
        drop(state);
        let (workload, link) = (&*self.interest.name, self.link.name());
        let (backend, subject) = (self.link.gate.system(), &*self.interest.subject);
        if is_new {
            tracing::warn!(
                workload,
                link,
                backend,
                subject,
                "No messages come: {failure}. It is tried again until they do."
            );
        } else {
            tracing::debug!(workload, link, backend, subject, "No messages come: {failure}.");
        }
    }
}

/// Whether to try again would come to the same.
fn is_final(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Denied(_) | Failure::Invalid(_) | Failure::Unsupported(_) | Failure::TooMany(_)
    )
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("interest", &self.0.shared.interest)
            .field("link", &self.0.shared.link)
            .finish_non_exhaustive()
    }
}
