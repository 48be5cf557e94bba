//! Connections to NATS, as every capability that is kept there needs them: where the servers are, who one is to
//! them, TLS, and coming back when a server went away.
//!
//! A [`Connection`] is made of a link's settings ([`setting`]). It connects when it is first asked for something,
//! and from then on stays or comes back by itself, for ever. [`Connection::jetstream`] says plainly what a server
//! lacks: JetStream, or its features since [`OLDEST`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod connection;
mod failure;
mod patience;
mod reader;
pub mod setting;

pub use connection::{Connection, OLDEST};
pub use failure::{failed, is_being_written, is_conflict, jetstream_error, unreached};
pub use patience::{Patience, UNLED};
pub use reader::{Read, Reader, newest};
