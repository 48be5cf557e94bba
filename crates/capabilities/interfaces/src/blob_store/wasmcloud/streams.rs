//! Streams of the component model: what a guest reads is asked for when it reads, and what it writes waits until
//! there is room.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use reef_blob_store::{Blob, Listing};
use reef_capability::Failure;
use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult, VecBuffer},
};

/// What is asked for its next thing, and gives itself back with it.
type Asking<S> = BoxFuture<'static, (Box<S>, Result<Option<<S as Next>::Item>, Failure>)>;

/// Something that gives one thing after another.
trait Next: Send + Sized + 'static {
    type Item: Send + 'static;

    fn next(self: Box<Self>) -> Asking<Self>;
}

impl Next for Blob {
    type Item = Bytes;

    fn next(
        mut self: Box<Self>,
    ) -> BoxFuture<'static, (Box<Self>, Result<Option<Bytes>, Failure>)> {
        Box::pin(async move {
            let next = Blob::next(&mut self).await;
            (self, next)
        })
    }
}

impl Next for Listing {
    type Item = Vec<String>;

    fn next(
        mut self: Box<Self>,
    ) -> BoxFuture<'static, (Box<Self>, Result<Option<Vec<String>>, Failure>)> {
        Box::pin(async move {
            let next = Listing::next(&mut self).await;
            (self, next)
        })
    }
}

enum State<S: Next> {
    Later(Box<S>),
    Asked(Asking<S>),
    Ended,
}

impl<S: Next> State<S> {
    /// The next thing; none when there are no more. The interface has no word for what fails on the way: a guest
    /// that was told the size sees that it got less. What it was is in the log.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        loop {
            match std::mem::replace(self, Self::Ended) {
                Self::Later(source) => *self = Self::Asked(source.next()),
                Self::Asked(mut asked) => {
                    let Poll::Ready((source, next)) = asked.poll_unpin(cx) else {
                        *self = Self::Asked(asked);
                        return Poll::Pending;
                    };
                    let Ok(Some(next)) = next else { return Poll::Ready(None) };
                    *self = Self::Later(source);
                    return Poll::Ready(Some(next));
                }
                Self::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// An object's bytes, for a guest.
pub(super) struct Out {
    state: State<Blob>,
    piece: Bytes,
}

/// Names, for a guest.
pub(super) struct Names {
    state: State<Listing>,
    page: VecDeque<String>,
}

pub(super) fn bytes(blob: Blob) -> Out {
    Out { state: State::Later(Box::new(blob)), piece: Bytes::new() }
}

pub(super) fn names(listing: Listing) -> Names {
    Names { state: State::Later(Box::new(listing)), page: VecDeque::new() }
}

impl<D: 'static> StreamProducer<D> for Out {
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
        while this.piece.is_empty() {
            match this.state.poll(cx) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(Some(piece)) => this.piece = piece,
            }
        }
        // A guest that reads nothing asks whether there is something to read.
        if destination.remaining(&mut store) != Some(0) {
            let mut direct = destination.as_direct(store, this.piece.len());
            let room = direct.remaining();
            let length = room.len().min(this.piece.len());
            room[..length].copy_from_slice(&this.piece.split_to(length));
            direct.mark_written(length);
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<D: 'static> StreamProducer<D> for Names {
    type Item = String;
    type Buffer = VecBuffer<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, String, VecBuffer<String>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        while this.page.is_empty() {
            match this.state.poll(cx) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(Some(page)) => this.page = page.into(),
            }
        }
        let room = destination.remaining(&mut store).unwrap_or(usize::MAX).min(this.page.len());
        let some: Vec<_> = this.page.drain(..room).collect();
        if !some.is_empty() {
            destination.set_buffer(some.into());
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
