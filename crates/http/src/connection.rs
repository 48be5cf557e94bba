//! One client connection, from its first byte to its last.

mod h1;
mod h2;
mod io;
mod length;
mod reset;
mod service;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use crate::access_log::{End, Line};
use crate::handler::{Handler, Peer};
use crate::refusal::Refusal;
use crate::server::Running;
use crate::tls::Tls;
use io::ClientIo;

pub(crate) use h1::builder as h1_builder;

/// How long a closed connection is read from, so that the last answer reaches a client that is
/// still sending (closing at once would reset the connection and could destroy the answer:
/// RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// What the parts of one connection know of each other: hyper reads and writes, the handler runs,
/// and the driver has to tell idle from busy without asking any of them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) running: Arc<Running>,
    pub(crate) peer: Peer,
    /// The worker that the connection lives on.
    pub(crate) home: usize,
    /// Requests, responses and bodies not yet done with.
    parts: AtomicU32,
    /// Of HTTP/1: one of the constants below. Read only while there are no parts.
    stage: AtomicU8,
    /// Requests begun.
    requests: AtomicU64,
    /// Closing needs no lingering: nothing was just sent.
    abrupt: AtomicBool,
}

/// No byte of a next request yet, all of the last response written.
const IDLE: u8 = 0;
/// Some bytes of a request's head have come.
const HEAD: u8 = 1;
/// A request was taken; its response may still be in hyper's buffers.
const TAKEN: u8 = 2;

impl Shared {
    fn begin_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.stage.store(TAKEN, Ordering::Release);
    }

    fn on_read(&self) {
        if self.stage.load(Ordering::Relaxed) == IDLE {
            self.stage.store(HEAD, Ordering::Relaxed);
        }
    }

    fn on_flushed(&self) {
        if self.stage.load(Ordering::Relaxed) == TAKEN && self.parts.load(Ordering::Acquire) == 0 {
            self.stage.store(IDLE, Ordering::Relaxed);
        }
    }

    /// Whether what hyper writes now is its own answer to a head that it could not read.
    fn is_between_requests(&self) -> bool {
        self.stage.load(Ordering::Relaxed) != TAKEN
    }

    /// A line of the access log for a request of which no handler has heard.
    fn log_unread(&self, refusal: &Refusal) {
        if let Some(log) = &self.running.access_log {
            // The text and the end of its line.
            let bytes = refusal.to_string().len() + 1;
            log.write(&Line::unread(self.peer.remote, refusal.status(), bytes), End::Whole);
        }
    }

    fn is_busy(&self) -> bool {
        self.parts.load(Ordering::Acquire) != 0
    }

    /// Whether a request's head has begun but not ended.
    fn in_head(&self) -> bool {
        !self.is_busy() && self.stage.load(Ordering::Relaxed) == HEAD
    }
}

/// Something that keeps a connection from being idle while it lives.
#[derive(Debug)]
pub(crate) struct Part {
    shared: Arc<Shared>,
}

impl Part {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.parts.fetch_add(1, Ordering::AcqRel);
        Self { shared: Arc::clone(shared) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.shared.parts.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request needs besides itself.
#[derive(Debug)]
pub(crate) struct Conn<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
}

/// Serves a connection that was just accepted, until it ends.
pub(crate) async fn serve<H: Handler>(
    stream: TcpStream,
    handler: Arc<H>,
    running: Arc<Running>,
    tls: Option<Tls>,
    peer: Peer,
    home: usize,
) {
    let shared = Arc::new(Shared {
        peer,
        home,
        parts: AtomicU32::new(0),
        stage: AtomicU8::new(IDLE),
        requests: AtomicU64::new(0),
        abrupt: AtomicBool::new(false),
        running,
    });
    let conn = Arc::new(Conn { handler, shared });
    match tls {
        None => serve_clear(stream, conn).await,
        Some(tls) => serve_tls(stream, &tls, conn).await,
    }
}

async fn serve_clear<H: Handler>(stream: TcpStream, conn: Arc<Conn<H>>) {
    let mut io = ClientIo::new(stream, Arc::clone(&conn.shared));
    // A client that waits before its first request is idle; a drain does not wait for it.
    let idle = conn.shared.running.limits.idle_timeout;
    let preface = tokio::select! {
        preface = io.read_preface() => preface,
        () = conn.shared.running.signal.draining() => return,
        () = tokio::time::sleep(idle) => {
            conn.shared.running.stats.timeout();
            return;
        }
    };
    match preface {
        // Boxed apart, so that a connection that sends nothing is small.
        Ok(io::Preface::H1) => Box::pin(h1::drive(io, conn)).await,
        Ok(io::Preface::H2) => Box::pin(h2::drive(io, conn)).await,
        Ok(io::Preface::Closed) => {}
        Err(error) => tracing::debug!(remote = %conn.shared.peer.remote, %error, "connection lost"),
    }
}

async fn serve_tls<H: Handler>(stream: TcpStream, tls: &Tls, conn: Arc<Conn<H>>) {
    let running = &conn.shared.running;
    let limit = running.limits.tls_handshake_timeout;
    let remote = conn.shared.peer.remote;
    let handshake = Box::pin(tokio::time::timeout(limit, tls.accept(stream)));
    let stream = tokio::select! {
        shaken = handshake => match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                running.stats.tls_failure();
                tracing::debug!(%remote, %error, "TLS handshake failed");
                return;
            }
            Err(_elapsed) => {
                running.stats.tls_failure();
                running.stats.timeout();
                tracing::debug!(%remote, "TLS handshake took longer than {limit:?}");
                return;
            }
        },
        () = running.signal.cut() => return,
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = ClientIo::new(stream, Arc::clone(&conn.shared));
    if h2 { Box::pin(h2::drive(io, conn)).await } else { Box::pin(h1::drive(io, conn)).await }
}

/// A stream to a client.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The socket below.
    fn tcp(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Since when a connection is in the state it is in. The driver asks whenever it is polled, so the
/// clock is read only when a state has changed, and not for each of the steps between.
#[derive(Debug)]
struct Since {
    state: (u64, bool),
    at: Instant,
}

impl Since {
    fn new(shared: &Shared) -> Self {
        Self { state: (shared.requests.load(Ordering::Relaxed), false), at: Instant::now() }
    }

    /// When the connection, which is not busy, ended its last request or began its head.
    fn of(&mut self, shared: &Shared) -> Instant {
        let state = (shared.requests.load(Ordering::Relaxed), shared.in_head());
        if self.state != state {
            *self = Self { state, at: Instant::now() };
        }
        self.at
    }
}

/// A timer for a deadline that keeps moving away: it is set again only when it has fired too early,
/// so moving the deadline costs nothing.
#[derive(Debug)]
struct Deadline {
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Deadline {
    fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), armed: None }
    }

    /// Whether `deadline` has passed; if not, the task is woken when it does, or before.
    fn passed(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if self.armed.is_some_and(|armed| armed <= deadline) && !self.sleep.is_elapsed() {
            return false;
        }
        if Instant::now() >= deadline {
            return true;
        }
        self.sleep.as_mut().reset(deadline);
        self.armed = Some(deadline);
        self.sleep.as_mut().poll(cx).is_ready()
    }
}
