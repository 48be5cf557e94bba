//! Bodies that end because their guest did.
//!
//! When a store is dropped, the bodies that its guest was sending end as if they were whole: whoever gets one of unknown
//! length would keep half of it for all. An instance that trapped, whose time was up, or that was replaced has not said
//! that it is all.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

/// What an instance has sent. To be dropped before what the bodies come out of is.
#[derive(Debug, Default)]
pub(crate) struct Begun(Option<Arc<AtomicBool>>);

/// A body that breaks off when its guest ends before it does.
struct OfGuest {
    body: WasiBody,
    gone: Arc<AtomicBool>,
}

impl Begun {
    /// The body of one more request.
    pub(crate) fn body(&mut self, body: WasiBody) -> WasiBody {
        if body.is_end_stream() {
            return body;
        }
        let gone = self.0.get_or_insert_default().clone();
        OfGuest { body, gone }.boxed_unsync()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(gone) = &self.0 {
            gone.store(true, Ordering::SeqCst);
        }
    }
}

impl OfGuest {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

impl Body for OfGuest {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.is_gone() {
            return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.is_gone()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    struct Pieces(mpsc::Receiver<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn sent(begun: &mut Begun) -> (mpsc::Sender<Bytes>, WasiBody) {
        let (send, pieces) = mpsc::channel(4);
        (send, begun.body(Pieces(pieces).boxed_unsync()))
    }

    #[tokio::test]
    async fn what_ends_with_its_guest_is_not_whole() {
        let mut begun = Begun::default();
        let (whole, mut first) = sent(&mut begun);
        let (half, mut second) = sent(&mut begun);
        for send in [&whole, &half] {
            send.try_send("a piece".into()).unwrap();
        }
        drop(whole);
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "a piece");
        assert!(first.frame().await.is_none());
        drop(begun);
        drop(half);
        // What was sent is there all the same.
        assert_eq!(second.frame().await.unwrap().unwrap().into_data().unwrap(), "a piece");
        assert!(!second.is_end_stream());
        assert!(second.frame().await.unwrap().is_err());
    }
}
