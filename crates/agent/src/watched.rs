//! What another host sends, for as long as that host is there.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http_body::{Body, Frame, SizeHint};
use reef_http::BoxError;

use crate::forward::{Peers, SILENT};

/// The body of an answer of another host. A guest may take its time with it; a host that is not heard is gone.
pub(crate) struct Watched {
    body: reef_egress::Body,
    peers: Arc<Peers>,
    host: Arc<str>,
    address: Arc<str>,
    /// While a piece is waited for: ready once the host was silent for too long.
    silent: Option<BoxFuture<'static, ()>>,
}

impl Watched {
    pub(crate) fn new(
        body: reef_egress::Body,
        peers: &Arc<Peers>,
        (host, address): (&str, &str),
    ) -> Self {
        let (host, address) = (host.into(), address.into());
        Self { body, peers: peers.clone(), host, address, silent: None }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silent = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let silent = this.silent.get_or_insert_with(|| {
            let (peers, address) = (this.peers.clone(), this.address.clone());
            Box::pin(async move { peers.silent(&address, SILENT.1).await })
        });
        if silent.poll_unpin(cx).is_pending() {
            return Poll::Pending;
        }
        this.silent = None;
        this.peers.ejected.out(&this.host);
        let why = format!("host {} has not been heard for {:?}", this.host, SILENT.1);
        Poll::Ready(Some(Err(why.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
