//! A value that a guest reads, as a stream of `wasi:io`.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use reef_blob_store::Blob;
use reef_capability::Failure;
use wasmtime_wasi_io::{
    async_trait,
    poll::Pollable,
    streams::{InputStream, StreamError, StreamResult},
};

/// A value that a guest has not begun to read.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct Incoming {
    pub(super) blob: Blob,
}

/// A value that a guest reads. Nothing is asked of the backend that the guest did not ask for.
pub(super) struct Body {
    next: Next,
    piece: Bytes,
}

enum Next {
    /// Being asked for.
    Asked(Asked),
    /// When what is here was read.
    Later(Box<Blob>),
    Failed(Failure),
    Ended,
}

type Asked = BoxFuture<'static, (Box<Blob>, Result<Option<Bytes>, Failure>)>;

impl Body {
    pub(super) fn new(blob: Blob) -> Self {
        Self { next: Next::Later(Box::new(blob)), piece: Bytes::new() }
    }

    /// Goes on if it can; whether there is something to say now. It is polled by one task at a time: whoever asks
    /// last is told.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.piece.is_empty() {
            match mem::replace(&mut self.next, Next::Ended) {
                Next::Later(mut blob) => {
                    self.next = Next::Asked(Box::pin(async move {
                        let piece = blob.next().await;
                        (blob, piece)
                    }));
                }
                Next::Asked(mut asked) => match asked.poll_unpin(cx) {
                    Poll::Pending => {
                        self.next = Next::Asked(asked);
                        return Poll::Pending;
                    }
                    Poll::Ready((blob, Ok(Some(piece)))) => {
                        (self.next, self.piece) = (Next::Later(blob), piece);
                    }
                    Poll::Ready((_, Ok(None))) => return Poll::Ready(()),
                    Poll::Ready((_, Err(failure))) => self.next = Next::Failed(failure),
                },
                end @ (Next::Failed(_) | Next::Ended) => {
                    self.next = end;
                    return Poll::Ready(());
                }
            }
        }
        Poll::Ready(())
    }
}

#[async_trait]
impl InputStream for Body {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // A guest may ask without having waited.
        let _ = std::future::poll_fn(|cx| self.poll(cx)).now_or_never();
        if !self.piece.is_empty() {
            return Ok(self.piece.split_to(size.min(self.piece.len())));
        }
        match mem::replace(&mut self.next, Next::Ended) {
            Next::Ended => Err(StreamError::Closed),
            Next::Failed(failure) => {
                Err(StreamError::LastOperationFailed(wasmtime::Error::msg(failure.to_string())))
            }
            waiting => {
                self.next = waiting;
                Ok(Bytes::new())
            }
        }
    }
}

#[async_trait]
impl Pollable for Body {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}
