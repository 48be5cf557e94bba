//! A file, or parts of it, as a body.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::root::{self, Wait};

/// Bytes read at once.
pub(super) const CHUNK: u64 = 64 * 1024;

/// What a body is put together from.
#[derive(Debug)]
pub(super) enum Piece {
    Held(Bytes),
    File { at: u64, left: u64 },
}

/// Pieces in their order. What the kernel has in memory is read on the worker; the disk is waited
/// for on a thread of its own. One chunk at a time is held.
#[derive(Debug)]
pub(super) struct FileBody {
    file: Arc<File>,
    pieces: VecDeque<Piece>,
    left: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileBody {
    pub(super) fn new(file: File, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let pieces: VecDeque<_> = pieces.into_iter().collect();
        let length = |piece: &Piece| match piece {
            Piece::Held(bytes) => bytes.len() as u64,
            Piece::File { left, .. } => *left,
        };
        let left = pieces.iter().map(length).fold(0, u64::saturating_add);
        Self { file: Arc::new(file), pieces, left, reading: None }
    }

    /// The next bytes of a piece of the file: `left` of them at `at`, at most a chunk.
    fn read(&mut self, cx: &mut Context<'_>, at: u64, left: u64) -> Poll<io::Result<Vec<u8>>> {
        if self.reading.is_none() {
            let length = left.min(CHUNK) as usize;
            match root::read(&self.file, at, length, Wait::No) {
                Ok(bytes) => return Poll::Ready(Ok(bytes)),
                Err(_) => {
                    let file = Arc::clone(&self.file);
                    self.reading = Some(tokio::task::spawn_blocking(move || {
                        root::read(&file, at, length, Wait::Yes)
                    }));
                }
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Pending };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let bytes = match this.pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::Held(bytes)) => bytes,
            Some(Piece::File { at, left }) => {
                let Poll::Ready(read) = this.read(cx, at, left) else {
                    this.pieces.push_front(Piece::File { at, left });
                    return Poll::Pending;
                };
                let read = read?;
                if read.is_empty() && left > 0 {
                    this.pieces.clear();
                    let shorter = "the file became shorter while it was sent";
                    let error = io::Error::new(io::ErrorKind::UnexpectedEof, shorter);
                    return Poll::Ready(Some(Err(error)));
                }
                let (at, left) = (at + read.len() as u64, left - read.len() as u64);
                if left > 0 {
                    this.pieces.push_front(Piece::File { at, left });
                }
                read.into()
            }
        };
        this.left = this.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
