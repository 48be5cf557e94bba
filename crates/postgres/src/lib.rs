//! Connections to PostgreSQL, for every capability that is kept in one.
//!
//! * [`Address`]: a server, from a URL or `key=value` pairs, as `libpq` has them;
//! * [`Reach`]: which addresses a name may be reached at: [`Anywhere`], or what a workload was [`Granted`];
//! * [`Pool`]: a bounded number of connections. Each knows whether it is [in a transaction](Pooled::state), reads no
//!   message larger than it may, and is rolled back and reset before somebody else has it;
//! * [`Notice`]: what went wrong, told apart by what can be done about it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod address;
mod bounded;
mod notice;
mod pool;

pub use address::{Address, AddressError};
pub use notice::Notice;
pub use pool::{Notifications, Options, Pool, Pooled};
pub use reef_egress::{Anywhere, Granted, Reach, TlsClient};
pub use tokio_postgres;

/// Whether a connection is in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not.
    Idle,
    /// It is.
    Transaction,
    /// It is in one that failed, and does nothing but roll back.
    Failed,
}
