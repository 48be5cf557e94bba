//! A response on its way out.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use reef_engine::DeadlinePassed;
use reef_http::{BoxError, Permit, ResponseBody};
use reef_meter::{Finished, Meter};
use reef_telemetry::RequestSpan;
use tokio::time::Sleep;

use super::instances::Claim;
use crate::Workload;

/// How often the instance gets its turn before the head goes out without the body.
const TURNS: u32 = 3;

/// Everything that lasts as long as the request does. Dropped when the last byte is written or the
/// client is gone: then the place in the queue is free, and meter and span are closed.
pub(super) struct Exchange {
    pub(super) workload: Arc<str>,
    pub(super) meter: Arc<Meter>,
    pub(super) start: Instant,
    pub(super) status: StatusCode,
    pub(super) span: RequestSpan,
    pub(super) _permit: Permit,
}

impl Exchange {
    pub(super) fn new(workload: &Workload, span: RequestSpan, permit: Permit) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let (meter, workload) = (workload.meter().clone(), workload.name().clone());
        Self { workload, meter, start: Instant::now(), status, span, _permit: permit }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.span.set_status(self.status.as_u16());
        self.meter.finish(&Finished {
            status: Some(self.status.as_u16()),
            latency: self.start.elapsed(),
            // Metered where it is used, by whoever polls the guest.
            guest_cpu: Duration::ZERO,
        });
    }
}

/// What a streamed body needs of its instance.
pub(super) trait Source: Send + Unpin + 'static {
    /// The instance ended badly: a body that ends now is not whole.
    fn failed(&self) -> bool;
    /// The body is whole: whatever the guest still does is its own affair. A source that is dropped
    /// before is not wanted any more.
    fn complete(&mut self);
    /// All bytes are there that its head had announced.
    fn announced(&mut self);
}

/// The body of a response that is still being made.
pub(super) struct Streamed<B, S: Source> {
    body: B,
    source: S,
    /// Time between two pieces, while the client is ready for the next.
    deadline: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    done: bool,
    announced: Option<Announced>,
    /// Bytes of the body so far.
    given: u64,
    exchange: Exchange,
}

/// What the head of a response says of its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    bytes: u64,
    /// It may be said of a body that is not sent: the answer to a HEAD, or 304 (RFC 9110 section 8.6).
    of_another: bool,
}

impl Announced {
    pub(super) fn of(head: &http::response::Parts, is_head: bool) -> Option<Self> {
        let length = head.headers.get(header::CONTENT_LENGTH)?;
        let bytes = length.to_str().ok()?.parse().ok()?;
        let of_another = is_head || head.status == StatusCode::NOT_MODIFIED;
        Some(Self { bytes, of_another })
    }
}

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the instance ended before its response did")]
    Instance,
    #[error("no more of the response came: {0}")]
    Deadline(DeadlinePassed),
    #[error("its Content-Length is {announced}, and its body has {given} bytes")]
    Short { announced: u64, given: u64 },
    #[error("its Content-Length is {announced}, and its body has more bytes than that")]
    Long { announced: u64 },
    #[error("{0}")]
    Guest(String),
}

impl<B, S> Streamed<B, S>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: fmt::Display,
    S: Source,
{
    pub(super) fn new(
        body: B,
        announced: Option<Announced>,
        source: S,
        deadline: Option<Duration>,
        exchange: Exchange,
    ) -> Self {
        let (timer, waiting, done, given) = (None, false, false, 0);
        Self { body, source, deadline, timer, waiting, done, announced, given, exchange }
    }

    /// The response body: at once if all of it is there already, streamed otherwise.
    ///
    /// # Errors
    /// When the guest broke off before anything was sent, while that can still be said.
    pub(super) async fn into_body(mut self) -> Result<ResponseBody, (Broken, Exchange)> {
        let first = self.soon().await;
        let held = match first {
            Poll::Pending => None,
            Poll::Ready(None) => return Ok(ResponseBody::empty()),
            Poll::Ready(Some(Err(broken))) => return Err((broken, self.exchange)),
            Poll::Ready(Some(Ok(frame))) => Some(frame),
        };
        if let Some(frame) = held.as_ref().filter(|frame| frame.is_data()) {
            let next = self.soon().await;
            match next {
                Poll::Ready(None) => {
                    let bytes = frame.data_ref().cloned().unwrap_or_default();
                    return Ok(ResponseBody::full(bytes));
                }
                Poll::Ready(Some(Err(broken))) => return Err((broken, self.exchange)),
                Poll::Ready(Some(Ok(second))) => {
                    let held = [held, Some(second)];
                    return Ok(ResponseBody::stream(Held { held, rest: self }));
                }
                Poll::Pending => {}
            }
        }
        Ok(ResponseBody::stream(Held { held: [held, None], rest: self }))
    }

    /// The next piece, if the instance has it as soon as it gets its turn on this thread. Asking for a
    /// piece is what makes a guest of WASI 0.3 write it; sending the head before it would cost the
    /// response a system call more and its length.
    async fn soon(&mut self) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut turns = 0;
        std::future::poll_fn(|cx| match self.poll_now(cx) {
            Poll::Pending if turns < TURNS => {
                turns += 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece),
        })
        .await
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.poll_now(cx) {
            Poll::Pending => self.poll_deadline(cx),
            piece => piece,
        }
    }

    /// Without looking at the clock.
    fn poll_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.done {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                if let (Some(announced), Some(data)) = (self.announced, frame.data_ref()) {
                    let announced = announced.bytes;
                    self.given += data.len() as u64;
                    if self.given > announced {
                        self.done = true;
                        return Poll::Ready(Some(Err(Broken::Long { announced })));
                    }
                    if self.given == announced {
                        // Nobody has to ask for more than was announced.
                        self.source.announced();
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.done = true;
                Poll::Ready(Some(Err(Broken::Guest(error.to_string()))))
            }
            Poll::Ready(None) => {
                self.done = true;
                // Dropping a store closes its bodies as if they had ended; they have not.
                let failed = self.source.failed();
                self.source.complete();
                if failed {
                    return Poll::Ready(Some(Err(Broken::Instance)));
                }
                Poll::Ready(self.shortfall().map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// What is missing of a body that has ended.
    fn shortfall(&self) -> Option<Broken> {
        let announced = self.announced?;
        let (announced, given) = match announced {
            Announced { of_another: true, .. } if self.given == 0 => return None,
            Announced { bytes, .. } => (bytes, self.given),
        };
        (given < announced).then_some(Broken::Short { announced, given })
    }

    fn poll_deadline(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(limit) = self.deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.waiting {
            timer.as_mut().reset(tokio::time::Instant::now() + limit);
            self.waiting = true;
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.done = true;
        self.exchange.meter.deadline_exceeded();
        Poll::Ready(Some(Err(Broken::Deadline(DeadlinePassed(limit)))))
    }
}

impl<B, S> Body for Streamed<B, S>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: fmt::Display,
    S: Source,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.poll_piece(cx)
    }
}

/// Pieces that were there when the head was sent, then the rest.
struct Held<B, S: Source> {
    held: [Option<Frame<Bytes>>; 2],
    rest: Streamed<B, S>,
}

impl<B, S> Body for Held<B, S>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: fmt::Display,
    S: Source,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        for held in &mut this.held {
            if let Some(frame) = held.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        let piece = this.rest.poll_piece(cx);
        if let Poll::Ready(Some(Err(broken @ (Broken::Short { .. } | Broken::Long { .. })))) =
            &piece
        {
            let workload = &*this.rest.exchange.workload;
            tracing::warn!(workload, "A response is cut: {broken}.");
        }
        piece.map(|piece| piece.map(|piece| piece.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.done && self.held.iter().all(Option::is_none)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A guest component's side. Dropped before the body is whole, it gives the request up.
pub(super) struct FromInstance {
    claim: Arc<Claim>,
    shared: bool,
    wanted: bool,
}

impl FromInstance {
    /// `shared`: the instance may be serving other requests too.
    pub(super) fn new(claim: Arc<Claim>, shared: bool) -> Self {
        Self { claim, shared, wanted: true }
    }
}

impl Source for FromInstance {
    fn failed(&self) -> bool {
        self.claim.failed()
    }

    fn complete(&mut self) {
        self.wanted = false;
    }

    fn announced(&mut self) {
        // The instance may serve others, and ends by its own rules.
        self.wanted = false;
    }
}

impl Drop for FromInstance {
    fn drop(&mut self) {
        if self.wanted {
            self.claim.give_up(self.shared);
        }
    }
}
