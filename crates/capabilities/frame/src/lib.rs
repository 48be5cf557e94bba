//! What every capability has in common.
//!
//! A capability (key-value, blobs, SQL, messages) is one trait, say `C`, with several backends. What a manifest
//! links a workload to is a [`Link`] of it: a backend that was opened with the link's [`Settings`], behind a
//! [`Gate`]. A guest sees nothing but its [`Links`], each by its name, through adapters to the published interfaces.
//!
//! * A backend is a [`Backend`] in its capability's table: a name, the settings it takes, and a function that
//!   opens it. [`Opened`] shares what was opened alike.
//! * Every use goes through the gate, which knows the link's [`Policy`]: sizes, rate, uses at once, time, and how
//!   often what failed is tried again if that is safe; it stops asking a backend that fails again and again, and
//!   counts and times what was done.
//! * A trigger has an [`Origin`] that it is [`Listening`] to, whatever becomes of the server.
//! * What goes wrong is a [`Failure`], which each adapter turns into its interface's own error: never a trap.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod backend;
mod breaker;
mod failure;
mod gate;
mod link;
mod listening;
mod policy;
mod rate;
mod settings;
mod tls;
mod usage;

pub use backend::{Backend, OpenError, Opened, Opening, find};
pub use failure::Failure;
pub use gate::{Caller, Gate, Operation, Span, Trace};
pub use link::{Link, Links};
pub use listening::{LONGEST_PAUSE, Listening, Origin, Presence, State, pause};
pub use policy::{BACKEND, BUCKET, POLICY, Policy};
pub use rate::Rate;
pub use settings::{Secret, Setting, SettingError, Settings};
pub use tls::{TLS_CERT, TLS_KEY, TLS_ROOTS};
pub use usage::{Usage, UsageSnapshot};
