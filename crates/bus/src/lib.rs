//! Messages between workloads.
//!
//! A [`Bus`] carries [`Message`]s by their subjects, as NATS has them: tokens with dots between them. Who
//! subscribes to a pattern ([`Subject`]) has each message that it matches; those who share the name of
//! a queue share the messages, and each goes to one of them. A request is a message with an inbox to
//! answer to.
//!
//! There is one bus a host, for all its applications: a subject means the same to each of them, and
//! nothing is put before it.
//!
//! A message is delivered at most once. What waits to be taken is bounded, for each subscription by
//! itself; a publisher is told of a subscription that had no room for its message in time.

mod error;
mod in_process;
mod message;
mod queue;
mod subjects;
mod subscription;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

pub use self::{
    error::{MessageError, PublishError, RequestError, SubscribeError},
    in_process::{InProcess, Limits},
    message::Message,
    queue::Capacity,
    subscription::{Fed, Feed, Subscription},
};
pub use reef_app::Subject;

/// What carries messages.
pub trait Bus: fmt::Debug + Send + Sync {
    /// Hands a message to every subscription that wants it, and to one of each queue.
    ///
    /// # Errors
    /// When it is too large, or a subscription has no room for it in time. The others have it then.
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>>;

    /// Publishes a message with an inbox of its own to answer to, and waits for the first answer.
    ///
    /// `timeout` is for all of it.
    ///
    /// # Errors
    /// At once when nobody subscribes to the subject; when it cannot be published; when no answer
    /// comes in time.
    fn request(
        &self,
        message: Message,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, RequestError>>;

    /// Has messages kept from now on for whoever takes them out of the subscription.
    ///
    /// # Errors
    /// When the bus cannot be told.
    fn subscribe(&self, interest: Interest) -> BoxFuture<'_, Result<Subscription, SubscribeError>>;

    /// Waits until what was published has left this process: for who ends after that.
    ///
    /// # Errors
    /// When it does not in time.
    fn flush(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What somebody wants to have.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Who that is, as a publisher is told it.
    pub name: Arc<str>,
    /// Messages about what.
    pub subject: Subject,
    /// The queue whose messages are shared.
    pub queue: Option<Arc<str>>,
    /// How much may wait.
    pub capacity: Capacity,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many have it; `None` where the bus does not know.
    pub recipients: Option<usize>,
}
