//! The messaging capability: publishing, asking, and messages that are handled until that works.
//!
//! [`Messaging`] is what a backend does; [`BACKENDS`] are those there are. What a manifest links a workload to is a
//! [`Channel`]: a backend, and the [`Terms`] on which this workload uses it. A guest's adapter has a [`Publisher`],
//! each use of which passes through the link's gate; a trigger has an [`Incoming`], which stays subscribed whatever
//! becomes of the server, and sees to it that each message is handled, tried again, or put aside.
//!
//! A message is handled at least once where its server keeps it until it is acknowledged (JetStream, streams of
//! Redis, MQTT from quality 1 on), and at most once where it does not.
//!
//! Another backend is another file beside these, and another line in [`BACKENDS`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod again;
mod channel;
mod in_process;
mod incoming;
mod message;
mod mqtt;
mod nats;
mod offline;
mod publisher;
mod redis;
mod servers;
mod syntax;
mod terms;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use reef_bus::Capacity;
use reef_capability::{Backend, Failure};

pub use channel::Channel;
pub use in_process::in_process;
pub use incoming::{Incoming, Outcome, Received};
pub use message::Message;
pub use offline::{ID, Offline};
pub use publisher::{Answering, OPERATIONS, Publisher};
pub use servers::{MqttBroker, RedisServer, Servers};
pub use syntax::Syntax;
pub use terms::{TERMS, Terms};

/// What a manifest calls it.
pub const CAPABILITY: &str = "messaging";

/// Every backend. The first is the one of a link that names none.
pub static BACKENDS: &[Backend<dyn Messaging>] =
    &[in_process::BACKEND, mqtt::BACKEND, nats::BACKEND, redis::BACKEND];

/// What carries messages.
#[async_trait]
pub trait Messaging: fmt::Debug + Send + Sync {
    /// How its subjects are written.
    fn syntax(&self) -> Syntax {
        Syntax::Tokens
    }

    /// Whether a message that was not acknowledged is delivered again, to whoever is there then.
    fn keeps(&self) -> bool {
        false
    }

    /// Publishes a message. Where the server says so, it has it then.
    async fn publish(&self, message: Message) -> Result<(), Failure>;

    /// Publishes a message with an inbox of its own to answer to, and waits for the first answer. None if nobody
    /// answers in time.
    ///
    /// # Errors
    /// `NotFound` when it is known at once that nobody can answer.
    async fn request(&self, message: Message, within: Duration)
    -> Result<Option<Message>, Failure>;

    /// Has messages delivered from now on.
    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure>;
}

/// What somebody wants to have.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Who that is: a workload.
    pub name: Arc<str>,
    /// Messages about what: a pattern in the backend's [`Syntax`].
    pub subject: Arc<str>,
    /// Those who share this name share the messages: each goes to one of them.
    pub queue: Option<Arc<str>>,
    /// How much may wait here.
    pub capacity: Capacity,
    /// How many are handled at once.
    pub most: usize,
    /// How long one may be handled without a word until it is taken for lost.
    pub ack_wait: Duration,
}

/// Messages, as a server delivers them. When it is dropped, no more come, and those that are not acknowledged are
/// not.
#[async_trait]
pub trait Subscription: Send {
    /// The next one; none when it was [ended](Self::end) and nothing is left. Dropped before it is ready, it has
    /// taken nothing.
    ///
    /// # Errors
    /// When no more will come: it is to be subscribed again.
    async fn next(&mut self) -> Option<Result<Delivery, Failure>>;

    /// Has no more delivered. What nobody else would have, and waits here, can still be taken.
    async fn end(&mut self);

    /// Lets more or less wait from now on.
    fn set_capacity(&mut self, _capacity: Capacity) {}
}

/// A message that is to be handled.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Which time it is delivered: from 1.
    pub attempt: u32,
    /// Where to say what became of it; nowhere if the server does not want to know.
    pub receipt: Option<Box<dyn Receipt>>,
}

/// Where a server is told what became of a message. Dropped, it is told nothing.
#[async_trait]
pub trait Receipt: fmt::Debug + Send + Sync {
    /// It was handled, or put aside: it is delivered no more.
    async fn done(&self) -> Result<(), Failure>;

    /// It is to be delivered again after a pause. `false` if the server cannot be asked for that: then who has the
    /// message keeps it until then.
    async fn again(&self, after: Duration) -> Result<bool, Failure>;

    /// It is still being handled, or kept for it, for the `attempt`-th time.
    async fn hold(&self, attempt: u32) -> Result<(), Failure>;
}
