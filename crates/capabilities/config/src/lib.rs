//! Configuration and secrets: values by their names.
//!
//! A [`Source`] is where values are: a manifest, the environment, files, NATS, Vault. A [`Store`] is a source as one
//! link sees it: only the names that the link grants, and what was read is good for a moment. [`Values`] are those of a
//! workload: its own, then those of its links. The two capabilities, [`CONFIG`] and [`SECRETS`], have the same sources
//! and differ in the interfaces that a guest sees.
//!
//! A value is a [`Value`], whichever of the two it is for: shown nowhere, and wiped when the last copy goes. Errors and
//! the log have names, paths and addresses, and nothing that a source answered.
//!
//! Another source is another file beside these, and another line in [`BACKENDS`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests"))]

mod environment;
mod file;
mod keys;
mod manifest;
mod nats;
mod store;
mod value;
mod values;
mod vault;

use std::fmt;

use async_trait::async_trait;
use reef_capability::{Backend, Failure};

pub use file::{Fault, Format, parse};
pub use keys::Keys;
pub use store::Store;
pub use value::Value;
pub use values::{OPERATIONS, Values};

/// What a manifest calls configuration.
pub const CONFIG: &str = "config";
/// What a manifest calls secrets.
pub const SECRETS: &str = "secrets";

/// Every source. The first is the one of a link that names none.
pub static BACKENDS: &[Backend<Store>] =
    &[manifest::BACKEND, environment::BACKEND, file::BACKEND, nats::BACKEND, vault::BACKEND];

/// Bytes of a name.
pub const LONGEST_NAME: usize = 512;
/// Bytes of a value, and of all values that are read at once.
pub const LARGEST: usize = 1 << 20;
/// Values that are read at once.
pub const MOST: usize = 1000;

/// Where values are.
///
/// A name was checked before: not empty, no longer than [`LONGEST_NAME`], without control characters, and granted.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The value of a name, if it has one.
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure>;

    /// Every value that is granted, each name once: at most [`MOST`], and [`LARGEST`] bytes.
    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure>;

    /// Whether it is one thing that is read as a whole: then only [`all`](Self::all) is used.
    fn is_whole(&self) -> bool {
        false
    }
}

/// Refuses more than is read at once.
fn few(values: &[(String, Value)], of: &str) -> Result<(), Failure> {
    if values.len() > MOST {
        return Err(Failure::Backend(format!("{of} has more than {MOST} values")));
    }
    let (is, most) = (values.iter().map(|(_, value)| value.len() as u64).sum(), LARGEST as u64);
    if is > most {
        return Err(Failure::TooLarge { what: "sum of all values", is, most });
    }
    Ok(())
}
