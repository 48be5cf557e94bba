use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::reset::Watch;
use super::{Deadline, LINGER, Shared, Transport};
use crate::limits::Limits;
use crate::refusal::Refusal;

/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most that is read from a client after its connection was closed.
const LINGER_BYTES: usize = 512 * 1024;

/// What a connection speaks, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Preface {
    H1,
    H2,
    Closed,
}

/// The client's stream as hyper sees it: with a limit on how long writing may stall, with a text in
/// the answers that hyper gives by itself, and closed so that the last answer arrives.
pub(super) struct ClientIo<S> {
    stream: TokioIo<S>,
    shared: Arc<Shared>,
    /// Bytes read to find out what the connection speaks, still to be read by hyper.
    preface: [u8; PREFACE.len()],
    unread: std::ops::Range<u8>,
    /// Allocated when a write first stalls.
    stall: Option<Stall>,
    /// An answer of ours that replaces one of hyper's, and how much of it is written.
    replacement: Option<(Vec<u8>, usize)>,
    lingering: Option<Linger>,
    /// Looks out for a reset while a request is answered; of HTTP/1 only, HTTP/2 reads all the time.
    watch: Option<Watch>,
}

struct Stall {
    deadline: Deadline,
    until: Option<Instant>,
}

struct Linger {
    deadline: Deadline,
    until: Instant,
    bytes: usize,
}

impl<S: Transport> ClientIo<S> {
    pub(super) fn new(stream: S, shared: Arc<Shared>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            shared,
            preface: [0; PREFACE.len()],
            unread: 0..0,
            stall: None,
            replacement: None,
            lingering: None,
            watch: None,
        }
    }

    /// The same, which ends in an error as soon as the client resets the connection, even while
    /// nothing is read or written.
    pub(super) fn watched(mut self) -> Self {
        self.watch = Some(Watch::default());
        self
    }

    /// Reads until it is certain what the client speaks: one byte for most of HTTP/1.
    pub(super) async fn read_preface(&mut self) -> io::Result<Preface> {
        loop {
            let have = usize::from(self.unread.end);
            if self.preface[..have] != PREFACE[..have] {
                return Ok(Preface::H1);
            }
            if have == PREFACE.len() {
                return Ok(Preface::H2);
            }
            let mut buffer = ReadBuf::new(&mut self.preface[have..]);
            let stream = self.stream.inner_mut();
            poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
            let read = buffer.filled().len() as u8;
            if read == 0 {
                // What little came is not HTTP, so it gets no answer.
                return Ok(Preface::Closed);
            }
            self.unread.end += read;
            self.shared.on_read();
        }
    }

    /// Ends the connection with an answer of the server's own.
    pub(super) async fn refuse(mut self, refusal: Refusal) -> io::Result<()> {
        self.shared.log_unread(&refusal);
        let text = format!("{refusal}\n");
        let status = refusal.status();
        let answer = format!(
            "HTTP/1.1 {} {}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\n\r\n{text}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            text.len(),
        );
        let mut written = 0;
        while written < answer.len() {
            written += poll_fn(|cx| self.poll_send(cx, &answer.as_bytes()[written..])).await?;
        }
        poll_fn(|cx| hyper::rt::Write::poll_shutdown(Pin::new(&mut self), cx)).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.inner_mut()).poll_write(cx, bytes);
        self.unless_stalled(cx, polled)
    }

    /// Turns a write that has been pending for too long into an error.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if let Some(stall) = &mut self.stall {
                stall.until = None;
            }
            return polled;
        }
        let limit = self.shared.running.limits.write_timeout;
        let stall =
            self.stall.get_or_insert_with(|| Stall { deadline: Deadline::new(), until: None });
        let until = *stall.until.get_or_insert_with(|| Instant::now() + limit);
        if !stall.deadline.passed(cx, until) {
            return Poll::Pending;
        }
        self.shared.running.stats.timeout();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the client took nothing for {limit:?} (write_timeout)"),
        )))
    }

    /// Writes our text in place of the empty answer that hyper gives to a head it cannot read.
    /// Ready with nothing when `head` is not such an answer.
    fn poll_replace(&mut self, cx: &mut Context<'_>, head: &[u8]) -> Poll<Option<io::Result<()>>> {
        if self.replacement.is_none() {
            match with_text(head, &self.shared.running.limits) {
                Some((refusal, answer)) => {
                    self.shared.log_unread(&refusal);
                    self.replacement = Some((answer, 0));
                }
                None => return Poll::Ready(None),
            }
        }
        while let Some((answer, written)) = self.replacement.take() {
            if written == answer.len() {
                return Poll::Ready(Some(Ok(())));
            }
            match self.poll_send(cx, &answer[written..]) {
                Poll::Ready(Ok(more)) => self.replacement = Some((answer, written + more)),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => {
                    self.replacement = Some((answer, written));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(None)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let linger = self.lingering.get_or_insert_with(|| Linger {
            deadline: Deadline::new(),
            until: Instant::now() + LINGER,
            bytes: 0,
        });
        let mut scratch = [0; 4096];
        while linger.bytes < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    linger.bytes += buffer.filled().len();
                }
                // Closed by the client as well, in one way or another.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if linger.deadline.passed(cx, linger.until) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// hyper's empty answer with a text that says what was wrong, or `None` if `head` is not one.
fn with_text(head: &[u8], limits: &Limits) -> Option<(Refusal, Vec<u8>)> {
    let refusal = match head.strip_prefix(b"HTTP/1.")?.get(2..5)? {
        b"400" => Refusal::Malformed,
        b"414" => Refusal::UriTooLong { limit: limits.max_uri_bytes },
        b"431" => {
            Refusal::HeadersTooLarge { bytes: limits.max_header_bytes, count: limits.max_headers }
        }
        _ => return None,
    };
    let text = format!("{refusal}\n");
    let mut answer = Vec::with_capacity(head.len() + text.len() + 64);
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        if line != b"\r\n" && line != b"content-length: 0\r\n" {
            answer.extend_from_slice(line);
        }
    }
    let rest = format!(
        "content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    answer.extend_from_slice(rest.as_bytes());
    Some((refusal, answer))
}

impl<S: Transport> hyper::rt::Read for ClientIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unread.is_empty() {
            let (start, end) = (usize::from(this.unread.start), usize::from(this.unread.end));
            let taken = (end - start).min(buffer.remaining());
            buffer.put_slice(&this.preface[start..start + taken]);
            this.unread.start += taken as u8;
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.shared.on_read();
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> hyper::rt::Write for ClientIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.shared.is_between_requests()
            && let Some(replaced) = ready!(this.poll_replace(cx, bytes))
        {
            return Poll::Ready(replaced.map(|()| bytes.len()));
        }
        this.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.shared.is_between_requests()
            && let Some(head) = slices.first()
            && let Some(replaced) = ready!(this.poll_replace(cx, head))
        {
            return Poll::Ready(replaced.map(|()| slices.iter().map(|slice| slice.len()).sum()));
        }
        let polled = Pin::new(this.stream.inner_mut()).poll_write_vectored(cx, slices);
        this.unless_stalled(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.inner().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(this.stream.inner_mut()).poll_flush(cx);
        ready!(this.unless_stalled(cx, polled))?;
        this.shared.on_flushed();
        // hyper flushes whenever it is polled, also when there is nothing to flush.
        if let Some(watch) = &mut this.watch {
            if !this.shared.is_busy() {
                watch.rest();
            } else if watch.poll(cx, this.stream.inner().tcp()).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let polled = Pin::new(this.stream.inner_mut()).poll_shutdown(cx);
            ready!(this.unless_stalled(cx, polled))?;
            if this.shared.abrupt.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_empty_answer_of_hypers_gets_a_text_and_keeps_its_date() {
        let head = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                     content-length: 0\r\ndate: Fri, 20 Nov 2026 10:00:00 GMT\r\n\r\n";
        let (_, answer) = with_text(head, &Limits::default()).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 "));
        assert!(head.contains("\r\ndate: Fri, 20 Nov 2026 10:00:00 GMT\r\n"));
        assert_eq!(head.matches("content-length").count(), 1);
        assert!(head.ends_with(&format!("content-length: {}", text.len())));
        assert!(text.contains("max_header_bytes"));
    }

    #[test]
    fn other_answers_are_left_alone() {
        assert_eq!(with_text(b"HTTP/1.1 200 OK\r\n\r\n", &Limits::default()), None);
        assert_eq!(with_text(b"HTTP/1", &Limits::default()), None);
        assert_eq!(with_text(b"\r\n", &Limits::default()), None);
    }
}
