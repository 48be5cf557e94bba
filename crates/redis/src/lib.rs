//! Redis servers, and what speaks their protocol: an address, and a connection that is kept.
//!
//! [`Server`] is the one place where an address becomes a connection: URL, TLS, credentials, deadlines.
//! [`Client`] has commands carried out, over one connection that many share;
//! [`listen`] stays subscribed to a channel, whatever becomes of the server.
//!
//! Credentials are never a part of what is said: [`Server`] shows the host alone.

#![cfg_attr(test, allow(clippy::panic, reason = "a failed test says enough"))]

mod client;
mod listen;
mod pattern;
mod server;

pub use client::{Client, CommandError};
pub use listen::{Event, listen};
pub use pattern::{Matching, matching};
pub use redis;
pub use server::{AddressError, ConnectError, Server};
