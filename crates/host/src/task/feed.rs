//! Messages of other servers: of a Redis channel, of an MQTT topic.
//!
//! A [`Feed`] listens from when it is opened until nobody has it any more; the task of the next revision
//! takes it over, with what waits in it. What comes while its queue is full is dropped and counted: the
//! newest, as those that wait were there first. A broker of MQTT that is to deliver at least once sends
//! only so many ahead of what was handled, and waits then: these are all taken, as far as their bytes allow.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use reef_bus::Capacity;
use reef_http::Workers;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
};

use super::{
    Phase, Run, TaskStatus,
    handler::{Delivery, Handler, Sort, handle},
    inbox::{Inbox, Item},
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
    state: Mutex<State>,
}

/// How the connection is.
#[derive(Clone, Debug)]
struct State {
    listening: bool,
    since: SystemTime,
    why: Option<String>,
    /// When it was last said that messages are dropped.
    said: Option<Instant>,
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
        let mut state = self.state();
        (state.listening, state.since, state.why) = (true, SystemTime::now(), None);
        tracing::info!(workload = &*self.workload, source = %self.source, "Messages come from now on.");
    }

    /// Said once, until there are messages again.
    fn lost(&self, why: String, pause: Duration) {
        let mut state = self.state();
        let (workload, source) = (&*self.workload, &self.source);
        if state.listening || state.why.is_none() {
            tracing::warn!(workload, %source, "No messages come: {why}. It is tried again until they do.");
        } else {
            tracing::debug!(workload, %source, ?pause, "No messages come: {why}.");
        }
        if state.listening {
            (state.listening, state.since) = (false, SystemTime::now());
        }
        state.why = Some(why);
    }

    fn push(&self, item: Item) {
        let Err(item) = self.inbox.push(item) else { return };
        if let Some(ack) = item.ack {
            // Or the broker would send less and less ahead.
            ack.at_once();
        }
        let dropped = self.inbox.dropped();
        let mut state = self.state();
        if state.said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        state.said = Some(Instant::now());
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
        let state = State { listening: false, since: SystemTime::now(), why: None, said: None };
        let shared = Arc::new(Shared {
            workload: workload.clone(),
            source: source.clone(),
            inbox: Inbox::new(capacity),
            state: Mutex::new(state),
        });
        let listening = shared.clone();
        let task =
            workers.spawn_on(super::quietest(workers), async move { listening.listen().await });
        Self(Arc::new(Listening { shared, task: task.abort_handle() }))
    }

    /// Adds what is to be known of the connection.
    pub(super) fn tell(&self, status: &mut TaskStatus) {
        let state = self.0.shared.state();
        status.dropped = self.0.shared.inbox.dropped();
        if !state.listening && status.phase == Phase::Waiting {
            (status.phase, status.since) = (Phase::Connecting, state.since);
        }
        if let Some(why) = &state.why {
            status.last_failure = Some(why.clone());
        }
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

/// Hands messages on, `most` at once, until it is stopped; then waits for those that are handled. Those
/// that wait are for whoever took the feed over; if nobody did, they are handled first.
pub(super) async fn take(run: Run, feed: Feed, capacity: Capacity, most: usize, workers: &Workers) {
    let Some(handler) = Handler::of(&run.workload, feed.0.shared.source.sort()) else { return };
    // One that was taken over had another's.
    feed.inbox().set_capacity(capacity);
    let mut taking = Taking { run, handler, feed, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.feed.inbox().next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, item) = next => {
                taking.begin(item, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.feed.is_last() {
        taking.feed.inbox().close();
        while let Some(item) = taking.feed.inbox().try_next() {
            let place = places.clone().acquire_owned().await.ok();
            taking.begin(item, place, workers, at);
            at += 1;
        }
    }
    // It listens on until then, as the broker is still to be told of these.
    while taking.open.join_next().await.is_some() {}
}

/// Messages that wait, and those that are handled. What is left of them when it is dropped is lost, and
/// that is said.
struct Taking {
    run: Run,
    handler: Handler,
    feed: Feed,
    open: JoinSet<()>,
}

impl Taking {
    fn begin(
        &mut self,
        item: Item,
        place: Option<OwnedSemaphorePermit>,
        workers: &Workers,
        worker: usize,
    ) {
        let (run, handler) = (self.run.clone(), self.handler.clone());
        let handling = async move {
            // How it went is in the book and in the log.
            let _ = handle(&run, &handler, item.delivery).await;
            // One that could not be handled would be no better the next time.
            if let Some(ack) = item.ack {
                ack.done().await;
            }
            drop(place);
        };
        self.open.spawn_on(handling, workers.handle(worker));
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let waiting = if self.feed.is_last() { self.feed.inbox().waiting() } else { 0 };
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if waiting > 0 || !self.open.is_empty() {
            let (workload, open) = (&**self.run.workload.name(), self.open.len());
            let source = &self.feed.0.shared.source;
            tracing::warn!(
                workload,
                %source,
                waiting,
                in_progress = open,
                "Messages were given up: there was no more time for them."
            );
        }
    }
}
