//! What answers requests: the one thing that the server needs from its user.

use std::future::Future;
use std::net::SocketAddr;

use crate::body::{RequestBody, ResponseBody};

/// Answers requests.
///
/// The future runs on a worker thread and must not block it. It is dropped, at any await point,
/// when the client of an HTTP/2 stream resets it, when an HTTP/1 client resets its connection, and
/// when a drain's deadline passes. An HTTP/1 client that closes its connection looks like one that
/// has closed its sending side and is to be answered; its disappearance is seen when the first bytes
/// of the answer draw a reset.
///
/// # Trailers
/// Request trailers arrive as the body's last frame. Response trailers are the response body's last
/// frame; an HTTP/1.1 client receives them only if it sent `TE: trailers` and the response names
/// them in its `Trailer` header (RFC 9110 section 6.5).
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. An informational (`1xx`) status is answered `500` in its place.
    fn handle(
        &self,
        request: http::Request<RequestBody>,
        peer: Peer,
    ) -> impl Future<Output = http::Response<ResponseBody>> + Send;
}

/// The two ends of the connection that a request came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub remote: SocketAddr,
    /// The address that the client connected to.
    pub local: SocketAddr,
    /// Whether the connection is encrypted, that is whether the scheme is `https`.
    pub tls: bool,
}

/// A handler made from a function, as tests and small servers want it.
#[derive(Clone, Copy, Debug)]
pub struct HandlerFn<F>(pub F);

impl<F, R> Handler for HandlerFn<F>
where
    F: Fn(http::Request<RequestBody>, Peer) -> R + Send + Sync + 'static,
    R: Future<Output = http::Response<ResponseBody>> + Send,
{
    fn handle(
        &self,
        request: http::Request<RequestBody>,
        peer: Peer,
    ) -> impl Future<Output = http::Response<ResponseBody>> + Send {
        (self.0)(request, peer)
    }
}
