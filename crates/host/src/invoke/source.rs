//! What an argument's `@source` names, as bytes that can be taken a piece at a time.

use std::{
    fs::File,
    future::poll_fn,
    io::{self, Read},
    os::fd::AsFd,
    pin::Pin,
    sync::{Arc, OnceLock, mpsc as sync_mpsc},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body::Body as _;
use http_body_util::Empty;
use reef_egress::{Body, Client, Timeouts};
use tokio::sync::{mpsc, oneshot};
use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult, VecBuffer},
};

use super::call::Source;
use crate::Failure;

/// Bytes of one piece.
pub(super) const PIECE: usize = 256 << 10;

/// Pieces that may lie ready before somebody takes them.
pub(super) const AHEAD: usize = 4;

/// An open source.
///
/// An error ends it, and is kept as its [`Fault`]: the guest sees the end of a stream, and whoever
/// called it looks at the fault afterwards.
pub(super) struct Input {
    source: Source,
    origin: Origin,
    piece: Piece,
    at: usize,
    fault: Fault,
}

/// Why a source ended early, if it did. Clones are of one and the same.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<OnceLock<(String, String)>>);

enum Origin {
    /// Files have no readiness to wait for: a thread of their own reads ahead.
    Thread {
        pieces: mpsc::Receiver<io::Result<Piece>>,
        empty: sync_mpsc::Sender<Vec<u8>>,
    },
    Http(Body),
    Ended,
}

enum Piece {
    Read { buffer: Vec<u8>, length: usize },
    Received(Bytes),
}

/// Opens a source. The client is the workload's own: what it may not fetch, its caller may not fetch
/// for it.
///
/// # Errors
/// When there is nothing to read there, or it is not granted.
pub(super) async fn open(source: Source, client: &Client, fault: Fault) -> Result<Input, Failure> {
    let failed = |reason: String| Failure::Input { input: source.to_string(), reason };
    let origin = match &source {
        Source::File(path) => {
            let path = path.clone();
            threaded(move || File::open(path)).await.map_err(|error| failed(error.to_string()))?
        }
        Source::Stdin => {
            // Past the standard library's buffer: nothing else reads standard input here.
            threaded(|| Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?)))
                .await
                .map_err(|error| failed(error.to_string()))?
        }
        Source::Url(url) => Origin::Http(get(url, client).await.map_err(failed)?),
    };
    let piece = Piece::Received(Bytes::new());
    Ok(Input { source, origin, piece, at: 0, fault })
}

async fn threaded(open: impl FnOnce() -> io::Result<File> + Send + 'static) -> io::Result<Origin> {
    let (opened, is_open) = oneshot::channel();
    let (sender, pieces) = mpsc::channel(AHEAD);
    let (empty, emptied) = sync_mpsc::channel();
    // Not one of the runtime's threads: those are waited for at the end, and a read of a terminal
    // does not end.
    thread::Builder::new().name("reef-input".to_owned()).spawn(move || match open() {
        Ok(file) => {
            if opened.send(Ok(())).is_ok() {
                read(file, &sender, &emptied);
            }
        }
        // Without a receiver the call was given up.
        Err(error) => drop(opened.send(Err(error))),
    })?;
    is_open.await.map_err(io::Error::other)??;
    Ok(Origin::Thread { pieces, empty })
}

fn read(
    mut file: File,
    pieces: &mpsc::Sender<io::Result<Piece>>,
    emptied: &sync_mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let mut buffer = emptied.try_recv().unwrap_or_else(|_| vec![0; PIECE]);
        let piece = match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Piece::Read { buffer, length }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if pieces.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

async fn get(url: &str, client: &Client) -> Result<Body, String> {
    let uri: Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    let request = Request::get(uri)
        .header(header::USER_AGENT, concat!("reef/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    // How long the whole may take is the workload's deadline to say.
    let timeouts = Timeouts { total: Duration::MAX, ..Timeouts::default() };
    let response = client.send(request, timeouts).await.map_err(|error| error.to_string())?;
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let elsewhere = response.headers().get(header::LOCATION).and_then(|at| at.to_str().ok());
    Err(match elsewhere {
        Some(at) if status.is_redirection() => {
            format!("the server answered {status} and names {at}; redirects are not followed")
        }
        _ => format!("the server answered {status}"),
    })
}

// === impl Input ===

impl Input {
    /// Ready with whether there are bytes to take.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.at == self.piece.bytes().len() {
            let next = match &mut self.origin {
                Origin::Thread { pieces, empty } => {
                    let next = ready!(pieces.poll_recv(cx));
                    if let Piece::Read { buffer, .. } =
                        std::mem::replace(&mut self.piece, Piece::Received(Bytes::new()))
                    {
                        // The thread may have read everything and gone.
                        let _ = empty.send(buffer);
                    }
                    next.map(|next| next.map_err(|error| error.to_string()))
                }
                Origin::Http(body) => match ready!(Pin::new(body).poll_frame(cx)) {
                    // Trailers are nobody's bytes.
                    Some(Ok(frame)) => {
                        Some(Ok(Piece::Received(frame.into_data().unwrap_or_default())))
                    }
                    Some(Err(error)) => Some(Err(error.to_string())),
                    None => None,
                },
                Origin::Ended => None,
            };
            self.at = 0;
            self.piece = match next {
                Some(Ok(piece)) => piece,
                Some(Err(reason)) => {
                    self.fault.set(self.source.to_string(), reason);
                    self.origin = Origin::Ended;
                    return Poll::Ready(false);
                }
                None => {
                    self.origin = Origin::Ended;
                    self.piece = Piece::Received(Bytes::new());
                    return Poll::Ready(false);
                }
            };
        }
        Poll::Ready(true)
    }

    /// Everything there is, or `None` when that is more than `limit` bytes.
    pub(super) async fn whole(mut self, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        let mut whole = Vec::new();
        while poll_fn(|cx| self.poll_fill(cx)).await {
            let bytes = &self.piece.bytes()[self.at..];
            if (whole.len() + bytes.len()) as u64 > limit {
                return Ok(None);
            }
            whole.extend_from_slice(bytes);
            self.at = self.piece.bytes().len();
        }
        match self.fault.failure() {
            Some(failure) => Err(failure),
            None => Ok(Some(whole)),
        }
    }
}

impl<D: 'static> StreamProducer<D> for Input {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, VecBuffer<u8>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        match this.poll_fill(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(false) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(true) => {}
        }
        // A guest that reads nothing asks whether there is something to read.
        if destination.remaining(&mut store) != Some(0) {
            let bytes = &this.piece.bytes()[this.at..];
            let mut direct = destination.as_direct(store, bytes.len());
            let room = direct.remaining();
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
            direct.mark_written(length);
            this.at += length;
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

// === impl Piece ===

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Read { buffer, length } => &buffer[..*length],
            Self::Received(bytes) => bytes,
        }
    }
}

// === impl Fault ===

impl Fault {
    fn set(&self, source: String, reason: String) {
        // The first is the one that matters.
        let _ = self.0.set((source, reason));
    }

    /// What to tell the caller.
    pub(super) fn failure(&self) -> Option<Failure> {
        let (input, reason) = self.0.get()?.clone();
        Some(Failure::Input { input, reason })
    }
}
