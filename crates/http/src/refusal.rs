//! Answers that the server gives itself, in place of the handler.

use std::fmt;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::body::ResponseBody;

/// Why a request is answered by the server and not by its handler. The text says what happened
/// and, where a limit is the reason, the name of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An HTTP/1.1 request has no `Host` (RFC 9112 section 3.2).
    HostMissing,
    /// A request has more than one `Host`.
    HostRepeated,
    /// `Host` is not a host and an optional port.
    HostInvalid,
    /// An HTTP/2 request has both `:authority` and `Host`, and they differ (RFC 9113 section 8.3.1).
    HostDiffers,
    /// `chunked` is not there exactly once, as the last coding (RFC 9112 section 6.1), so where the
    /// body ends is in doubt.
    CodingInvalid,
    /// A transfer coding other than `chunked` (RFC 9112 section 6.1).
    CodingUnknown,
    /// The request is not HTTP.
    Malformed,
    /// More header bytes than `max_header_bytes`, or more fields than `max_headers`.
    HeadersTooLarge {
        /// `max_header_bytes`
        bytes: usize,
        /// `max_headers`
        count: usize,
    },
    /// The target is longer than `max_uri_bytes`.
    UriTooLong {
        /// `max_uri_bytes`
        limit: usize,
    },
    /// The headers did not arrive within `header_read_timeout`.
    HeadTimeout {
        /// `header_read_timeout`
        after: Duration,
    },
    /// The body is longer than `max_body_bytes`.
    BodyTooLarge {
        /// `max_body_bytes`
        limit: u64,
    },
    /// No byte of the body arrived for `body_read_timeout`.
    BodyTimeout {
        /// `body_read_timeout`
        after: Duration,
    },
    /// The request asks for a WebSocket.
    WebSocket,
    /// The method is `CONNECT`: the server is not a proxy.
    Connect,
    /// The handler answered with a status that cannot end a request (`1xx`).
    StatusInvalid(StatusCode),
    /// The `Content-Length` of the handler's answer is not that of its body.
    LengthInvalid,
    /// The handler panicked.
    HandlerFailed,
    /// `max_connections` are open.
    TooManyConnections {
        /// `max_connections`
        limit: usize,
    },
}

impl Refusal {
    /// The status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::HostDiffers
            | Self::CodingInvalid
            | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::CodingUnknown | Self::WebSocket | Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::HeadersTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::HeadTimeout { .. } | Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::StatusInvalid(_) | Self::LengthInvalid | Self::HandlerFailed => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::TooManyConnections { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The whole response, which also closes an HTTP/1 connection: after most refusals it is not
    /// known where the next request would begin.
    pub fn response(&self) -> Response<ResponseBody> {
        let mut response = plain(self.status(), format!("{self}\n"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// A `text/plain` response.
pub(crate) fn plain(status: StatusCode, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostMissing => f.write_str("an HTTP/1.1 request needs a Host header"),
            Self::HostRepeated => f.write_str("a request may have one Host header only"),
            Self::HostInvalid => f.write_str("the Host header is not a host with an optional port"),
            Self::HostDiffers => f.write_str("the Host header differs from :authority"),
            Self::CodingInvalid => {
                f.write_str("Transfer-Encoding must end in chunked, and name it once")
            }
            Self::CodingUnknown => {
                f.write_str("the only Transfer-Encoding this server takes is chunked")
            }
            Self::Malformed => f.write_str("the request is not valid HTTP"),
            Self::HeadersTooLarge { bytes, count } => write!(
                f,
                "the request's headers are too large: at most {bytes} bytes (max_header_bytes) \
                 in {count} fields (max_headers)"
            ),
            Self::UriTooLong { limit } => {
                write!(f, "the request's target is longer than {limit} bytes (max_uri_bytes)")
            }
            Self::HeadTimeout { after } => write!(
                f,
                "the request's headers did not arrive within {after:?} (header_read_timeout)"
            ),
            Self::BodyTooLarge { limit } => {
                write!(f, "the request's body is larger than {limit} bytes (max_body_bytes)")
            }
            Self::BodyTimeout { after } => {
                write!(f, "no byte of the request's body arrived for {after:?} (body_read_timeout)")
            }
            Self::WebSocket => f.write_str(
                "Reef does not take WebSockets yet. Use server-sent events or a streamed \
                 response over HTTP/1.1 or HTTP/2, or put the WebSocket endpoint on another server",
            ),
            Self::Connect => f.write_str("CONNECT is not taken: this server is not a proxy"),
            Self::StatusInvalid(status) => {
                write!(f, "the handler answered {}, which cannot end a request", status.as_u16())
            }
            Self::LengthInvalid => f.write_str(
                "the handler answered with a Content-Length that is not that of its body",
            ),
            Self::HandlerFailed => f.write_str("the handler failed"),
            Self::TooManyConnections { limit } => write!(
                f,
                "this server has its limit of {limit} connections open (max_connections); \
                 try again"
            ),
        }
    }
}
