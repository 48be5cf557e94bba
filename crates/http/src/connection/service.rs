use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};

use super::{Conn, Part, Shared, length};
use crate::access_log::{End, Line, ServedBy};
use crate::body::{BodyLimits, BoxError, RequestBody, ResponseBody};
use crate::check;
use crate::handler::Handler;
use crate::refusal::Refusal;
use crate::request_id::X_REQUEST_ID;
use crate::workers::Workers;

/// The most bytes of a response that wait in an HTTP/2 stream for the client's window.
const STREAM_CHUNK: usize = 64 * 1024;

/// What hyper calls for each request.
pub(super) fn service<H: Handler>(
    conn: Arc<Conn<H>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<TrackedBody>,
    Error = Infallible,
    Future: Future + Send + 'static,
> + Unpin {
    service_fn(move |request| answer(Arc::clone(&conn), request))
}

async fn answer<H: Handler>(
    conn: Arc<Conn<H>>,
    mut request: Request<Incoming>,
) -> Result<Response<TrackedBody>, Infallible> {
    let shared = &conn.shared;
    let running = &shared.running;
    let version = request.version();
    let head = request.method() == Method::HEAD;
    let mut in_flight = InFlight::begin(shared, version == Version::HTTP_2);
    let checked = check::request(&request, &running.limits);
    let id = running.request_ids.name(request.headers_mut());
    if running.access_log.is_some() {
        in_flight.log(Line::new(&request, shared.peer.remote, id.clone()));
    }

    let mut response = match checked {
        Err(refusal) => {
            tracing::debug!(remote = %shared.peer.remote, %refusal, "request refused");
            refusal.response()
        }
        Ok(()) => {
            let (parts, incoming) = request.into_parts();
            let limits = BodyLimits::from(&running.limits);
            let (body, verdict) = RequestBody::from_client(incoming, limits, || Part::new(shared));
            let response = call(&*conn, Request::from_parts(parts, body)).await;
            match verdict.and_then(|verdict| verdict.refusal()) {
                Some(refusal) if response.status().is_server_error() => refusal.response(),
                _ if response.status().is_informational() => {
                    tracing::error!(
                        status = response.status().as_u16(),
                        "a handler answered with an informational status, which cannot end a \
                         request; the client got 500"
                    );
                    Refusal::StatusInvalid(response.status()).response()
                }
                _ => response,
            }
        }
    };
    let announced = match length::announced(&mut response, head) {
        Ok(announced) => announced,
        Err(fault) => {
            tracing::error!("a handler's answer was not sent: {fault}; the client got 500");
            response = Refusal::LengthInvalid.response();
            None
        }
    };
    if version == Version::HTTP_2 {
        fit_http2(&mut response, head);
    }
    if let Some(id) = id {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    in_flight.answered(&mut response, head);
    Ok(response.map(|body| TrackedBody { body, rest: Bytes::new(), announced, in_flight }))
}

/// Runs the handler. A panic ends its request only.
async fn call<H: Handler>(conn: &Conn<H>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let mut future = pin!(conn.handler.handle(request, conn.shared.peer));
    poll_fn(|cx| {
        // Not polled again after a panic, so no broken state is seen.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled,
            Err(_panic) => {
                tracing::error!("a handler panicked; its client got 500");
                Poll::Ready(Refusal::HandlerFailed.response())
            }
        }
    })
    .await
}

/// What hyper does for HTTP/1 only: no body where there may be none, no fields of the connection.
fn fit_http2(response: &mut Response<ResponseBody>, head: bool) {
    response.headers_mut().remove(CONNECTION);
    let none = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if head
        && !none
        && let Some(length) = response.body().size_hint().exact()
    {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    if head || none {
        *response.body_mut() = ResponseBody::empty();
    }
}

/// A request that is being answered, until the last byte of its response was handed to hyper.
#[derive(Debug)]
struct InFlight {
    part: Part,
    worker: usize,
    h2: bool,
    /// Only where there is an access log.
    logged: Option<Box<Logged>>,
}

/// What the access log will say.
#[derive(Debug)]
struct Logged {
    line: Line,
    end: End,
    /// The body's length where it is known. hyper asks for no more once it has that.
    length: Option<u64>,
}

impl InFlight {
    fn begin(shared: &Arc<Shared>, h2: bool) -> Self {
        let worker = Workers::current().unwrap_or(shared.home);
        let part = Part::new(shared);
        shared.begin_request();
        shared.running.stats.request_begun(worker);
        // A stream of HTTP/2 was counted when its worker was chosen.
        if !h2 {
            shared.running.workers.load(worker).requests.fetch_add(1, Ordering::Relaxed);
        }
        Self { part, worker, h2, logged: None }
    }

    fn log(&mut self, line: Line) {
        self.logged = Some(Box::new(Logged { line, end: End::GivenUp, length: None }));
    }

    fn answered(&mut self, response: &mut Response<ResponseBody>, head: bool) {
        let status = response.status();
        self.part.shared.running.stats.response(self.worker, status);
        let Some(logged) = &mut self.logged else { return };
        logged.line.status = Some(status);
        logged.line.served_by = response.extensions_mut().remove::<ServedBy>();
        let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let whole = head || none || response.body().is_end_stream();
        logged.end = if whole { End::Whole } else { End::Cut };
        logged.length = response
            .body()
            .size_hint()
            .exact()
            .or_else(|| response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok());
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(logged) = &mut self.logged {
            logged.line.bytes += bytes as u64;
            if logged.length == Some(logged.line.bytes) {
                logged.end = End::Whole;
            }
        }
    }

    fn ended(&mut self) {
        if let Some(logged) = &mut self.logged {
            logged.end = End::Whole;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let running = &self.part.shared.running;
        running.stats.request_ended(self.worker);
        if !self.h2 {
            running.workers.load(self.worker).requests.fetch_sub(1, Ordering::Relaxed);
        }
        if let (Some(logged), Some(log)) = (&self.logged, &running.access_log) {
            log.write(&logged.line, logged.end);
        }
    }
}

/// A response's body that knows when it is over.
#[derive(Debug)]
pub(super) struct TrackedBody {
    body: ResponseBody,
    /// What did not fit into the chunk before.
    rest: Bytes,
    /// Bytes that are still to come of a streamed body, where its head says how many.
    announced: Option<u64>,
    in_flight: InFlight,
}

impl TrackedBody {
    /// At most one chunk of `data`; the rest is kept. It is cut, not copied.
    fn chunk(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if self.in_flight.h2 && data.len() > STREAM_CHUNK {
            self.rest = data.split_off(STREAM_CHUNK);
        }
        self.in_flight.sent(data.len());
        Frame::data(data)
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            super::h2::waits_for_client();
            let rest = std::mem::take(&mut this.rest);
            let frame = this.chunk(rest);
            if this.is_end_stream() {
                this.in_flight.ended();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if this.in_flight.h2 {
            match &polled {
                Poll::Pending => super::h2::waits_for_handler(),
                Poll::Ready(_) => super::h2::waits_for_client(),
            }
        }
        let Poll::Ready(frame) = polled else { return Poll::Pending };
        let frame = match &mut this.announced {
            Some(left) => length::keep(left, frame),
            None => frame,
        };
        let Some(frame) = frame else {
            this.in_flight.ended();
            return Poll::Ready(None);
        };
        Poll::Ready(match frame {
            Ok(frame) => Some(Ok(match frame.into_data() {
                Ok(data) => {
                    let frame = this.chunk(data);
                    if this.is_end_stream() {
                        this.in_flight.ended();
                    }
                    frame
                }
                Err(trailers) => {
                    this.in_flight.ended();
                    trailers
                }
            })),
            Err(error) => {
                let shared = &this.in_flight.part.shared;
                shared.running.stats.body_error(this.in_flight.worker);
                tracing::debug!(remote = %shared.peer.remote, %error, "a response was cut");
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // One that is too short has to be asked for its end.
        self.rest.is_empty()
            && self.body.is_end_stream()
            && self.announced.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first frame only, when nothing is held back.
        self.body.size_hint()
    }
}
