//! The capability `sql`: relational databases.
//!
//! [`Sql`] is what each backend does: it begins [`Session`]s, which run [`Statement`]s whose parameters are always
//! bound, and give [`Rows`] in batches of bounded size. A transaction that was not committed ends with its session.
//! Guests' interfaces use a [`Database`], which puts each use through its link's gate.
//!
//! * `embedded`: SQLite, a file for each database in the application's own folder;
//! * `postgres`: PostgreSQL;
//! * `mysql`: MySQL and MariaDB.
//!
//! What a workload may connect to by itself, with an address of its own, is reached through [`Addresses`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod addresses;
mod database;
mod embedded;
mod error;
mod mysql;
mod postgres;
mod session;
mod transaction;
mod value;

use reef_capability::Backend;

pub use addresses::{Addresses, Server};
pub use database::{Connection, Database, OPERATIONS};
pub use error::{Result, Said, SqlError};
pub use session::{Column, Done, Limits, Most, Row, Rows, Session, Sql, Statement, Table};
pub use value::{Date, Interval, Kind, Range, Time, Value, parse_uuid, uuid};

/// What a manifest calls it.
pub const CAPABILITY: &str = "sql";

/// The databases that there are.
pub static BACKENDS: &[Backend<dyn Sql>] = &[embedded::BACKEND, postgres::BACKEND, mysql::BACKEND];
