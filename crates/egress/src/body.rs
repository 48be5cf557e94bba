//! Bodies: the guest's on the way out, the server's on the way in, both under the clock.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::BoxError;
use crate::error::{RequestBodyFailed, SendError};
use crate::slots::InUse;

/// When a request last moved on; shared between its body and the one who waits for the response.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body. One type for all, because a connection pool is tied to a body type.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: UnsyncBoxBody<Bytes, BoxError>,
    progress: Progress,
}

impl RequestBody {
    pub(crate) fn new<B>(body: B, progress: Progress) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { inner: body.map_err(Into::into).boxed_unsync(), progress }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyFailed>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.progress.touch();
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyFailed)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body. It fails rather than stall: with [`SendError::BetweenBytesTimeout`] when no
/// piece arrives in time, with [`SendError::Timeout`] when the whole request has taken too long.
///
/// The time that the reader takes between two pieces counts towards the whole, not as a stall.
#[derive(Debug)]
pub struct Body {
    /// `None` once it ended, well or not: then the connection is free or closed.
    inner: Option<Incoming>,
    in_use: Option<InUse>,
    between_bytes: Duration,
    total: Duration,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether `timer` is set for the piece now waited for.
    waiting: bool,
}

impl Body {
    pub(crate) fn new(
        inner: Incoming,
        in_use: Option<InUse>,
        between_bytes: Duration,
        total: Duration,
        deadline: Instant,
    ) -> Self {
        let mut body = Self {
            inner: Some(inner),
            in_use,
            between_bytes,
            total,
            deadline,
            timer: None,
            waiting: false,
        };
        body.release_if_ended();
        body
    }

    fn release(&mut self) {
        self.inner = None;
        self.in_use = None;
        self.timer = None;
    }

    fn release_if_ended(&mut self) {
        if self.inner.as_ref().is_some_and(http_body::Body::is_end_stream) {
            self.release();
        }
    }

    /// Polls the clock for the piece that is waited for.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<SendError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Poll::Ready(SendError::Timeout(self.total));
        }
        let due = (now + self.between_bytes).min(self.deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if !self.waiting {
            timer.as_mut().reset(due);
            self.waiting = true;
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(if Instant::now() >= self.deadline {
            SendError::Timeout(self.total)
        } else {
            SendError::BetweenBytesTimeout(self.between_bytes)
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        let frame = match polled {
            Poll::Ready(Some(Ok(_))) if Instant::now() >= self.deadline => {
                Some(Err(SendError::Timeout(self.total)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                self.release_if_ended();
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(error))) => Some(Err(SendError::classify(&error))),
            Poll::Ready(None) => None,
            Poll::Pending => Some(Err(ready!(self.poll_late(cx)))),
        };
        self.release();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
