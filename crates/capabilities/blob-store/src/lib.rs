//! Blobs in containers, streamed in constant memory.
//!
//! [`BlobStore`] is what a backend does; [`BACKENDS`] is all of them. An adapter of a published interface uses a
//! [`Container`], which puts each call through its link's gate, checks names and sizes, and gives each step of a
//! stream a deadline.
//!
//! A stream moves pieces of at most [`CHUNK`] bytes, and neither side is ever more than a few of them ahead of the
//! other. An object is visible when its upload is finished, and not before: whole, or as it was. Of an upload that
//! is dropped nothing stays.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod blob;
mod cloud;
mod component;
mod container;
mod file;
mod memory;
mod nats;
mod store;

use reef_capability::Backend;

pub use blob::{Blob, Listing, Writing};
pub use container::{Container, OPERATIONS};
pub use store::{
    At, BlobStore, CHUNK, CONTAINER, ContainerInfo, Names, OBJECT, ObjectInfo, Reading, Removed,
    Upload,
};

/// What a manifest calls this capability.
pub const CAPABILITY: &str = "blob-store";

/// All backends; the first is the one of a link that names none.
pub static BACKENDS: &[Backend<dyn BlobStore>] =
    &[file::BACKEND, memory::BACKEND, cloud::S3, cloud::AZURE, cloud::GCS, nats::BACKEND];
