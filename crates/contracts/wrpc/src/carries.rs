//! Why a function cannot be called over wRPC.

use std::fmt;

use crate::types::TypeError;

/// Why a function cannot be called on another host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{function}` cannot be called on another host: {place} {why}")]
pub struct Reason {
    /// The function, or what of the interface is none.
    pub function: String,
    /// Which of its parameters, or its result.
    pub place: String,
    /// What it is.
    pub why: Why,
}

/// What cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A handle.
    Resource,
    /// `error-context`.
    ErrorContext,
    /// A stream or future of something else than numbers, `bool`, `char` or `string`.
    Elements,
    /// A stream or future that a function takes that is not `async`.
    Waits,
    /// Nothing that wRPC has a form for.
    Type(TypeError),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resource => {
                "has a resource, which exists on one host only; place both components on one host, \
                 or compose them"
            }
            Self::ErrorContext => "has an error-context, which wRPC has no form for",
            Self::Elements => {
                "has a stream or future of something else than numbers, bool, char or string"
            }
            Self::Waits => {
                "has a stream or future, and the function is not async: nothing would move while \
                 it waits"
            }
            Self::Type(error) => return write!(f, "cannot be carried: {error}"),
        })
    }
}
