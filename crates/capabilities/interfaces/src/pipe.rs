//! What a guest writes to a stream of the component model: it waits until there is room.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime::{
    StoreContextMut,
    component::{Source, StreamConsumer, StreamResult},
};

/// Bytes that are taken from a guest at once.
const PIECE: usize = 64 << 10;

/// Bytes of a guest's.
pub(crate) struct In(PollSender<Bytes>);

/// What takes a guest's bytes, and where they come out.
pub(crate) fn pipe() -> (In, mpsc::Receiver<Bytes>) {
    let (into, out) = mpsc::channel(2);
    (In(PollSender::new(into)), out)
}

impl<D: 'static> StreamConsumer<D> for In {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_reserve(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Ok(())) => {}
        }
        let mut direct = source.as_direct(store);
        let offered = direct.remaining();
        if offered.is_empty() {
            // The place stays reserved for the bytes that come next.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let length = offered.len().min(PIECE);
        let piece = Bytes::copy_from_slice(&offered[..length]);
        direct.mark_read(length);
        Poll::Ready(Ok(match self.0.send_item(piece) {
            Ok(()) => StreamResult::Completed,
            Err(_) => StreamResult::Dropped,
        }))
    }
}
