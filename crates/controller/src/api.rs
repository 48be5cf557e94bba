//! Requests of clients on the bus: `reef.LATTICE.api.OPERATION`, JSON in and out.
//!
//! Any controller answers, from what it knows of the store and the hosts, and writes what is asked with the revision that
//! it looked at expected. So clients need no access to the store, and it does not matter who leads.
//!
//! An answer is `{"ok": …}` or `{"error": {"code": …, "message": …, "faults": […]}}`.

mod accept;
mod change;
mod client;
mod look;
mod places;
mod server;
mod types;

use async_trait::async_trait;
use reef_app::Application;
use reef_lattice::record::File;

pub use self::{
    client::{CallError, Client},
    types::*,
};

#[cfg(test)]
pub(crate) use self::accept::previous_of;
pub(crate) use self::server::answer;
pub(crate) use self::{
    accept::{Looked, Wants, accept, is_new_version},
    change::{Fault, To, change},
    places::Places,
    server::Server,
};

/// Has artifacts of a manifest fetched and kept for the lattice, where a client sent nothing but the manifest.
#[async_trait]
pub trait Pin: std::fmt::Debug + Send + Sync {
    /// Writes the digest of each artifact into the application. The files that it is made of, which are in the lattice's
    /// objects then.
    ///
    /// # Errors
    /// In words for people: what cannot be had, and why.
    async fn pin(&self, application: &mut Application) -> Result<Vec<File>, String>;
}
