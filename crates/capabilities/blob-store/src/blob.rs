//! Streams of a link: objects that are read and written, and lists of them. Each holds a place among the link's
//! uses in progress, and each of its steps has a deadline.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use reef_capability::{Failure, Link, Operation};
use tokio::sync::OwnedSemaphorePermit;

use crate::store::{BlobStore, CHUNK, Names, OBJECT, ObjectInfo, Reading, Upload};

/// The least that a backend is expected to move, in bytes a second: what moves many is given time by it.
const SLOWEST: u64 = 1 << 20;

/// An object that is being read.
#[derive(Debug)]
pub struct Blob {
    open: Open,
    reading: Reading,
    left: u64,
    /// What is left of the last piece, if it was larger than one may be.
    rest: Bytes,
}

/// An object that is being written. Dropped before it is finished, it was never there.
#[derive(Debug)]
pub struct Writing {
    open: Open,
    upload: Option<Box<dyn Upload>>,
    written: u64,
}

/// The names of a container's objects.
pub struct Listing {
    open: Open,
    names: Names,
}

/// A stream's place among the uses of its link; at its end it is told what came of it.
#[derive(Debug)]
pub(crate) struct Open {
    link: Arc<Link<dyn BlobStore>>,
    operation: &'static Operation,
    since: Instant,
    told: bool,
    _place: OwnedSemaphorePermit,
}

impl Open {
    pub(crate) fn new(
        link: Arc<Link<dyn BlobStore>>,
        operation: &'static Operation,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { link, operation, since: Instant::now(), told: false, _place: place }
    }

    /// One step, within the link's timeout and what the bytes that it may move take.
    pub(crate) async fn step<T>(
        &mut self,
        bytes: u64,
        act: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.step_for(Duration::from_secs(bytes / SLOWEST), act).await
    }

    /// One step, within the link's timeout and a time beside.
    pub(crate) async fn step_for<T>(
        &mut self,
        beside: Duration,
        act: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = self.link.gate.policy().timeout + beside;
        let done = tokio::time::timeout(limit, act).await;
        let done = done.unwrap_or(Err(Failure::Timeout(limit)));
        if let Err(failure) = &done {
            self.tell(Some(failure));
        }
        done
    }

    pub(crate) fn tell(&mut self, failure: Option<&Failure>) {
        if !std::mem::replace(&mut self.told, true) {
            self.link.gate.note(self.operation, self.since.elapsed(), failure);
        }
    }

    fn step_bytes(&self) -> u64 {
        self.link.backend.step() as u64
    }
}

impl Blob {
    pub(crate) fn new(open: Open, reading: Reading) -> Self {
        let left = reading.range.end - reading.range.start;
        Self { open, reading, left, rest: Bytes::new() }
    }

    /// The whole object's.
    pub fn info(&self) -> ObjectInfo {
        self.reading.info
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next piece, of [`CHUNK`] bytes at most; none at the end.
    ///
    /// # Errors
    /// When the backend fails, is too slow, or ends too early.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if self.left == 0 {
            self.open.tell(None);
            return Ok(None);
        }
        while self.rest.is_empty() {
            let (bytes, chunks) = (self.open.step_bytes(), &mut self.reading.chunks);
            let Some(piece) = self.open.step(bytes, chunks.try_next()).await? else {
                let failure = Failure::lost(format!("it ended {} bytes too early", self.left));
                self.open.tell(Some(&failure));
                return Err(failure);
            };
            self.rest = piece;
        }
        // Never more than was announced, whatever a backend does.
        let most = self.left.min(CHUNK as u64).min(self.rest.len() as u64);
        let piece = self.rest.split_to(usize::try_from(most).unwrap_or(CHUNK));
        self.left -= most;
        if self.left == 0 {
            self.rest = Bytes::new();
            self.open.tell(None);
        }
        Ok(Some(piece))
    }

    /// All that is left, if that is no more than the link's `max-size`.
    ///
    /// # Errors
    /// When it is more, and as [`next`](Self::next).
    pub async fn whole(&mut self) -> Result<Vec<u8>, Failure> {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX);
        self.open.link.gate.fits("object, as one value", size)?;
        let mut all = Vec::with_capacity(size);
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl Writing {
    pub(crate) fn new(open: Open, upload: Box<dyn Upload>) -> Self {
        Self { open, upload: Some(upload), written: 0 }
    }

    /// Takes the next piece, of whatever size, and returns when there is room for another.
    ///
    /// # Errors
    /// When it cannot be stored, or the object grows larger than it may: then the upload has ended.
    pub async fn write(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        let is = self.written.saturating_add(piece.len() as u64);
        let most = self.open.link.backend.max_object();
        if let Some(most) = most.filter(|most| is > *most) {
            let failure = Failure::TooLarge { what: OBJECT, is, most };
            self.abort();
            self.open.tell(Some(&failure));
            return Err(failure);
        }
        self.written = is;
        let bytes = self.open.step_bytes();
        let Some(upload) = &mut self.upload else { return Err(ended()) };
        while !piece.is_empty() {
            let part = piece.split_to(piece.len().min(CHUNK));
            let stored = self.open.step(bytes, upload.write(part)).await;
            if stored.is_err() {
                self.upload = None;
                return stored;
            }
        }
        Ok(())
    }

    /// Bytes that were taken.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the object visible.
    ///
    /// # Errors
    /// When that could not be done.
    pub async fn finish(mut self) -> Result<(), Failure> {
        let Some(upload) = self.upload.take() else { return Err(ended()) };
        self.open.step(self.open.step_bytes(), upload.finish()).await?;
        self.open.tell(None);
        Ok(())
    }

    fn abort(&mut self) {
        self.upload = None;
    }
}

impl Listing {
    pub(crate) fn new(open: Open, names: Names) -> Self {
        Self { open, names }
    }

    /// The next names; none at the end.
    ///
    /// # Errors
    /// When the backend fails or is too slow.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        loop {
            let page = self.open.step(0, self.names.try_next()).await?;
            match page {
                Some(page) if page.is_empty() => {}
                Some(page) => return Ok(Some(page)),
                None => {
                    self.open.tell(None);
                    // Whatever it would do when it is asked again.
                    self.names = futures::stream::empty().boxed();
                    return Ok(None);
                }
            }
        }
    }
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing").field("open", &self.open).finish_non_exhaustive()
    }
}

fn ended() -> Failure {
    Failure::Invalid("the upload failed before".to_owned())
}
