//! What a server sends, watched: no message may be larger than a limit, and the state that a server tells after each
//! request is kept. The driver would keep a whole message in memory before anybody could look at its size.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Bytes of a message before its contents: a letter, and the length of what follows it.
const HEADER: usize = 5;
/// The message that tells a connection's state (PostgreSQL, "Message Formats", `ReadyForQuery`).
const READY: u8 = b'Z';

/// What is known of a connection from what its server sent.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Bytes of the largest message that is read.
    pub(crate) most: AtomicU64,
    /// `I`, `T` or `E`, as the server says.
    pub(crate) state: AtomicU8,
}

/// A stream from a server.
#[derive(Debug)]
pub(crate) struct Bounded<S> {
    inner: S,
    watched: Arc<Watched>,
    /// Bytes before the first message: the one that answers a request for TLS.
    skip: usize,
    frame: Frame,
}

/// Where in a message the stream stands.
#[derive(Debug, Default)]
struct Frame {
    header: [u8; HEADER],
    have: usize,
    left: u64,
}

/// A connector of TLS over a [`Bounded`] stream that gives one.
pub(crate) struct Secured<C>(pub(crate) C);

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S, watched: Arc<Watched>, asks_for_tls: bool) -> Self {
        Self { inner, watched, skip: usize::from(asks_for_tls), frame: Frame::default() }
    }
}

impl Frame {
    /// Looks at the next bytes.
    fn read(&mut self, mut bytes: &[u8], watched: &Watched) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.have < HEADER {
                let (now, rest) = bytes.split_at(bytes.len().min(HEADER - self.have));
                for byte in now {
                    if let Some(place) = self.header.get_mut(self.have) {
                        *place = *byte;
                    }
                    self.have += 1;
                }
                bytes = rest;
                if self.have == HEADER {
                    self.begin(watched)?;
                }
                continue;
            }
            let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (contents, rest) = bytes.split_at(now);
            if self.header.first() == Some(&READY)
                && let Some(state) = contents.first()
            {
                watched.state.store(*state, Ordering::Release);
            }
            self.left -= now as u64;
            bytes = rest;
            self.end();
        }
        Ok(())
    }

    fn begin(&mut self, watched: &Watched) -> io::Result<()> {
        let [_, length @ ..] = self.header;
        let length = u64::from(u32::from_be_bytes(length));
        let most = watched.most.load(Ordering::Relaxed);
        if length < 4 {
            return Err(invalid("the server sent something that is not PostgreSQL's protocol".into()));
        }
        if length > most {
            return Err(invalid(format!(
                "the server sent a message of {length} bytes, and {most} are allowed: ask for less at once"
            )));
        }
        self.left = length - 4;
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        if self.left == 0 {
            self.have = 0;
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let this = &mut *self;
        let new = buffer.filled().get(before..).unwrap_or_default();
        let skip = this.skip.min(new.len());
        this.skip -= skip;
        let messages = new.get(skip..).unwrap_or_default();
        Poll::Ready(this.frame.read(messages, &this.watched))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Bounded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

impl<S, C> TlsConnect<Bounded<S>> for Secured<C>
where
    C: TlsConnect<S>,
    C::Future: Send + 'static,
{
    type Stream = Bounded<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: Bounded<S>) -> Self::Future {
        // What is watched is the protocol, which is inside.
        let Bounded { inner, watched, .. } = stream;
        let connecting = self.0.connect(inner);
        Box::pin(async move { Ok(Bounded::new(connecting.await?, watched, false)) })
    }
}

#[cfg(test)]
mod tests;
