//! What a trigger uses: messages, from a server that may go away and come back.

mod received;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use reef_bus::Capacity;
use reef_capability::{Failure, Link, Listening, Origin, Presence, State};
use tokio::time::timeout;

pub use self::received::{Outcome, Received};
use crate::{
    Channel, Delivery, Interest, Subscription,
    again::{Again, PutBack},
};

/// How long a server may take to let somebody subscribe.
const SUBSCRIBING: Duration = Duration::from_secs(10);

/// Messages that are delivered over a link, for as long as somebody has this. All clones share them: each message
/// goes to one of them.
#[derive(Clone)]
pub struct Incoming(Arc<Held>);

/// What ends with the last who has it.
struct Held {
    shared: Arc<Shared>,
    flow: tokio::sync::Mutex<Flow>,
}

struct Shared {
    link: Arc<Link<Channel>>,
    interest: Interest,
    presence: Presence,
    put_back: PutBack,
}

/// Where messages come from: the server, and those that are to be handled again.
struct Flow {
    source: Listening<Shared>,
    again: Again,
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
        let shared = Arc::new(Shared { link, interest, presence: Presence::default(), put_back });
        let flow = Flow { source: Listening::begin(&*shared).await?, again };
        Ok(Self(Arc::new(Held { shared, flow: tokio::sync::Mutex::new(flow) })))
    }

    /// The next message; none when this was [ended](Self::end) and nothing is left. Dropped before it is ready, it
    /// has taken nothing.
    pub async fn next(&self) -> Option<Received> {
        let shared = &self.0.shared;
        let mut flow = self.0.flow.lock().await;
        let Flow { source, again } = &mut *flow;
        let ended = source.is_ended();
        // Those that wait here are bounded, as those that wait at the server are none of ours.
        let room = again.len() < shared.interest.capacity.messages.max(1);
        let delivery = tokio::select! {
            biased;
            delivery = again.next(), if !ended => delivery,
            delivery = source.next(shared), if room || ended => delivery?,
        };
        Some(Received::new(delivery, shared.clone()))
    }

    /// Has no more delivered. Those that nobody else would have can still be taken.
    pub async fn end(&self) {
        let mut flow = self.0.flow.lock().await;
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
        if let Some(subscription) = flow.source.end() {
            subscription.end().await;
        }
    }

    /// Lets more or less wait from now on, where that is up to this host.
    pub async fn set_capacity(&self, capacity: Capacity) {
        let mut flow = self.0.flow.lock().await;
        if let Some(subscription) = flow.source.stream() {
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
        self.0.shared.presence.state()
    }

    /// Whether nobody else shares it, but for messages that are being handled.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

// === impl Shared ===

impl Origin for Shared {
    type Stream = Box<dyn Subscription>;
    type Item = Delivery;
    const ENDED: &'static str = "the subscription ended";

    fn open(&self) -> BoxFuture<'static, Result<Self::Stream, Failure>> {
        let (link, interest) = (self.link.clone(), self.interest.clone());
        Box::pin(async move {
            let subscribing = link.backend.backend().subscribe(&interest);
            timeout(SUBSCRIBING, subscribing).await.unwrap_or(Err(Failure::Timeout(SUBSCRIBING)))
        })
    }

    fn next(
        stream: &mut Self::Stream,
    ) -> impl Future<Output = Option<Result<Delivery, Failure>>> + Send {
        stream.next()
    }

    fn is_final(failure: &Failure) -> bool {
        matches!(
            failure,
            Failure::Denied(_)
                | Failure::Invalid(_)
                | Failure::Unsupported(_)
                | Failure::TooMany(_)
        )
    }

    fn presence(&self) -> &Presence {
        &self.presence
    }

    fn came(&self, again: bool) {
        let (workload, link) = (&*self.interest.name, self.link.name());
        let (backend, subject) = (self.link.gate.system(), &*self.interest.subject);
        match again {
            true => tracing::info!(workload, link, backend, subject, "Messages come again."),
            false => {
                tracing::debug!(workload, link, backend, subject, "Messages come from now on.");
            }
        }
    }

    fn went(&self, failure: &Failure, is_new: bool) {
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

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("interest", &self.0.shared.interest)
            .field("link", &self.0.shared.link)
            .finish_non_exhaustive()
    }
}
