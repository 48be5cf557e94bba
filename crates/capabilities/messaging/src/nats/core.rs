//! Core NATS: messages for who is there when they are published.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::Subscriber;
use async_trait::async_trait;
use futures::StreamExt as _;
use reef_bus::Capacity;
use reef_capability::Failure;
use reef_nats::Connection;
use tokio::{
    sync::{Notify, mpsc},
    task::AbortHandle,
    time::Instant,
};

use super::received;
use crate::{Delivery, Interest, Message, Subscription};

/// How often at most it is said that messages are dropped.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// A server does not wait for who is slow: what comes is taken at once, and bounded here. The library bounds the
/// number of messages, but not their bytes.
struct Core {
    messages: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    workload: Arc<str>,
    subject: Arc<str>,
    waiting: Mutex<Waiting>,
    ended: Notify,
}

/// What waits to be handled.
struct Waiting {
    capacity: Capacity,
    messages: usize,
    bytes: usize,
    dropped: u64,
    /// When it was last said that some are dropped.
    said: Option<Instant>,
}

pub(super) async fn subscribe(
    connection: &Connection,
    interest: &Interest,
) -> Result<Box<dyn Subscription>, Failure> {
    let client = connection.client().await?;
    let subject = interest.subject.to_string();
    let subscribed = match &interest.queue {
        Some(queue) => client.queue_subscribe(subject, queue.to_string()).await,
        None => client.subscribe(subject).await,
    };
    let subscriber = subscribed.map_err(|error| Failure::Invalid(error.to_string()))?;
    // What is published from now on is to come.
    client.flush().await.map_err(Failure::unreachable)?;
    let capacity = interest.capacity;
    let waiting = Waiting { capacity, messages: 0, bytes: 0, dropped: 0, said: None };
    let shared = Arc::new(Shared {
        workload: interest.name.clone(),
        subject: interest.subject.clone(),
        waiting: Mutex::new(waiting),
        ended: Notify::new(),
    });
    let (sender, messages) = mpsc::unbounded_channel();
    let task = connection.runtime().spawn(take(subscriber, sender, shared.clone()));
    Ok(Box::new(Core { messages, shared, task: task.abort_handle() }))
}

async fn take(
    mut subscriber: Subscriber,
    sender: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
) {
    loop {
        tokio::select! {
            // It is there again by itself when the connection is.
            message = subscriber.next() => {
                let Some(message) = message else { return };
                let message = received(message);
                // An error means that nobody is there any more who would handle it.
                if shared.has_room(&message) && sender.send(message).is_err() {
                    return;
                }
            }
            () = shared.ended.notified() => {
                if subscriber.unsubscribe().await.is_err() {
                    tracing::debug!("A subscription of NATS ended with its connection.");
                    return;
                }
            }
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may wait, which does then. One may, whatever its size.
    fn has_room(&self, message: &Message) -> bool {
        let mut waiting = self.waiting();
        let (messages, bytes) =
            (waiting.messages + 1, waiting.bytes.saturating_add(message.size()));
        let most = waiting.capacity;
        if messages == 1 || (messages <= most.messages && bytes <= most.bytes) {
            (waiting.messages, waiting.bytes) = (messages, bytes);
            return true;
        }
        waiting.dropped += 1;
        if waiting.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            waiting.said = Some(Instant::now());
            let (workload, subject, dropped) = (&*self.workload, &*self.subject, waiting.dropped);
            tracing::warn!(
                workload,
                subject,
                dropped,
                "Messages come faster than they are handled, and the newest are dropped; raise \
                 limits.requests or limits.queue."
            );
        }
        false
    }
}

#[async_trait]
impl Subscription for Core {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        let message = self.messages.recv().await?;
        let mut waiting = self.shared.waiting();
        waiting.messages -= 1;
        waiting.bytes -= message.size();
        drop(waiting);
        Some(Ok(Delivery { message, attempt: 1, receipt: None }))
    }

    async fn end(&mut self) {
        self.shared.ended.notify_one();
    }

    fn set_capacity(&mut self, capacity: Capacity) {
        self.shared.waiting().capacity = capacity;
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.task.abort();
    }
}
