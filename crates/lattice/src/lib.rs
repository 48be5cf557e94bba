//! What the hosts of a lattice share.
//!
//! | what | for | on one machine | on many |
//! | --- | --- | --- | --- |
//! | [`Bus`] | requests, heartbeats | in this process | NATS |
//! | [`Store`] | what is wanted, leases; acknowledged is kept | a file (redb) | JetStream key-value |
//! | [`Objects`] | artifacts and files, by digest | a folder | JetStream object store |
//!
//! Everything above them is the same on one machine and on many. A [`Mirror`] is a part of the store as it is known here.
//! [`record`] is what is kept in the store and said on the bus, and [`accept`] how a manifest
//! becomes such records.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

pub mod accept;
mod address;
pub mod key;
mod local;
mod mirror;
mod nats;
mod objects;
pub mod record;
mod store;

use std::{fmt, path::Path, sync::Arc};

pub use reef_bus::Bus;
pub use reef_capability::Failure;

pub use self::{
    address::{Address, AddressError, SETTINGS},
    key::Key,
    mirror::{Mirror, View},
    objects::{Digest, NoDigest, ObjectStream, Objects, Unheld},
    store::{Change, Changes, Entry, Expected, Store},
};

/// A lattice, as one of its hosts or clients has it. Cheap to clone.
#[derive(Clone)]
pub struct Lattice {
    /// What it is called: several may share one cluster of servers.
    pub name: Arc<str>,
    /// How hosts talk.
    pub bus: Arc<dyn Bus>,
    /// What is wanted.
    pub store: Arc<dyn Store>,
    /// What it is made of.
    pub objects: Arc<dyn Objects>,
}

impl fmt::Debug for Lattice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lattice").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a lattice is called when nobody says it.
pub const DEFAULT: &str = "default";

impl Lattice {
    /// One of these parts.
    pub fn new(
        name: &str,
        bus: Arc<dyn Bus>,
        store: Arc<dyn Store>,
        objects: Arc<dyn Objects>,
    ) -> Self {
        Self { name: name.into(), bus, store, objects }
    }

    /// The lattice of one machine, in a folder, which is made if it is not there. One process at a time has it. It
    /// looks at the disk: a moment, and more after a crash.
    ///
    /// # Errors
    /// When another process has it open, which is named; when the disk fails.
    pub fn local(folder: &Path) -> Result<Self, Failure> {
        local::open(folder)
    }

    /// The lattice at an address. Nothing is connected to yet: that is done when something is asked of it, and for ever
    /// again when it is lost. What is needed there is made.
    ///
    /// # Errors
    /// When what the address says of files or credentials is wrong; outside of a runtime.
    pub fn nats(address: &Address) -> Result<Self, Failure> {
        nats::open(address)
    }

    /// The lattice at an address, or else that of this machine in a folder.
    ///
    /// # Errors
    /// As [`nats`](Self::nats) and [`local`](Self::local).
    pub fn open(address: Option<&Address>, folder: &Path) -> Result<Self, Failure> {
        match address {
            Some(address) => Self::nats(address),
            None => Self::local(folder),
        }
    }

    /// Whether everything that is needed is there: for who starts.
    ///
    /// # Errors
    /// [`Failure::Unsupported`] with what the servers lack and what to do about it, which no waiting helps;
    /// [`Failure::Denied`] where they do not let this one in; others where they cannot be reached, which may pass.
    pub async fn check(&self) -> Result<(), Failure> {
        // Whatever is asked: to answer, all of it has to be there.
        let nothing = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let digest =
            nothing.parse().map_err(|error: NoDigest| Failure::Invalid(error.to_string()))?;
        let key = Key::new(&[key::kind::LATTICE]);
        let key = key.map_err(|error| Failure::Invalid(error.to_string()))?;
        self.store.get(&key).await?;
        self.objects.has(&digest).await.map(drop)
    }
}
