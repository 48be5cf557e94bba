//! Redis servers, and what speaks their protocol: an address, and a connection that is kept.
//!
//! [`Server`] is the one place where an address becomes a connection: URL, TLS, credentials, deadlines.
//! [`listen`] stays subscribed to a channel, whatever becomes of the server.
//!
//! Credentials are never a part of what is said: [`Server`] shows the host alone.

mod listen;
mod server;

pub use listen::{Event, listen};
pub use server::{AddressError, ConnectError, Server};
