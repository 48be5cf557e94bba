//! What goes wrong with calls.

use std::{fmt, time::Duration};

use reef_bus::{MessageError, PublishError, SubscribeError};
use reef_wrpc::{DecodeError, EncodeError};

/// Why a call was not answered, as the other side says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has as many calls as it takes. Nothing was done.
    Busy,
    /// It does not take such a call. Nothing was done.
    Refused,
    /// The time was over.
    Deadline,
    /// It was begun, and failed.
    Failed,
}

/// Why a call is not answered: for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {why}")]
pub struct Refusal {
    /// Of which kind.
    pub kind: Kind,
    /// In words.
    pub why: String,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody serves the function.
    #[error("nobody serves `{function}`")]
    NoServer {
        /// The subject of its calls.
        function: String,
    },
    /// No result in time.
    #[error("no answer from `{function}` within {waited:?}")]
    Timeout {
        /// The subject of its calls.
        function: String,
        /// How long.
        waited: Duration,
    },
    /// Who is to answer is not heard any more.
    #[error("`{function}` has not been heard for {waited:?}")]
    Silent {
        /// What was called, and where.
        function: String,
        /// How long.
        waited: Duration,
    },
    /// The other side says why.
    #[error("`{function}` was not answered: {refusal}")]
    Refused {
        /// The subject of its calls.
        function: String,
        /// What it says.
        refusal: Refusal,
    },
    /// The other side ended the call and says no more: a trap, where it is not one of ours.
    #[error("`{function}` ended without a result")]
    Ended {
        /// The subject of its calls.
        function: String,
    },
    /// As many calls as may be wait for answers.
    #[error("{0} calls wait for answers, the most that may; try again later")]
    TooMany(usize),
    /// The arguments are not of the function's types.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What came is no result.
    #[error("the answer of `{function}` makes no sense: {why}")]
    Answer {
        /// The subject of its calls.
        function: String,
        /// Why.
        why: StreamError,
    },
    /// The bus did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why values that come in messages are not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// They make no sense.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The sender says why.
    #[error("the sender ended it: {0}")]
    Broken(String),
    /// More came than may wait.
    #[error("more than {0} bytes or messages wait to be taken")]
    Overflow(usize),
    /// A message is missing, or came twice.
    #[error("what came is not whole: {found} bytes should have come before, {expected} did")]
    Gap {
        /// Bytes that came.
        expected: u64,
        /// Bytes that should have.
        found: u64,
    },
    /// The time of the call is over.
    #[error("the time of the call is over")]
    Deadline,
}

/// Why a function is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It has no subject.
    #[error("`{function}` cannot be served: {error}")]
    Subject {
        /// What would be its subject.
        function: String,
        /// Why it is none.
        error: MessageError,
    },
    /// The bus does not take the subscription.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl CallError {
    /// Whether nothing was done: calling another server does no harm.
    pub fn never_began(&self) -> bool {
        match self {
            Self::NoServer { .. } | Self::TooMany(_) | Self::Encode(_) => true,
            Self::Refused { refusal, .. } => matches!(refusal.kind, Kind::Busy | Kind::Refused),
            _ => false,
        }
    }
}

impl Refusal {
    /// A call that was begun, and failed.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self { kind: Kind::Failed, why: why.to_string() }
    }

    /// A call that is not taken.
    pub fn refused(why: impl fmt::Display) -> Self {
        Self { kind: Kind::Refused, why: why.to_string() }
    }
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Busy, Self::Refused, Self::Deadline, Self::Failed]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
