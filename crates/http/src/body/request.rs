use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::connection::Part;
use crate::limits::Limits;
use crate::refusal::Refusal;

/// A request's body as it arrives. It asks the client for no more than is read from it.
///
/// It ends in an error when it grows past `max_body_bytes`, or when the reader waits longer than
/// `body_read_timeout` for the client. A `5xx` that the handler then answers, because it does not
/// know better, goes to the client as `413` or `408`.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Empty,
    Held(Option<Bytes>, Option<HeaderMap>),
    Client(Box<Client>),
}

#[derive(Debug)]
struct Client {
    incoming: Incoming,
    limits: BodyLimits,
    read: u64,
    /// Allocated when the reader first has to wait, and kept for the next time.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    verdict: Arc<Verdict>,
    /// Keeps the connection from counting as idle. Declared last: dropped after `incoming`.
    _part: Part,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) max_bytes: u64,
    pub(crate) read_timeout: Duration,
}

impl From<&Limits> for BodyLimits {
    fn from(limits: &Limits) -> Self {
        Self { max_bytes: limits.max_body_bytes, read_timeout: limits.body_read_timeout }
    }
}

/// Why a body ended early, kept for the answer.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    refusal: AtomicU8,
    /// The limit that was reached: bytes or nanoseconds. Written before `refusal`.
    limit: AtomicU64,
    finished: AtomicBool,
}

impl Verdict {
    const TOO_LARGE: u8 = 1;
    const TIMEOUT: u8 = 2;

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.load(Ordering::Acquire);
        let limit = self.limit.load(Ordering::Relaxed);
        match refusal {
            Self::TOO_LARGE => Some(Refusal::BodyTooLarge { limit }),
            Self::TIMEOUT => Some(Refusal::BodyTimeout { after: Duration::from_nanos(limit) }),
            _ => None,
        }
    }

    fn too_large(&self, limit: u64) -> BodyError {
        self.limit.store(limit, Ordering::Relaxed);
        self.refusal.store(Self::TOO_LARGE, Ordering::Release);
        self.finished.store(true, Ordering::Relaxed);
        BodyError::TooLarge { limit }
    }

    fn timeout(&self, after: Duration) -> BodyError {
        let nanoseconds = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.limit.store(nanoseconds, Ordering::Relaxed);
        self.refusal.store(Self::TIMEOUT, Ordering::Release);
        self.finished.store(true, Ordering::Relaxed);
        BodyError::Timeout { after }
    }
}

/// Why a request's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It grew past the limit.
    #[error("the request's body is larger than {limit} bytes (max_body_bytes)")]
    TooLarge {
        /// `max_body_bytes`
        limit: u64,
    },
    /// The client sent nothing for too long.
    #[error("no byte of the request's body arrived for {after:?} (body_read_timeout)")]
    Timeout {
        /// `body_read_timeout`
        after: Duration,
    },
    /// The client went away, or sent what is not a body.
    #[error("the client broke off the request's body: {0}")]
    Client(#[source] hyper::Error),
}

impl BodyError {
    /// The status that tells the client.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::TooLarge { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout { .. } => http::StatusCode::REQUEST_TIMEOUT,
            Self::Client(_) => http::StatusCode::BAD_REQUEST,
        }
    }
}

impl RequestBody {
    /// A body of nothing.
    pub fn empty() -> Self {
        Self { source: Source::Empty }
    }

    /// A body that is there already, for tests of handlers and requests made inside the process.
    pub fn held(bytes: impl Into<Bytes>, trailers: Option<HeaderMap>) -> Self {
        let bytes = Some(bytes.into()).filter(|bytes| !bytes.is_empty());
        Self { source: Source::Held(bytes, trailers) }
    }

    /// Lowers the limit of bytes for this request; it is never raised. The answer to a body that
    /// grows past it is as for the server's own limit.
    ///
    /// # Errors
    /// The body is known to be longer, or was read past the limit already. It ends here.
    pub fn limit_bytes(&mut self, max_bytes: u64) -> Result<(), BodyError> {
        let known = self.size_hint().lower();
        match &mut self.source {
            Source::Empty => Ok(()),
            Source::Held(..) if known <= max_bytes => Ok(()),
            Source::Held(..) => {
                self.source = Source::Empty;
                Err(BodyError::TooLarge { limit: max_bytes })
            }
            Source::Client(client) => {
                client.limits.max_bytes = client.limits.max_bytes.min(max_bytes);
                match client.read.saturating_add(known) > max_bytes {
                    true => Err(client.verdict.too_large(max_bytes)),
                    false => Ok(()),
                }
            }
        }
    }

    /// Lowers how long this request's reader waits for the client's next bytes; it is never raised.
    pub fn limit_read_timeout(&mut self, read_timeout: Duration) {
        if let Source::Client(client) = &mut self.source {
            client.limits.read_timeout = client.limits.read_timeout.min(read_timeout);
            // A wait that has begun begins anew.
            client.waiting = false;
        }
    }

    /// The body that hyper reads. The verdict is there only where there is a body.
    pub(crate) fn from_client(
        incoming: Incoming,
        limits: BodyLimits,
        part: impl FnOnce() -> Part,
    ) -> (Self, Option<Arc<Verdict>>) {
        if incoming.is_end_stream() {
            return (Self::empty(), None);
        }
        let verdict = Arc::new(Verdict::default());
        let client = Client {
            incoming,
            limits,
            read: 0,
            timer: None,
            waiting: false,
            verdict: Arc::clone(&verdict),
            _part: part(),
        };
        (Self { source: Source::Client(Box::new(client)) }, Some(verdict))
    }
}

impl Client {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.verdict.finished.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        let outcome = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => return self.poll_timeout(cx),
            Poll::Ready(None) => None,
            Poll::Ready(Some(Err(error))) => Some(Err(BodyError::Client(error))),
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.read > self.limits.max_bytes {
                    Some(Err(self.verdict.too_large(self.limits.max_bytes)))
                } else {
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
        };
        self.verdict.finished.store(true, Ordering::Relaxed);
        Poll::Ready(outcome)
    }

    fn poll_timeout(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let after = self.limits.read_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + after);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(self.verdict.timeout(after))))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Held(bytes, trailers) => {
                let frame = match bytes.take() {
                    Some(bytes) => Some(Frame::data(bytes)),
                    None => trailers.take().map(Frame::trailers),
                };
                Poll::Ready(frame.map(Ok))
            }
            Source::Client(client) => client.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Held(bytes, trailers) => bytes.is_none() && trailers.is_none(),
            Source::Client(client) => client.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Held(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Source::Client(client) => client.incoming.size_hint(),
        }
    }
}
