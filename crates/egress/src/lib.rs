//! Egress: where a workload may connect, and the HTTP client that connects there and nowhere else.
//!
//! * [`Egress`]: all destinations that a workload was granted, deny by default;
//! * [`Refusal`]: what a person reads when a connection was not granted;
//! * [`Client`]: HTTP/1.1 and HTTP/2 with a bounded pool and a deadline on every wait;
//! * [`Sockets`]: the same rules for raw TCP and UDP;
//! * [`Resolve`]: names to addresses, with [`SystemResolver`] for the machine's own way.
//! * [`Reach`]: the same rules for clients of other protocols, of which [`Granted`] knows a workload's;
//! * [`Tls`], [`TlsClient`] and [`Backoff`]: what clients of other protocols have in common, and [`explained`] for
//!   what goes wrong with TLS.
//!
//! A name that is granted does not grant the private network behind it. Every address that a name
//! resolves to is checked, and the address that was checked is the one that is connected to, so a
//! name server in somebody else's hands cannot point a workload at the host's own network.

mod backoff;
mod body;
mod client;
mod connector;
mod error;
mod explained;
mod policy;
mod reach;
mod resolver;
mod slots;
mod sockets;
mod tls;

pub use backoff::Backoff;
pub use body::Body;
pub use client::{Client, ClientConfig, Timeouts};
pub use error::SendError;
pub use explained::{CLIENT_CERTIFICATE, explained, tls_failure};
pub use policy::{Egress, Refusal};
pub use reach::{Anywhere, Granted, Reach, Way};
pub use resolver::{Lookup, LookupError, Resolve, SystemResolver};
pub use sockets::Sockets;
pub use tls::{Identity, PemError, Tls, TlsClient};

/// An error of a kind that is the caller's, as HTTP bodies carry it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
