use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use hyper::server::conn::http1;

use super::io::ClientIo;
use super::service::service;
use super::{Conn, Deadline, Since, Transport};
use crate::handler::Handler;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::server::Phase;

/// hyper's default, kept on the stack there; any other number costs an allocation per request.
const HYPER_MAX_HEADERS: usize = 100;

/// The smallest buffer that hyper takes.
const HYPER_MIN_BUFFER: usize = 8192;

pub(crate) fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let header_bytes = limits.max_header_bytes.max(HYPER_MIN_BUFFER);
    builder
        // A client that has sent its request may close its sending side and still be answered. hyper
        // then does not look at the socket while it answers: `ClientIo::watched` does.
        .half_close(true)
        // Done by the driver, where idle and slow are told apart.
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes.max(64 * 1024));
    if limits.max_headers != HYPER_MAX_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    builder
}

enum End {
    Closed(hyper::Result<()>),
    Cut,
    Idle,
    SlowHead,
}

/// Serves HTTP/1 until the connection ends.
pub(super) async fn drive<S: Transport, H: Handler>(io: ClientIo<S>, conn: Arc<Conn<H>>) {
    let shared = &conn.shared;
    let running = &shared.running;
    let mut connection = running.h1.serve_connection(io.watched(), service(Arc::clone(&conn)));
    let mut deadline = Deadline::new();
    let mut since = Since::new(shared);
    let mut phase = Phase::Running;
    let mut changed = pin!(running.signal.changed());
    let mut watched = false;

    let end = poll_fn(|cx| {
        loop {
            // Before hyper, so that an answer given from now on says that it is the last.
            let now = running.signal.phase();
            if now != phase {
                phase = now;
                changed.set(running.signal.changed());
                watched = false;
                match now {
                    Phase::Running => {}
                    Phase::Draining => {
                        let waiting = !shared.is_busy() && !shared.in_head();
                        shared.abrupt.store(waiting, Ordering::Relaxed);
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                    Phase::Cut => return Poll::Ready(End::Cut),
                }
                continue;
            }
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(End::Closed(result));
            }
            // The waker of a task does not change: once registered, a look at the phase is enough.
            if watched || changed.as_mut().poll(cx).is_pending() {
                watched = true;
                break;
            }
        }
        if shared.is_busy() {
            return Poll::Pending;
        }
        let in_head = shared.in_head();
        let limit =
            if in_head { running.limits.header_read_timeout } else { running.limits.idle_timeout };
        match deadline.passed(cx, since.of(shared) + limit) {
            false => Poll::Pending,
            true if in_head => Poll::Ready(End::SlowHead),
            true => Poll::Ready(End::Idle),
        }
    })
    .await;

    let remote = shared.peer.remote;
    match end {
        End::Closed(Ok(())) => {}
        End::Closed(Err(error)) => tracing::debug!(%remote, %error, "connection ended"),
        End::Cut => tracing::debug!(%remote, "connection cut by the drain's deadline"),
        End::Idle => running.stats.timeout(),
        End::SlowHead => {
            running.stats.timeout();
            let refusal = Refusal::HeadTimeout { after: running.limits.header_read_timeout };
            tracing::debug!(%remote, %refusal, "connection closed");
            let answer = connection.into_parts().io.refuse(refusal);
            tokio::select! {
                // The client is gone or not reading; there is nobody left to tell.
                _ = answer => {}
                () = running.signal.cut() => {}
            }
        }
    }
}
