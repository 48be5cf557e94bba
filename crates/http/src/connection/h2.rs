use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::io::ClientIo;
use super::service::service;
use super::{Conn, Deadline, Part, Shared, Since, Transport};
use crate::handler::Handler;
use crate::server::Phase;
use crate::workers::Workers;

/// Bytes of request bodies that a client may send ahead of the handlers, per stream and in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How long an idle client is given to answer a GOAWAY.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves HTTP/2 until the connection ends.
pub(super) async fn drive<S: Transport, H: Handler>(io: ClientIo<S>, conn: Arc<Conn<H>>) {
    let shared = &conn.shared;
    let running = &shared.running;
    let limits = &running.limits;
    let mut builder = http2::Builder::new(StreamExecutor { shared: Arc::clone(shared) });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.max_pending_resets)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    // Requests do not go through the stages of HTTP/1, and hyper's own answers are left alone.
    shared.begin_request();
    let mut connection = pin!(builder.serve_connection(io, service(Arc::clone(&conn))));
    let mut deadline = Deadline::new();
    let mut since = Since::new(shared);
    // Once GOAWAY was sent: when, and how long the rest may take.
    let mut goodbye: Option<(Instant, Duration)> = None;
    let mut phase = Phase::Running;
    let mut changed = pin!(running.signal.changed());
    let mut watched = false;

    let result = poll_fn(|cx| {
        loop {
            let now = running.signal.phase();
            if now != phase {
                phase = now;
                changed.set(running.signal.changed());
                watched = false;
                match now {
                    Phase::Running => {}
                    Phase::Draining => {
                        // Of streams that ended just now, bytes may still wait for the client.
                        let settled =
                            !shared.is_busy() && since.of(shared).elapsed() > limits.write_timeout;
                        let rest = if settled { GOODBYE } else { limits.write_timeout };
                        shared.abrupt.store(!shared.is_busy(), Ordering::Relaxed);
                        goodbye = Some((Instant::now(), rest));
                        connection.as_mut().graceful_shutdown();
                    }
                    Phase::Cut => return Poll::Ready(None),
                }
                continue;
            }
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(result));
            }
            if !watched && changed.as_mut().poll(cx).is_ready() {
                continue;
            }
            watched = true;

            // Streams end on other workers too, which does not wake this task. So the timer runs
            // on while there are streams, and an idle connection is found out at its next firing.
            let due = match goodbye {
                _ if shared.is_busy() => Instant::now() + limits.idle_timeout,
                Some((begun, rest)) => begun.max(since.of(shared)) + rest,
                None => since.of(shared) + limits.idle_timeout,
            };
            if !deadline.passed(cx, due) {
                return Poll::Pending;
            }
            running.stats.timeout();
            if goodbye.is_some() {
                return Poll::Ready(None);
            }
            shared.abrupt.store(true, Ordering::Relaxed);
            goodbye = Some((Instant::now(), GOODBYE));
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
    let remote = shared.peer.remote;
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%remote, %error, "connection ended"),
        None => tracing::debug!(%remote, "connection cut"),
    }
}

/// Decides which worker a stream runs on: the connection's own, unless that has much more to do
/// than another. So one connection with many streams can use all cores.
///
/// The whole stream moves, handler and response body, because hyper runs each as one task anyway.
#[derive(Clone, Debug)]
struct StreamExecutor {
    shared: Arc<Shared>,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let workers = &self.shared.running.workers;
        let worker = workers.for_stream(self.shared.home);
        let place = Place::take(&self.shared, worker);
        workers.spawn_on(worker, StreamTask { stream, wait: Wait::default(), stall: None, place });
    }
}

/// A stream's place on a worker.
#[derive(Debug)]
struct Place {
    part: Part,
    worker: usize,
}

impl Place {
    fn take(shared: &Arc<Shared>, worker: usize) -> Self {
        shared.running.workers.load(worker).requests.fetch_add(1, Ordering::Relaxed);
        Self { part: Part::new(shared), worker }
    }

    fn workers(&self) -> &Workers {
        &self.part.shared.running.workers
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.workers().load(self.worker).requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream that is not ready waits for, as its response body last saw it. hyper owns the
/// body, so the body says it to the task that polls it through the thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wait {
    for_client: bool,
    /// Frames handed over, to tell progress from waiting.
    frames: u32,
}

thread_local! {
    static WAIT: Cell<Wait> = const { Cell::new(Wait { for_client: false, frames: 0 }) };
}

/// The response body has given a frame: now it is for the client to take it.
pub(super) fn waits_for_client() {
    let frames = WAIT.get().frames.wrapping_add(1);
    WAIT.set(Wait { for_client: true, frames });
}

/// The response body has no frame: the client is waiting, too.
pub(super) fn waits_for_handler() {
    WAIT.set(Wait { for_client: false, ..WAIT.get() });
}

pin_project! {
    /// One stream. It ends, and so is reset, when the client gives it no window for too long: the
    /// connection's own timeout does not see that, since other streams may move.
    struct StreamTask<F> {
        #[pin]
        stream: F,
        wait: Wait,
        stall: Option<(Deadline, Instant)>,
        place: Place,
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        WAIT.set(*this.wait);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let wait = WAIT.get();
        let moved = wait != *this.wait;
        *this.wait = wait;
        if !wait.for_client {
            return Poll::Pending;
        }
        let running = &this.place.part.shared.running;
        let limit = running.limits.write_timeout;
        let (deadline, until) =
            this.stall.get_or_insert_with(|| (Deadline::new(), Instant::now() + limit));
        if moved {
            *until = Instant::now() + limit;
        }
        if !deadline.passed(cx, *until) {
            return Poll::Pending;
        }
        running.stats.timeout();
        tracing::debug!(
            remote = %this.place.part.shared.peer.remote,
            "stream reset: the client gave it no window for {limit:?} (write_timeout)"
        );
        Poll::Ready(())
    }
}
