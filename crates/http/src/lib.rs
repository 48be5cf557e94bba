//! The HTTP server front of Reef: it accepts connections, speaks HTTP/1.1 and HTTP/2, in the clear
//! or over TLS, keeps clients within limits, and hands requests to a [`Handler`]. It knows nothing
//! of WebAssembly.
//!
//! What a handler can answer with besides a workload is here too: files of a folder
//! ([`StaticFiles`]), redirections ([`Redirect`]) and answers that are always the same ([`Fixed`]);
//! and what it can do to an answer: compress it ([`Compression`]), and say who made it
//! ([`ServedBy`]).
//!
//! A request's way: [`Server`] accepts → a worker of [`Workers`] → (TLS) → HTTP → the server's own
//! checks → [`Handler`], which finds its workload with a [`Router`] and asks its [`Admission`] for
//! a place → a streamed response.
//!
//! # Decisions
//! - **A thread per core**, each with its own runtime. A connection stays on its worker; of an
//!   HTTP/2 connection whole streams (handler and response body) move to a worker that is much
//!   idler. hyper runs every stream as a task, so moving one costs no hand-over of its own.
//! - **Over `max_connections`** a connection is accepted, answered `503` and closed, and not left
//!   in the kernel's queue: its client learns at once that it should go elsewhere.
//! - **A half-closed client is answered** (RFC 9112 section 9.6 lets it expect that). The price: a
//!   client that vanished is seen only when its answer is written.
//! - **Connections are closed in two steps**, sending side first, so that a refusal reaches a client
//!   that is still sending.
//! - **Requests are named and logged by the server**, not by a handler around the handler: so are its
//!   own refusals, and the bytes and the end that are logged are those of what went out.
//! - **Timeouts are the connection's own**, not hyper's: hyper does not tell a connection waiting
//!   for its next request from one sending a request slowly, and sets a timer per request.

mod access_log;
mod admission;
mod body;
mod check;
mod compress;
mod connection;
mod encoding;
mod files;
mod handler;
mod limits;
mod listener;
mod redirect;
mod refusal;
mod request_id;
mod router;
mod server;
mod stats;
mod tls;
mod workers;

pub use access_log::{AccessLog, AccessLogError, LogFormat, LogTarget, ServedBy};
pub use admission::{Admission, Permit, Refused, overloaded_response};
pub use body::{BodyError, BoxError, RequestBody, ResponseBody};
pub use compress::Compression;
pub use encoding::{AcceptEncoding, Coding};
pub use files::{ByteRange, ByteRanges, FileOptions, FilesError, StaticFiles};
pub use handler::{Handler, HandlerFn, Peer};
pub use limits::{Limits, raise_open_files};
pub use listener::BindError;
pub use redirect::{AnswerError, Fixed, Redirect};
pub use refusal::Refusal;
pub use request_id::{RequestIds, X_REQUEST_ID};
pub use router::{Match, RouteConflict, Router, RouterBuilder, request_host};
pub use server::{DrainReport, Server, ServerConfig};
pub use stats::{ServerStats, StatsSnapshot};
pub use tls::{CertificateFiles, Tls, TlsError};
pub use workers::Workers;
