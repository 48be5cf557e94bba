//! Calls between hosts: wRPC (`reef-wrpc`) over a bus (`reef-bus`).
//!
//! A [`Server`] takes the calls of functions from their subjects and has a [`Handler`] answer them; a
//! [`Client`] calls. Both have an [`Exchange`]: one subscription for all that comes back to a host.
//! Values go with the messages of the call; what of them comes later ([`Source`], [`Arriving`]) follows
//! on channels of their own, both ways and while the call lasts.
//!
//! On the wire this is wRPC's NATS transport: caller and server name an inbox each, `R_c` and `R_s`,
//! parameters go to `R_s.params` and results to `R_c.results`, and those that come later to subjects
//! below these. Two hosts of ours tell each other so by a header (`header.rs`), and then
//!
//! * leave out messages that say nothing new: an answer that is there at once is the only one;
//! * send no more of a stream than the other side has room for;
//! * say why a call failed, and that it is not waited for any more;
//! * notice a message that was lost, repeated or overtaken.
//!
//! A call has a deadline, which goes with it as the time that is left: clocks need not agree. Nothing
//! is tried again here; [`CallError::never_began`] says when that does no harm.

mod arriving;
mod call;
mod client;
mod error;
mod exchange;
mod header;
mod mailbox;
mod sending;
mod server;

pub use self::{
    arriving::{Arriving, Chunk, Received},
    client::{Client, Options},
    error::{CallError, Kind, Refusal, ServeError, StreamError},
    exchange::{Exchange, Settings},
    header::Trace,
    sending::{Outgoing, Piece, Source},
    server::{Context, Handler, Served, Server},
};
