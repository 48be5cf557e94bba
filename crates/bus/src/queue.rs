//! What waits to be taken, bounded in number and in bytes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

use crate::Message;

/// How much may wait in a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Messages, at least one.
    pub messages: usize,
    /// Bytes of all of them; one message is taken whatever its size.
    pub bytes: usize,
}

/// Messages of one subscription, in the order they came.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
    /// Told to all: how much room each of those who wait needs is different.
    room: Notify,
}

#[derive(Debug)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    capacity: Capacity,
    closed: bool,
    missed: u64,
}

/// What became of a message that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    Full,
    /// Nobody takes anything out any more.
    Closed,
}

// === impl Capacity ===

impl Default for Capacity {
    fn default() -> Self {
        Self { messages: 1024, bytes: 16 << 20 }
    }
}

// === impl Queue ===

impl Queue {
    pub(crate) fn new(capacity: Capacity) -> Self {
        let state =
            State { messages: VecDeque::new(), bytes: 0, capacity, closed: false, missed: 0 };
        Self { state: Mutex::new(state), arrived: Notify::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn offer(&self, message: &Message) -> Offer {
        let mut state = self.lock();
        if state.closed {
            return Offer::Closed;
        }
        let Capacity { messages, bytes } = state.capacity;
        let waiting = state.messages.len();
        let fits = waiting < messages && state.bytes.saturating_add(message.size()) <= bytes;
        // Otherwise one that is larger than the whole queue could never be delivered.
        if !fits && waiting > 0 {
            return Offer::Full;
        }
        state.bytes += message.size();
        state.messages.push_back(message.clone());
        drop(state);
        self.arrived.notify_one();
        Offer::Taken
    }

    /// The next message, if one is there; `Err` when none will ever come.
    pub(crate) fn take(&self) -> Result<Option<Message>, ()> {
        let mut state = self.lock();
        let Some(message) = state.messages.pop_front() else {
            return if state.closed { Err(()) } else { Ok(None) };
        };
        state.bytes -= message.size();
        drop(state);
        self.room.notify_waiters();
        Ok(Some(message))
    }

    /// Resolves when another message may be there. To be asked for before looking.
    pub(crate) fn arrival(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    /// Resolves when there may be more room. To be asked for before offering.
    pub(crate) fn room(&self) -> Notified<'_> {
        self.room.notified()
    }

    /// Takes no more; what is there can still be taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_waiters();
        self.room.notify_waiters();
    }

    pub(crate) fn set_capacity(&self, capacity: Capacity) {
        self.lock().capacity = capacity;
        self.room.notify_waiters();
    }

    /// Counts a message that there was no room for; how many that are.
    pub(crate) fn miss(&self) -> u64 {
        let mut state = self.lock();
        state.missed += 1;
        state.missed
    }

    pub(crate) fn missed(&self) -> u64 {
        self.lock().missed
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().messages.len()
    }
}
