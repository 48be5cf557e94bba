//! What a backend does.

use std::{ops::Range, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::{Failure, Setting};

/// Bytes of one piece of a stream, at most.
pub const CHUNK: usize = 256 << 10;
/// Names of one page of a list, at most.
pub(crate) const PAGE: usize = 1000;

/// What is not found ([`Failure::NotFound`]), if it is a container.
pub const CONTAINER: &str = "container";
/// What is not found ([`Failure::NotFound`]), if it is an object.
pub const OBJECT: &str = "object";

/// The setting that bounds an object, which every backend takes.
pub(crate) const MAX_OBJECT: Setting = Setting::new(
    "max-object",
    "how large an object may be: `1GiB`; without, as the backend has it",
);

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// Its container.
    pub container: &'a str,
    /// Its name in it.
    pub object: &'a str,
}

/// What is known of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerInfo {
    /// When it was created, where the backend knows.
    pub created: Option<SystemTime>,
}

/// What is known of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// When this version of it was written, where the backend knows.
    pub created: Option<SystemTime>,
    /// Its size in bytes.
    pub size: u64,
}

/// An object that is being read. It stays the version that it was, or fails: never a mixture.
pub struct Reading {
    /// The whole object's.
    pub info: ObjectInfo,
    /// The part that comes: what was asked for, as far as there is any.
    pub range: Range<u64>,
    /// Its bytes, in pieces of [`CHUNK`] at most, asked for one by one.
    pub chunks: BoxStream<'static, Result<Bytes, Failure>>,
}

/// Names of objects in pages, each once and in no order. What is written or deleted meanwhile may be there or not.
pub type Names = BoxStream<'static, Result<Vec<String>, Failure>>;

/// How far a removal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// All is gone.
    All,
    /// Some is, and the same call goes on.
    Some,
}

/// An object that is being written. Dropped before it is finished, it was never there.
#[async_trait]
pub trait Upload: Send {
    /// Takes the next piece, and returns when there is room for another.
    ///
    /// # Errors
    /// When it cannot be stored; then nothing but dropping it is of use.
    async fn write(&mut self, piece: Bytes) -> Result<(), Failure>;

    /// Makes the object visible in place of one that was there. When this returns, it is as safe as the backend
    /// makes anything.
    ///
    /// # Errors
    /// When it could not be done; the object is as it was, unless the failure says that it may have been done.
    async fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// Where blobs are kept. Names are any text: a backend that cannot have one says so ([`Failure::Invalid`]).
///
/// # Errors
/// Where a container or object that has to be there is not, [`Failure::NotFound`] of [`CONTAINER`] or [`OBJECT`];
/// where there is no room, [`Failure::Full`].
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Makes an empty one; [`Failure::Conflict`] if there is one of that name.
    async fn create_container(&self, container: &str) -> Result<(), Failure>;

    /// Removes one and all in it.
    async fn delete_container(&self, container: &str) -> Result<Removed, Failure>;

    /// What is known of one.
    async fn container_info(&self, container: &str) -> Result<ContainerInfo, Failure>;

    /// Removes all in one.
    async fn clear(&self, container: &str) -> Result<Removed, Failure>;

    /// Opens an object, and of it the bytes of a range, which is cut to what there is.
    async fn read(&self, at: At<'_>, range: Range<u64>) -> Result<Reading, Failure>;

    /// Begins to write an object.
    async fn write(&self, at: At<'_>) -> Result<Box<dyn Upload>, Failure>;

    /// Removes objects: those that are not there are gone already.
    async fn delete(&self, container: &str, objects: &[String]) -> Result<(), Failure>;

    /// What is known of an object.
    async fn info(&self, at: At<'_>) -> Result<ObjectInfo, Failure>;

    /// Copies an object, over one that is there.
    async fn copy(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure>;

    /// Moves an object, over one that is there. It is at one of both places at any time, or at both.
    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure>;

    /// The names of all objects.
    async fn list(&self, container: &str) -> Result<Names, Failure>;

    /// The largest object in bytes, by the setting `max-object` or by its own bounds.
    fn max_object(&self) -> Option<u64>;

    /// Bytes that one step of a stream moves at most: steps that move many may take longer.
    fn step(&self) -> usize {
        CHUNK
    }
}

impl Reading {
    /// The part of an object that a range is.
    pub(crate) fn part(range: &Range<u64>, size: u64) -> Range<u64> {
        let start = range.start.min(size);
        start..range.end.clamp(start, size)
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("info", &self.info)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for dyn BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStore").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for dyn Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

/// There is no such container.
pub(crate) fn no_container(name: &str) -> Failure {
    Failure::NotFound { what: CONTAINER, name: name.to_owned() }
}

/// There is no such object.
pub(crate) fn no_object(name: &str) -> Failure {
    Failure::NotFound { what: OBJECT, name: name.to_owned() }
}

/// A container of that name is there.
pub(crate) fn container_exists(name: &str) -> Failure {
    Failure::Conflict(format!("there is a container `{name}` already"))
}
