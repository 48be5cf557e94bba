//! Where a request was sent to. HTTP/1 has the host in a header and the scheme nowhere; `wasi:http`
//! has both in the request's target.

use bytes::Bytes;
use http::{
    Request,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme, Uri},
};
use reef_http::Peer;

/// Makes the target absolute: the scheme as the client connected, the authority from the target
/// itself, else from `Host`, else (HTTP/1.0) the address that was connected to.
pub(super) fn absolute<B>(request: &mut Request<B>, peer: &Peer) {
    let scheme = if peer.tls { Scheme::HTTPS } else { Scheme::HTTP };
    if request.uri().scheme() == Some(&scheme) {
        return;
    }
    let host = || {
        let host = Bytes::copy_from_slice(request.headers().get(HOST)?.as_bytes());
        Authority::from_maybe_shared(host).ok()
    };
    let local = || Authority::try_from(peer.local.to_string()).ok();
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(scheme);
    parts.authority = parts.authority.or_else(host).or_else(local);
    // `*` of an OPTIONS request is a path here.
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests;
