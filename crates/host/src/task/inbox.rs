//! Messages from elsewhere that wait for a place: bounded, and the newest are dropped.
//!
//! One that its server wants to be told of counts by its bytes alone: the server sends only so many ahead,
//! and one that was dropped would hold up those behind it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use reef_bus::Capacity;
use tokio::sync::Notify;

use super::handler::Delivery;

/// A message, and who is to be told when it was handled.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    pub(super) ack: Option<reef_mqtt::Ack>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Item>,
    bytes: usize,
    capacity: Capacity,
    closed: bool,
    dropped: u64,
}

impl Inbox {
    pub(super) fn new(capacity: Capacity) -> Self {
        let (waiting, bytes) = (VecDeque::new(), 0);
        let state = State { waiting, bytes, capacity, closed: false, dropped: 0 };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message in, or gives it back. One is taken whatever its size when nothing else waits.
    #[allow(clippy::result_large_err, reason = "a message that is given back is what it is")]
    pub(super) fn push(&self, item: Item) -> Result<(), Item> {
        let mut state = self.lock();
        if state.closed {
            // It comes too late for this one, and nobody counts on it.
            return Ok(());
        }
        let (size, Capacity { messages, bytes }) = (item.delivery.body.len(), state.capacity);
        let full = (item.ack.is_none() && state.waiting.len() >= messages.max(1))
            || (!state.waiting.is_empty() && state.bytes.saturating_add(size) > bytes);
        if full {
            state.dropped += 1;
            return Err(item);
        }
        state.bytes += size;
        state.waiting.push_back(item);
        drop(state);
        self.arrived.notify_waiters();
        Ok(())
    }

    /// The next one, when there is one; none when it is closed and nothing is left.
    pub(super) async fn next(&self) -> Option<Item> {
        loop {
            // It counts from here on, before it is waited for.
            let arrived = self.arrived.notified();
            let item = self.try_next();
            if item.is_some() || self.lock().closed {
                return item;
            }
            arrived.await;
        }
    }

    fn try_next(&self) -> Option<Item> {
        let mut state = self.lock();
        let item = state.waiting.pop_front()?;
        state.bytes -= item.delivery.body.len();
        Some(item)
    }

    pub(super) fn set_capacity(&self, capacity: Capacity) {
        self.lock().capacity = capacity;
    }

    /// Takes no more in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_waiters();
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(size: usize) -> Item {
        let delivery = Delivery {
            subject: String::new(),
            body: vec![0; size].into(),
            headers: Vec::new(),
            answers: None,
        };
        Item { delivery, ack: None }
    }

    proptest! {
        /// Against a list that is added up anew each time.
        #[test]
        fn what_does_not_fit_is_dropped_and_counted(
            messages in 0..5_usize,
            bytes in 0..20_usize,
            steps in prop::collection::vec(prop::option::of(0..15_usize), 0..40),
        ) {
            let inbox = Inbox::new(Capacity { messages, bytes });
            let (mut model, mut dropped) = (VecDeque::<usize>::new(), 0);
            for step in steps {
                match step {
                    None => {
                        let next = inbox.try_next().map(|item| item.delivery.body.len());
                        prop_assert_eq!(next, model.pop_front());
                    }
                    Some(size) => {
                        let fits = model.is_empty()
                            || model.len() < messages && model.iter().sum::<usize>() + size <= bytes;
                        match fits {
                            true => model.push_back(size),
                            false => dropped += 1,
                        }
                        prop_assert_eq!(inbox.push(item(size)).is_ok(), fits);
                    }
                }
                prop_assert_eq!((inbox.waiting(), inbox.dropped()), (model.len(), dropped));
            }
            inbox.close();
            prop_assert!(inbox.push(item(0)).is_ok());
            prop_assert_eq!(inbox.waiting(), model.len());
        }
    }
}
