//! What a request must be before a handler sees it.
//!
//! hyper reads the message. It refuses obsolete line folding, white space before a colon, invalid
//! or differing `Content-Length`, a final coding other than `chunked`, and `Transfer-Encoding` in
//! HTTP/1.0; where a request has both framings it drops `Content-Length` and closes the connection
//! after the answer (RFC 9112 section 6.3 item 3), so no byte behind it is read as a request. A lone
//! line feed ends a line of the head (RFC 9112 section 2.2) but not a chunk's. What it leaves open
//! is decided here.

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Version};
use http_body::Body;

use crate::limits::Limits;
use crate::refusal::Refusal;

/// Refuses what is ambiguous, over a limit, or not taken by this server.
pub(crate) fn request<B: Body>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let headers = request.headers();
    if request.method() == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if headers.len() > limits.max_headers {
        return Err(Refusal::HeadersTooLarge {
            bytes: limits.max_header_bytes,
            count: limits.max_headers,
        });
    }
    if target_len(request.uri()) > limits.max_uri_bytes {
        return Err(Refusal::UriTooLong { limit: limits.max_uri_bytes });
    }
    framing(request)?;
    if request.body().size_hint().lower() > limits.max_body_bytes {
        return Err(Refusal::BodyTooLarge { limit: limits.max_body_bytes });
    }
    Ok(())
}

/// Bytes of the target; an absolute one counts its authority.
fn target_len(uri: &http::Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len())
}

/// The fields that decide where a request goes and ends, in one pass: most requests have few
/// fields, and only one of these.
fn framing<B>(request: &Request<B>) -> Result<(), Refusal> {
    let version = request.version();
    let mut host = None;
    let mut coded = false;
    let mut upgrade = false;
    for (name, value) in request.headers() {
        if name == HOST {
            if host.replace(value).is_some() {
                return Err(Refusal::HostRepeated);
            }
        } else if name == TRANSFER_ENCODING {
            coded = true;
        } else if name == UPGRADE {
            upgrade |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"websocket"));
        }
    }
    match host {
        None if version == Version::HTTP_11 => return Err(Refusal::HostMissing),
        None => {}
        Some(host) => host_value(host, request.uri(), version)?,
    }
    if coded {
        coding(request.headers())?;
    }
    // HTTP/2 has no upgrades: there it is a field like others.
    if upgrade && version <= Version::HTTP_11 { Err(Refusal::WebSocket) } else { Ok(()) }
}

fn host_value(host: &HeaderValue, uri: &http::Uri, version: Version) -> Result<(), Refusal> {
    if !host.as_bytes().iter().all(|&byte| HOST_BYTES[usize::from(byte)]) {
        return Err(Refusal::HostInvalid);
    }
    match uri.authority() {
        Some(authority)
            if version == Version::HTTP_2
                && !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(Refusal::HostDiffers)
        }
        _ => Ok(()),
    }
}

/// The characters of `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
const HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let marks = b"-._~%!$&'()*+,;=:[]";
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = true;
        }
        byte += 1;
    }
    table
};

fn coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(line) = lines.next() else { return Ok(()) };
    // hyper has seen to it that the last coding is `chunked`; nothing may come before it.
    if lines.next().is_none() && line.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let codings = headers.get_all(TRANSFER_ENCODING).iter().flat_map(tokens);
    match codings.filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() {
        1 => Err(Refusal::CodingUnknown),
        _ => Err(Refusal::CodingInvalid),
    }
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests;
