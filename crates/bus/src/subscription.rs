//! The receiving end.

use std::{fmt, sync::Arc};

use crate::{
    Capacity, Interest, Message,
    queue::{Offer, Queue},
};

/// Messages that are kept for somebody. Cloning shares them: each message goes to one of the clones, so
/// one can take over from another without a message lost. With the last, the subscription ends.
#[derive(Clone)]
pub struct Subscription(Arc<Shared>);

struct Shared {
    interest: Interest,
    queue: Arc<Queue>,
    /// Tells the bus, when dropped or called.
    end: Box<dyn Fn() + Send + Sync>,
}

/// Where a bus of another process puts the messages of one subscription.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Queue>);

/// What became of a message for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// It waits to be taken.
    Taken,
    /// There was no room for it, as for so many before it and it: it is gone.
    Missed(u64),
    /// Nobody takes anything any more.
    Ended,
}

impl Feed {
    /// Has a message kept, if there is room.
    pub fn give(&self, message: &Message) -> Fed {
        match self.0.offer(message) {
            Offer::Taken => Fed::Taken,
            Offer::Full => Fed::Missed(self.0.miss()),
            Offer::Closed => Fed::Ended,
        }
    }

    /// Nothing comes any more. What waits already can still be taken.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Subscription {
    /// One of a bus of another process, and where that puts messages. `end` is called when nothing is to be kept any
    /// more, perhaps more than once.
    pub fn fed(interest: Interest, end: impl Fn() + Send + Sync + 'static) -> (Self, Feed) {
        let queue = Arc::new(Queue::new(interest.capacity));
        (Self::new(interest, queue.clone(), end), Feed(queue))
    }

    /// `end` is called when nothing is to be kept any more, perhaps more than once.
    pub(crate) fn new(
        interest: Interest,
        queue: Arc<Queue>,
        end: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared { interest, queue, end: Box::new(end) }))
    }

    /// What was subscribed to.
    pub fn interest(&self) -> &Interest {
        &self.0.interest
    }

    /// The next message; `None` when there is none left and none will come. Dropped before it is
    /// ready, it has taken nothing.
    pub async fn next(&self) -> Option<Message> {
        loop {
            let mut arrival = std::pin::pin!(self.0.queue.arrival());
            // From here on it is told, though it is not waiting yet.
            arrival.as_mut().enable();
            match self.0.queue.take() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => arrival.await,
                Err(()) => return None,
            }
        }
    }

    /// The next message, if one is there.
    pub fn try_next(&self) -> Option<Message> {
        self.0.queue.take().ok().flatten()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// How many there was no room for. A publisher of the same process is told instead.
    pub fn missed(&self) -> u64 {
        self.0.queue.missed()
    }

    /// Lets more or less wait from now on. What waits already stays.
    pub fn set_capacity(&self, capacity: Capacity) {
        self.0.queue.set_capacity(capacity);
    }

    /// Whether nobody else shares it.
    pub fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Has nothing kept any more. What waits already can still be taken.
    pub fn unsubscribe(&self) {
        self.0.end();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interest = self.interest();
        f.debug_struct("Subscription")
            .field("name", &interest.name)
            .field("subject", &interest.subject)
            .field("queue", &interest.queue)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn end(&self) {
        (self.end)();
        self.queue.close();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end();
    }
}
