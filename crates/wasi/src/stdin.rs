//! The caller's standard input, without a thread of its own.
//!
//! Starting a thread and waking it costs a short run more than what it reads. So the descriptor is
//! asked first whether a read would wait; only then its readiness is awaited, by the runtime's driver.

use std::{
    future::poll_fn,
    io,
    os::fd::{AsFd as _, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::io::{AsyncRead, Interest, ReadBuf, unix::AsyncFd};
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream},
    p2::{Pollable, StreamError, StreamResult},
};
use wasmtime_wasi_io::streams::InputStream;

/// Most bytes of one read.
const PIECE: usize = 64 << 10;

/// Standard input of this process, for a guest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stdin;

/// One reader of it. Several take turns, each byte goes to one of them.
#[derive(Debug, Default)]
struct Reader {
    /// Set up when there was nothing to read for the first time.
    watched: Option<AsyncFd<OwnedFd>>,
}

// === impl Stdin ===

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        io::IsTerminal::is_terminal(&io::stdin())
    }
}

impl StdinStream for Stdin {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(Reader::default())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Reader::default())
    }
}

// === impl Reader ===

impl Reader {
    /// Takes what is there: `WOULDBLOCK` if that is nothing yet, no bytes at the end.
    fn read(into: &mut [u8]) -> Result<usize, Errno> {
        if !readable()? {
            return Err(Errno::WOULDBLOCK);
        }
        match rustix::io::read(io::stdin(), into) {
            Err(Errno::INTR) => Err(Errno::WOULDBLOCK),
            done => done,
        }
    }

    /// Waits until a read would not wait.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if readable()? {
            return Poll::Ready(Ok(()));
        }
        let watched = match &mut self.watched {
            Some(watched) => watched,
            // A descriptor of its own, as readers are watched one by one.
            none => none.insert(watch()?),
        };
        loop {
            let mut guard = ready!(watched.poll_read_ready(cx))?;
            if readable()? {
                return Poll::Ready(Ok(()));
            }
            guard.clear_ready();
        }
    }
}

/// Watches standard input by a descriptor of its own: each can be watched only once.
#[allow(unsafe_code, reason = "Tokio cannot see for itself that this descriptor stays open")]
fn watch() -> io::Result<AsyncFd<OwnedFd>> {
    let own = io::stdin().as_fd().try_clone_to_owned()?;
    // SAFETY: the registration owns the descriptor, which nobody else has, and closes it when it ends.
    unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }.map_err(Into::into)
}

fn readable() -> Result<bool, Errno> {
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut wanted, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut bytes = BytesMut::zeroed(size.min(PIECE));
        if bytes.is_empty() {
            return Ok(Bytes::new());
        }
        match Self::read(&mut bytes) {
            Ok(0) => Err(StreamError::Closed),
            Ok(read) => {
                bytes.truncate(read);
                Ok(bytes.freeze())
            }
            Err(Errno::WOULDBLOCK) => Ok(Bytes::new()),
            Err(error) => Err(StreamError::LastOperationFailed(io::Error::from(error).into())),
        }
    }
}

// The trait is declared with `async_trait`; this is what that expands to.
impl Pollable for Reader {
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            // What went wrong is found out by the read that follows.
            let _ = poll_fn(|cx| self.poll_readable(cx)).await;
        })
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_readable(cx))?;
            let room = into.remaining().min(PIECE);
            match Self::read(into.initialize_unfilled_to(room)) {
                Ok(read) => {
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}
