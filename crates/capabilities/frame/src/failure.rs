//! Why a use of a capability failed.

use std::time::Duration;

use reef_grants::ByteSize;

/// Why a use of a capability failed. Its text is for the guest and the log alike: it names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The workload is not granted that; the text says what would grant it.
    #[error("{0}")]
    Denied(String),
    /// There is nothing of that name.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Larger than the link, or the backend, takes.
    #[error("the {what} is {} and may be {}", ByteSize(*.is), ByteSize(*.most))]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its size in bytes.
        is: u64,
        /// The largest size in bytes.
        most: u64,
    },
    /// More uses in a time than the link allows, or more of them at once.
    #[error("{0}")]
    TooMany(String),
    /// The guest asked for something that makes no sense: a wrong name, a cursor of another store, a
    /// statement with a fault.
    #[error("{0}")]
    Invalid(String),
    /// It is there already, or has changed since.
    #[error("{0}")]
    Conflict(String),
    /// The backend cannot do that at all.
    #[error("{0}")]
    Unsupported(String),
    /// There was no answer in time. It may have been done, or may still be.
    #[error("the backend did not answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The backend could not be reached, or went away.
    #[error("the backend is not available: {why}")]
    Unavailable {
        /// What happened.
        why: String,
        /// Whether it may have been done all the same.
        maybe_done: bool,
    },
    /// The backend failed so often that it is not asked for a while.
    #[error("the backend failed {failures} times in a row and is not asked again for {}", humantime::format_duration(*.pause))]
    Broken {
        /// How often.
        failures: u32,
        /// For how long.
        pause: Duration,
    },
    /// The backend has no room left.
    #[error("the backend has no room left: {0}")]
    Full(String),
    /// Anything else that the backend says.
    #[error("{0}")]
    Backend(String),
}

impl Failure {
    /// The backend could not be reached: nothing was done.
    pub fn unreachable(why: impl ToString) -> Self {
        Self::Unavailable { why: why.to_string(), maybe_done: false }
    }

    /// The backend went away before it answered.
    pub fn lost(why: impl ToString) -> Self {
        Self::Unavailable { why: why.to_string(), maybe_done: true }
    }

    /// What metrics call it: `error.type`, one of a few.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::NotFound { .. } => "not-found",
            Self::TooLarge { .. } => "too-large",
            Self::TooMany(_) => "too-many",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Unsupported(_) => "unsupported",
            Self::Timeout(_) => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::Broken { .. } => "broken",
            Self::Full(_) => "full",
            Self::Backend(_) => "backend",
        }
    }

    /// Whether the backend is to blame, rather than what was asked of it.
    pub fn is_of_backend(&self) -> bool {
        matches!(
            self,
            Self::Timeout(_) | Self::Unavailable { .. } | Self::Full(_) | Self::Backend(_)
        )
    }

    /// Whether the same may work a little later: `Some(true)` if it was certainly not done.
    pub(crate) fn is_passing(&self) -> Option<bool> {
        match self {
            Self::Unavailable { maybe_done, .. } => Some(!maybe_done),
            _ => None,
        }
    }
}
