//! The import module `wasi_experimental_http`, through which WAGI guests send requests.
//!
//! This is its ABI, version 0.10 (the last), as the host functions have to have it; source: the
//! witx file, the host crate and the guest crates of deislabs/wasi-experimental-http. Every parameter
//! and result is an `i32`; every function gives back 0 or the number of an [`HttpError`].
//!
//! | function | parameters |
//! | --- | --- |
//! | `req` | URL, its length, method, its length, headers, their length, body, its length, where the status goes (2 bytes), where the handle goes (4 bytes) |
//! | `header_get` | handle, name, its length, buffer, its length, where the number of bytes written goes (4 bytes) |
//! | `headers_get_all` | handle, buffer, its length, where the number of bytes written goes (4 bytes) |
//! | `body_read` | handle, buffer, its length, where the number of bytes written goes (4 bytes) |
//! | `close` | handle |
//!
//! * Pointers are into the guest's exported memory `memory`; without one every function but `close`
//!   gives back [`HttpError::MemoryNotFound`]. Numbers are little-endian.
//! * What the guest passes outside of its memory is [`HttpError::BufferTooSmall`]; what it wants
//!   written outside of it is [`HttpError::MemoryAccessError`].
//! * `req` looks in this order: whether there are too many responses open
//!   ([`HttpError::TooManySessions`]), whether the URL is text ([`HttpError::Utf8Error`]) and a URL
//!   ([`HttpError::InvalidUrl`]), whether it is allowed ([`HttpError::DestinationNotAllowed`]), the
//!   method ([`HttpError::InvalidMethod`]), the body, the headers ([`HttpError::InvalidEncoding`]);
//!   then it sends, and waits for the whole response ([`HttpError::RequestError`] where none comes).
//!   On an error nothing is written.
//! * A handle stands for a response whose status has been told, until `close`. Handles are small
//!   numbers from 0 on and are given out again; `http_max_concurrency` bounds how many are open at
//!   once, without it there is no bound in WAGI. To close what is not open is no error: guests' SDKs
//!   take one for fatal. See [`Responses`].
//! * `header_get` compares names without regard to case and writes the first value;
//!   [`HttpError::HeaderNotFound`] without one, [`HttpError::BufferTooSmall`] when it does not fit: the
//!   Rust SDK tries with 4 KiB and doubles up to 64 KiB.
//! * `headers_get_all` writes a text as [`encode_headers`] makes it, or
//!   [`HttpError::BufferTooSmall`]: the Rust SDK has room for 64 KiB, the AssemblyScript one for 4 KiB.
//! * `body_read` writes what is left as far as it fits; 0 bytes are the end. (WAGI ended the guest for
//!   an unknown handle here; [`HttpError::InvalidHandle`] is what the other functions give back.)
//! * The WAGI server followed redirects without looking at where they led; here each is to be allowed
//!   like a URL of the guest's.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, uri::Scheme};
use reef_grants::{Destination, DestinationError, Target};

#[cfg(test)]
mod tests;

/// What guests call the module.
pub const MODULE: &str = "wasi_experimental_http";

/// Its functions, each with the number of its parameters.
pub const FUNCTIONS: [(&str, usize); 5] =
    [("body_read", 4), ("close", 1), ("header_get", 6), ("headers_get_all", 4), ("req", 10)];

/// The entry of `allowed_hosts` that allows every host.
pub const ALLOW_ALL: &str = "insecure:allow-all";

/// Most bytes of headers in a request.
pub const MAX_HEADERS: usize = 64 * 1024;

/// Most responses that are open at once where nothing else is said.
pub const MAX_OPEN: u32 = 128;

/// Why a function did nothing. Its numbers are what guests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum HttpError {
    #[error("the response handle is not open")]
    InvalidHandle = 1,
    #[error("the module exports no memory")]
    MemoryNotFound = 2,
    #[error("the result lies outside of the module's memory")]
    MemoryAccessError = 3,
    #[error("the buffer is too small")]
    BufferTooSmall = 4,
    #[error("the response has no such header")]
    HeaderNotFound = 5,
    #[error("the text is not UTF-8")]
    Utf8Error = 6,
    #[error("the module may not send requests there")]
    DestinationNotAllowed = 7,
    #[error("the method is none of HTTP")]
    InvalidMethod = 8,
    #[error("the headers are not lines of `name:value`")]
    InvalidEncoding = 9,
    #[error("the URL is none of http or https")]
    InvalidUrl = 10,
    #[error("the request could not be sent, or had no response")]
    RequestError = 11,
    #[error("the host failed")]
    RuntimeError = 12,
    #[error("too many responses are open")]
    TooManySessions = 13,
}

/// Not an entry of `allowed_hosts`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedHostError {
    #[error(
        "`{0}` is no URL: `allowed_hosts` has entries such as `https://api.example.com`, or \
         `{ALLOW_ALL}`"
    )]
    NotUrl(String),
    #[error("`*` stands for nothing in `{0}`: name each host, or write `{ALLOW_ALL}`")]
    Wildcard(String),
    #[error(transparent)]
    Destination(#[from] DestinationError),
}

impl HttpError {
    /// The number that the guest gets.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// Where an entry of `allowed_hosts` lets a guest send requests, and whether the entry has a path,
/// which narrows nothing.
///
/// WAGI compares the host's name alone. Here scheme and port count too: `https://api.example.com` is
/// that host by TLS at port 443. `insecure:allow-all` is every public host, at every port; private
/// ones are named each.
///
/// # Errors
/// When it is no URL of `http` or `https`.
pub fn allowed_host(entry: &str) -> Result<(Vec<Destination>, bool), AllowedHostError> {
    if entry == ALLOW_ALL {
        let all = ["http://*:*", "https://*:*"].map(str::parse);
        return Ok((all.into_iter().collect::<Result<_, _>>()?, false));
    }
    let not_url = || AllowedHostError::NotUrl(entry.to_owned());
    let (scheme, rest) = entry.split_once("://").ok_or_else(not_url)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(not_url());
    }
    // A number behind an address is a path here, and no range of addresses.
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('*') {
        return Err(AllowedHostError::Wildcard(entry.to_owned()));
    }
    let destination = format!("{scheme}://{authority}").parse()?;
    Ok((vec![destination], !matches!(path, "" | "/")))
}

/// Whether a guest may send a request to this URL.
///
/// # Errors
/// [`HttpError::InvalidUrl`] and [`HttpError::DestinationNotAllowed`].
pub fn check_url(url: &str, allowed: &[Destination]) -> Result<Uri, HttpError> {
    let uri: Uri = url.parse().map_err(|_| HttpError::InvalidUrl)?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(HttpError::InvalidUrl);
    };
    let default = match scheme {
        scheme if *scheme == Scheme::HTTP => 80,
        scheme if *scheme == Scheme::HTTPS => 443,
        _ => return Err(HttpError::InvalidUrl),
    };
    // User information could make one host look like another.
    if authority.as_str().contains('@')
        || authority.port().is_some() != has_port(authority.as_str())
    {
        return Err(HttpError::InvalidUrl);
    }
    let port = authority.port_u16().unwrap_or(default);
    let host = Target::parse(authority.host()).map_err(|_| HttpError::InvalidUrl)?;
    let granted = |one: &Destination| one.grants(Some(scheme.as_str()), &host, port);
    if allowed.iter().any(granted) { Ok(uri) } else { Err(HttpError::DestinationNotAllowed) }
}

/// Whether something stands where a port would: `a:99999` has something, which is none.
fn has_port(authority: &str) -> bool {
    authority.rfind(':') > authority.rfind(']')
}

/// Headers as text: `name:value` and a line feed each. Values that are not UTF-8 are left out, because
/// a text cannot hold them.
pub fn encode_headers(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        let Ok(value) = std::str::from_utf8(value.as_bytes()) else { continue };
        text.extend([name.as_str(), ":", value, "\n"]);
    }
    text
}

/// Headers from text. Of a name that is there several times the last is taken, as WAGI does; space
/// around a value is left out.
///
/// # Errors
/// [`HttpError::InvalidEncoding`].
pub fn decode_headers(text: &str) -> Result<HeaderMap, HttpError> {
    if text.len() > MAX_HEADERS {
        return Err(HttpError::InvalidEncoding);
    }
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').ok_or(HttpError::InvalidEncoding)?;
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::InvalidEncoding)?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| HttpError::InvalidEncoding)?;
        headers.try_insert(name, value).map_err(|_| HttpError::InvalidEncoding)?;
    }
    Ok(headers)
}

/// The responses that a guest has open, by their handles.
#[derive(Debug)]
pub struct Responses<T> {
    open: BTreeMap<u32, T>,
    most: u32,
}

impl<T> Responses<T> {
    /// None, and at most this many: `http_max_concurrency`, or [`MAX_OPEN`].
    pub fn new(most: u32) -> Self {
        Self { open: BTreeMap::new(), most }
    }

    /// Whether another one may be opened: asked before a request is sent.
    ///
    /// # Errors
    /// [`HttpError::TooManySessions`].
    pub fn room(&self) -> Result<(), HttpError> {
        let open = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        if open < self.most { Ok(()) } else { Err(HttpError::TooManySessions) }
    }

    /// Opens one: its handle is the lowest that is free.
    ///
    /// # Errors
    /// [`HttpError::TooManySessions`].
    pub fn open(&mut self, response: T) -> Result<u32, HttpError> {
        self.room()?;
        let free = (0..).zip(self.open.keys()).find(|(free, taken)| free != *taken);
        let handle = match free {
            Some((free, _)) => free,
            None => u32::try_from(self.open.len()).map_err(|_| HttpError::TooManySessions)?,
        };
        self.open.insert(handle, response);
        Ok(handle)
    }

    /// The response of a handle.
    ///
    /// # Errors
    /// [`HttpError::InvalidHandle`].
    pub fn get(&mut self, handle: u32) -> Result<&mut T, HttpError> {
        self.open.get_mut(&handle).ok_or(HttpError::InvalidHandle)
    }

    /// Closes one, which need not be open.
    pub fn close(&mut self, handle: u32) {
        self.open.remove(&handle);
    }
}
