//! Keys of the store: what is kept under which name.
//!
//! | key | what | who writes it |
//! | --- | --- | --- |
//! | `app.NAMESPACE.APP` | [`record::App`](crate::record::App): which revision is wanted, and the earlier ones | whoever applies |
//! | `rev.NAMESPACE.APP.N` | [`record::Revision`](crate::record::Revision): one revision; never changed | whoever applies |
//! | `scale.NAMESPACE.APP.WORKLOAD` | [`record::Scaled`](crate::record::Scaled): instances that a person asked for | whoever scales |
//! | `ns.NAMESPACE` | [`record::Namespace`](crate::record::Namespace): quota and exports | its operator |
//! | `sched.HOST` | [`record::Scheduling`](crate::record::Scheduling): cordoned, draining | whoever drains; the leader releases |
//! | `rollout.NAMESPACE.APP.WORKLOAD` | [`record::Rollout`](crate::record::Rollout): state and weights | the leader; whoever pauses |
//! | `want.HOST` | [`record::Assignment`](crate::record::Assignment): what the host is to run | the leader |
//! | `route.NAMESPACE.APP` | [`record::Routing`](crate::record::Routing): where requests go | the leader |
//! | `status.NAMESPACE.APP` | [`record::Status`](crate::record::Status): how it is | the leader |
//! | `leader` | [`record::Leader`](crate::record::Leader): who acts | whoever leads |
//! | `turn` | [`record::Turn`](crate::record::Turn): what was accepted last | whoever applies |
//! | `lattice` | [`record::Shared`](crate::record::Shared): what hosts know of each other by, and which store it is | the first host |

use std::{borrow::Cow, fmt, sync::Arc};

/// A key: tokens with dots between them, of letters, digits, `-`, `_` and `.`, which is written as `=` within a token.
/// 250 bytes at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: letters, digits, `-` and `_`, with dots between")]
pub struct NoKey(String);

/// The most bytes of a key.
pub const LONGEST: usize = 250;

/// Kinds of keys: the first token.
pub mod kind {
    #![allow(missing_docs, reason = "the table above")]
    pub const APP: &str = "app";
    pub const REVISION: &str = "rev";
    pub const SCALE: &str = "scale";
    pub const NAMESPACE: &str = "ns";
    pub const SCHEDULING: &str = "sched";
    pub const ROLLOUT: &str = "rollout";
    pub const WANT: &str = "want";
    pub const ROUTE: &str = "route";
    pub const STATUS: &str = "status";
    pub const LEADER: &str = "leader";
    pub const TURN: &str = "turn";
    pub const LATTICE: &str = "lattice";
}

impl Key {
    /// Of these tokens.
    ///
    /// # Errors
    /// When one is empty or has other characters than a token may, or they are too long.
    pub fn new(tokens: &[&str]) -> Result<Self, NoKey> {
        let text = tokens.iter().map(|token| written(token)).collect::<Vec<_>>().join(".");
        let good = |token: &&str| {
            !token.is_empty()
                && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !tokens.is_empty() && tokens.iter().all(good) && text.len() <= LONGEST {
            Ok(Self(text.into()))
        } else {
            Err(NoKey(text))
        }
    }

    /// As it was written by [`Display`](fmt::Display).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        let tokens: Vec<_> = text.split('.').map(read).collect();
        Self::new(&tokens.iter().map(|token| &**token).collect::<Vec<_>>())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its tokens.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('.').map(read)
    }

    /// Whether it is below a prefix of whole tokens, or the prefix itself.
    pub fn is_below(&self, prefix: &str) -> bool {
        match self.0.strip_prefix(prefix) {
            Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('.'),
            None => false,
        }
    }
}

fn written(token: &str) -> Cow<'_, str> {
    if token.contains('.') { token.replace('.', "=").into() } else { token.into() }
}

fn read(token: &str) -> Cow<'_, str> {
    if token.contains('=') { token.replace('=', ".").into() } else { token.into() }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}
