//! Why a message does not go where it should.

use std::time::Duration;

use reef_app::SubjectError;

/// Not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No subject at all.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A pattern.
    #[error("a message has one subject, and `{0}` is a pattern of several; leave `*` and `>` out")]
    Pattern(String),
    /// No name of a header, or no value.
    #[error(
        "`{0}` is no header: names are printable letters without `:`, values have no line breaks"
    )]
    Header(String),
}

/// Why somebody does not have a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Not a message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Too many bytes.
    #[error(
        "the message has {size} bytes, and at most {most} are carried; send less, or where it lies"
    )]
    TooLarge {
        /// Bytes of its body.
        size: usize,
        /// Bytes that are carried.
        most: usize,
    },
    /// No room in time.
    #[error(
        "no room for the message about `{subject}` after {waited:?}: {} not taken fast enough what is there ({} of {} have it)",
        names(.full), .delivered, .delivered + .full.len()
    )]
    Full {
        /// What it was about.
        subject: String,
        /// Subscriptions without room, as `NAME of SUBJECT`.
        full: Vec<String>,
        /// How many have the message all the same.
        delivered: usize,
        /// How long there was no room.
        waited: Duration,
    },
    /// The bus cannot be reached.
    #[error("the bus is not available: {why}")]
    Unavailable {
        /// What happened.
        why: String,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nobody can answer.
    #[error("no responders: nobody subscribes to `{subject}`")]
    NoResponders {
        /// What it was about.
        subject: String,
    },
    /// Nobody did.
    #[error("no answer about `{subject}` within {waited:?}")]
    Timeout {
        /// What it was about.
        subject: String,
        /// How long nobody did.
        waited: Duration,
    },
    /// Too many are waiting.
    #[error("{0} requests wait for answers, the most that may; try again later")]
    TooMany(usize),
    /// It was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why nothing is kept for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// Too many.
    #[error("there are {0} subscriptions, the most that may be")]
    TooMany(usize),
    /// The bus cannot be reached.
    #[error("the bus is not available: {why}")]
    Unavailable {
        /// What happened.
        why: String,
    },
}

fn names(full: &[String]) -> String {
    match full {
        [one] => format!("{one} has"),
        all => format!("{} have", all.join(", ")),
    }
}
