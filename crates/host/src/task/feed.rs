//! Messages of other servers: of a Redis channel, of an MQTT topic.
//!
//! A [`Feed`] listens from when it is opened until nobody has it any more; the task of the next revision
//! takes it over, with what waits in it. What comes while its queue is full is dropped and counted: the
//! newest, as those that wait were there first. A broker of MQTT that is to deliver at least once sends
//! only so many ahead of what was handled, and waits then: these are all taken, as far as their bytes allow.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use reef_bus::Capacity;
use reef_capability::Presence;
use reef_http::Workers;
use tokio::task::AbortHandle;

use super::{
    Run, TaskStatus,
    handler::{Delivery, Handler, Sort, handle},
    inbox::{Inbox, Item},
    taking::{self, Supply},
};

/// How often at most it is said that messages are dropped.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Where messages come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Redis { server: reef_redis::Server, channel: String },
    Mqtt { broker: reef_mqtt::Broker, topic: reef_mqtt::Topic, qos: reef_mqtt::QoS },
}

/// A source that is listened to. All clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Listening>);

#[derive(Debug)]
struct Listening {
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What the one that listens and those that ask know of each other.
#[derive(Debug)]
struct Shared {
    workload: Arc<str>,
    source: Source,
    inbox: Inbox,
    presence: Presence,
    /// When it was last said that messages are dropped.
    said: Mutex<Option<Instant>>,
}

// === impl Source ===

impl Source {
    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::Redis { .. } => Sort::Redis,
            Self::Mqtt { .. } => Sort::Mqtt,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis { server, channel } => write!(f, "redis {channel} at {server}"),
            Self::Mqtt { broker, topic, .. } => write!(f, "mqtt {topic} at {broker}"),
        }
    }
}

// === impl Shared ===

impl Shared {
    async fn listen(&self) -> Infallible {
        match &self.source {
            Source::Redis { server, channel } => {
                reef_redis::listen(server, channel, |event| match event {
                    reef_redis::Event::Listening => self.listening(),
                    reef_redis::Event::Lost { why, pause } => self.lost(why.to_string(), pause),
                    reef_redis::Event::Message(body) => {
                        let subject = channel.clone();
                        let delivery =
                            Delivery { subject, body, headers: Vec::new(), answers: None };
                        self.push(Item { delivery, ack: None });
                    }
                })
                .await
            }
            Source::Mqtt { broker, topic, qos } => {
                reef_mqtt::listen(broker, topic, *qos, |event| match event {
                    reef_mqtt::Event::Listening => self.listening(),
                    reef_mqtt::Event::Lost { why, pause } => self.lost(why.to_string(), pause),
                    reef_mqtt::Event::Message(message) => {
                        let reef_mqtt::Message { topic, payload, ack } = message;
                        let delivery = Delivery {
                            subject: topic,
                            body: payload,
                            headers: Vec::new(),
                            answers: None,
                        };
                        self.push(Item { delivery, ack });
                    }
                })
                .await
            }
        }
    }

    fn listening(&self) {
        self.presence.came();
        tracing::info!(workload = &*self.workload, source = %self.source, "Messages come from now on.");
    }

    /// Said once, until there are messages again.
    fn lost(&self, why: String, pause: Duration) {
        let (workload, source) = (&*self.workload, &self.source);
        if self.presence.went(why.clone()) {
            tracing::warn!(workload, %source, "No messages come: {why}. It is tried again until they do.");
        } else {
            tracing::debug!(workload, %source, ?pause, "No messages come: {why}.");
        }
    }

    fn push(&self, item: Item) {
        let Err(item) = self.inbox.push(item) else { return };
        if let Some(ack) = item.ack {
            // Or the broker would send less and less ahead.
            ack.at_once();
        }
        let dropped = self.inbox.dropped();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        *said = Some(Instant::now());
        let (workload, source) = (&*self.workload, &self.source);
        tracing::warn!(
            workload,
            %source,
            dropped,
            "Messages come faster than they are handled, and the newest are dropped; raise \
             limits.requests or limits.queue."
        );
    }
}

// === impl Feed ===

impl Feed {
    /// Begins to listen.
    pub(super) fn open(
        workload: &Arc<str>,
        source: &Source,
        capacity: Capacity,
        workers: &Workers,
    ) -> Self {
        let shared = Arc::new(Shared {
            workload: workload.clone(),
            source: source.clone(),
            inbox: Inbox::new(capacity),
            presence: Presence::default(),
            said: Mutex::default(),
        });
        let listening = shared.clone();
        let task =
            workers.spawn_on(super::quietest(workers), async move { listening.listen().await });
        Self(Arc::new(Listening { shared, task: task.abort_handle() }))
    }

    /// Adds what is to be known of the connection.
    pub(super) fn tell(&self, status: &mut TaskStatus) {
        status.dropped = self.0.shared.inbox.dropped();
        taking::tell(self.0.shared.presence.state(), status);
    }

    fn inbox(&self) -> &Inbox {
        &self.0.shared.inbox
    }

    /// Whether nobody else has it, who would go on.
    fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Messages of a feed, and what handles them.
pub(super) struct Messages {
    feed: Feed,
    handler: Handler,
}

impl Messages {
    /// None where the workload handles no such ones.
    pub(super) fn new(run: &Run, feed: Feed, capacity: Capacity) -> Option<Self> {
        let handler = Handler::of(&run.workload, feed.0.shared.source.sort())?;
        // One that was taken over had another's.
        feed.inbox().set_capacity(capacity);
        Some(Self { feed, handler })
    }
}

impl Supply for Messages {
    type Item = Item;

    fn next(&self) -> impl Future<Output = Option<Item>> + Send {
        self.feed.inbox().next()
    }

    async fn end(&self) {
        self.feed.inbox().close();
    }

    fn is_last(&self) -> bool {
        self.feed.is_last()
    }

    fn handle(&self, run: &Run, item: Item) -> BoxFuture<'static, ()> {
        let (run, handler) = (run.clone(), self.handler.clone());
        Box::pin(async move {
            // How it went is in the book and in the log.
            let _ = handle(&run, &handler, item.delivery).await;
            // One that could not be handled would be no better the next time.
            if let Some(ack) = item.ack {
                ack.done().await;
            }
        })
    }

    fn waiting(&self) -> usize {
        self.feed.inbox().waiting()
    }

    fn given_up(&self, workload: &str, waiting: usize, in_progress: usize) {
        let source = &self.feed.0.shared.source;
        tracing::warn!(
            workload,
            %source,
            waiting,
            in_progress,
            "Messages were given up: there was no more time for them."
        );
    }
}
