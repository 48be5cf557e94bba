//! What has come for one call, and is to be taken.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use reef_bus::Message;
use reef_wrpc::Path;
use tokio::sync::Notify;

use crate::header;

/// Messages that wait in one channel at most, however small.
const MESSAGES: usize = 16 * 1024;
/// Channels that messages wait in at most.
const CHANNELS: usize = 256;

/// Where a message belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The inbox itself: an answer to a handshake, or the end of a call.
    Control,
    /// Values.
    Channel(Path),
    /// What was taken of a channel that is being sent.
    Credit(Path),
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
    /// Bytes that may wait in one channel.
    most: usize,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    control: VecDeque<Message>,
    channels: HashMap<Path, Queue>,
    credits: HashMap<Path, Credit>,
    /// The caller said that it does not wait any more.
    given_up: bool,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    overflow: bool,
}

/// How far the other side is with what is being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) taken: u64,
    /// It wants no more.
    pub(crate) stopped: bool,
}

/// The next of a channel.
#[derive(Debug)]
pub(crate) enum Next {
    Message(Message),
    /// More came than may wait: what came after that is gone.
    Overflow(usize),
    /// Nothing comes any more: the caller gave up.
    GivenUp,
}

// === impl Mailbox ===

impl Mailbox {
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), most }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message where it belongs. Never waits.
    pub(crate) fn put(&self, place: Place, message: Message) {
        let mut state = self.lock();
        let State { control, channels, credits, given_up } = &mut *state;
        match place {
            Place::Control
                if message.reply_to().is_none() && header::refused(&message).is_some() =>
            {
                *given_up = true;
            }
            // There is one of a kind; more is nonsense.
            Place::Control if control.len() < 4 => control.push_back(message),
            Place::Control => return,
            Place::Channel(path) => {
                if channels.len() >= CHANNELS && !channels.contains_key(&path) {
                    return;
                }
                channels.entry(path).or_default().put(message, self.most);
            }
            Place::Credit(path) => {
                if credits.len() >= CHANNELS && !credits.contains_key(&path) {
                    return;
                }
                let credit = credits.entry(path).or_default();
                match std::str::from_utf8(message.body()).ok().and_then(|text| text.parse().ok()) {
                    Some(taken) => credit.taken = credit.taken.max(taken),
                    None => credit.stopped = true,
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// What `look` finds, when it does.
    pub(crate) async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on it is told, though it is not waiting yet.
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Queue {
    fn put(&mut self, message: Message, most: usize) {
        if self.overflow {
            return;
        }
        self.bytes += message.body().len();
        // One message is taken whatever its size.
        if !self.messages.is_empty() && (self.bytes > most || self.messages.len() >= MESSAGES) {
            self.overflow = true;
            return;
        }
        self.messages.push_back(message);
    }
}

// === impl State ===

impl State {
    pub(crate) fn control(&mut self) -> Option<Message> {
        self.control.pop_front()
    }

    pub(crate) fn next(&mut self, path: &Path, most: usize) -> Option<Next> {
        let ended = self.given_up.then_some(Next::GivenUp);
        let Some(queue) = self.channels.get_mut(path) else { return ended };
        match queue.messages.pop_front() {
            Some(message) => {
                if !queue.overflow {
                    queue.bytes -= message.body().len();
                }
                Some(Next::Message(message))
            }
            None if queue.overflow => Some(Next::Overflow(most)),
            None => ended,
        }
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up
    }

    pub(crate) fn credit(&self, path: &Path) -> Credit {
        self.credits.get(path).copied().unwrap_or_default()
    }
}
