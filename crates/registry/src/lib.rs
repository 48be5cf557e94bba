//! Artifacts from elsewhere: downloads, OCI registries and Bindle servers.
//!
//! A [`Registry`] turns a [`Place`] into bytes. What has a digest is verified by it; what was fetched
//! once is kept in a folder by its digest, so that a digest that is there needs no network. A tag, a
//! bindle's name and an address without a digest are asked for anew each time; when whoever would
//! answer cannot be reached, what they were last is used, and said to be so ([`Progress::stale`]).
//!
//! Bounded: bytes, redirects, tries, downloads at once, and every wait.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod auth;
mod bindle;
mod client;
mod config;
mod credentials;
mod download;
mod error;
mod oci;
mod place;
mod progress;
mod registry;
mod store;

pub use config::Config;
pub use error::Error;
pub use place::{Place, PlaceError, is_remote};
pub use progress::{Progress, Silent, Transfer};
pub use registry::{Fetched, Registry};
pub use store::{Store, StoreError};
