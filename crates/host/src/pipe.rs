//! What a CGI-style guest writes, on its way to the client: bounded, so that a slow client slows the
//! guest down instead of filling memory.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{Pollable, StreamError, StreamResult},
};
use wasmtime_wasi_io::streams::OutputStream;

use crate::Failure;

/// Bytes that may lie in a pipe before the writer has to wait.
const CAPACITY: usize = 256 << 10;

/// A pipe out of a guest. Cloning shares it; the guest has any number of writing ends, the host one
/// reading end.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    length: usize,
    /// The guest ended, well or not.
    ended: Option<bool>,
    /// Why it did not end well.
    failure: Option<Failure>,
    /// Nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Says at its end that the guest has ended, if nobody has said so before.
pub(crate) struct Ending(pub(crate) Pipe);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(true);
    }
}

/// The reading end.
pub(crate) struct Reader(Pipe);

impl Pipe {
    pub(crate) fn new() -> (Self, Reader) {
        let pipe = Self::default();
        (pipe.clone(), Reader(pipe))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest ended.
    pub(crate) fn end(&self, well: bool) {
        self.end_with(well, None);
    }

    /// The guest could not be started, or trapped.
    pub(crate) fn fail(&self, failure: Failure) {
        self.end_with(false, Some(failure));
    }

    fn end_with(&self, well: bool, failure: Option<Failure>) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.ended = Some(well);
            state.failure = failure;
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    fn put(&self, bytes: Bytes) -> bool {
        let mut state = self.lock();
        if state.unread {
            return false;
        }
        state.length += bytes.len();
        state.pieces.push_back(bytes);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        true
    }

    /// Ready when there is room, or nobody to make room for.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.unread || state.length < CAPACITY {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Reader {
    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.lock();
        if let Some(piece) = state.pieces.pop_front() {
            state.length -= piece.len();
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(piece));
        }
        if state.ended.is_some() {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) async fn next(&self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Puts back what was read too far.
    pub(crate) fn unread(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let mut state = self.0.lock();
            state.length += bytes.len();
            state.pieces.push_front(bytes);
        }
    }

    /// Why the guest did not end well; once.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.lock().failure.take()
    }

    /// The guest ended badly.
    pub(crate) fn failed(&self) -> bool {
        self.0.lock().ended == Some(false)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.unread = true;
        state.pieces.clear();
        state.length = 0;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

/// The reading end as a body that shares it.
pub(crate) struct PipeBody(pub(crate) Arc<Reader>);

impl Body for PipeBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_piece(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.put(bytes) { Ok(()) } else { Err(StreamError::Closed) }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.lock();
        if state.unread {
            return Err(StreamError::Closed);
        }
        Ok(CAPACITY.saturating_sub(state.length))
    }
}

// The trait is declared with `async_trait`; this is what that expands to.
impl Pollable for Pipe {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(poll_fn(|cx| self.poll_room(cx)))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.poll_room(cx).is_pending() {
            return Poll::Pending;
        }
        let fits = bytes.len().min(CAPACITY);
        if self.put(Bytes::copy_from_slice(&bytes[..fits])) {
            Poll::Ready(Ok(fits))
        } else {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
