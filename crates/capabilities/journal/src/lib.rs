//! What waits on this machine to go out, while what it is for cannot be reached.
//!
//! A [`Journal`] is a file with entries in the order in which they came, each durable before it is acknowledged: a kill
//! loses none. It is bounded. [`Sending`] takes them out from the front, one at a time, once they can be sent; what can
//! never be sent is put aside, so that it does not hold up the rest and is not lost either. [`Journals`] sees to it that
//! each file is open once, whoever asks for it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod file;
mod journal;
mod parts;
mod sending;

pub use journal::{Entry, Journal, Journals, OFFLINE_CAPACITY};
pub use parts::{file_name, joined, split};
pub use sending::Sending;
