//! The guest's standard output as an HTTP response head, read while it arrives.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

#[cfg(test)]
mod tests;

/// Most bytes of header block, with its line ends and the blank line.
pub const MAX_HEADER_BLOCK: usize = 64 * 1024;

/// Most header lines.
pub const MAX_HEADERS: usize = 128;

/// Longest piece of the guest's output that an error repeats, in bytes.
const EXCERPT: usize = 80;

/// Headers about the connection to the client, which is the host's and not the guest's (RFC 3875
/// section 6.3.4, RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of which a second one would contradict the first.
const ONCE: [&str; 3] = ["content-length", "content-type", "location"];

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// From 200 to 599.
    pub status: StatusCode,
    /// What goes to the client, valid and without headers that concern the connection.
    pub headers: HeaderMap,
    /// Names of the headers left out because they concern the connection: for the log.
    pub dropped: Vec<HeaderName>,
}

/// Where a parser stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes were taken and the blank line has not come.
    NeedMore,
    /// The head is whole. The body starts at this offset of the bytes just fed, and everything
    /// that follows belongs to it.
    Head { head: ResponseHead, body_start: usize },
}

/// Output that is no CGI response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "line {line} of the handler's output, \"{text}\", {fault}; a response starts with header \
         lines such as `Content-Type: text/plain` and a blank line"
    )]
    Line {
        /// From 1.
        line: usize,
        /// The start of the line, escaped.
        text: String,
        fault: LineFault,
    },
    #[error(
        "the handler's header block has none of `Content-Type`, `Status` and `Location`: print \
         `Content-Type: text/plain` and a blank line before the body"
    )]
    Insufficient,
    #[error(
        "the handler's header block is longer than {MAX_HEADER_BLOCK} bytes: is the blank line \
         between headers and body missing?"
    )]
    TooLarge,
    #[error("the handler printed more than {MAX_HEADERS} headers")]
    TooMany,
    #[error(
        "the handler ended without printing anything: a response needs at least `Content-Type: \
         text/plain` and a blank line"
    )]
    Empty,
    #[error(
        "the handler ended after {headers} header lines without the blank line that ends the header \
         block"
    )]
    Truncated {
        /// Whole header lines that were read.
        headers: usize,
    },
    #[error("the head of this response was already read: the rest is its body")]
    Finished,
}

/// What is wrong with one header line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    #[error("has no colon")]
    NoColon,
    #[error("is an HTTP status line (print `Status: 200 OK` instead)")]
    StatusLine,
    #[error("starts with white space (a header stays on one line)")]
    Folded,
    #[error("has a header name with characters that HTTP does not allow")]
    Name,
    #[error("has a header value with control characters")]
    Value,
    #[error("has a status that is not a number from 200 to 599")]
    Status,
    #[error("has a content length that is not a number")]
    ContentLength,
    #[error("repeats `{0}`")]
    Repeated(HeaderName),
}

impl Error {
    /// What the client is told: 500, as WAGI answers for output that is no response, and 502 for a
    /// status that is none.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Line { fault: LineFault::Status, .. } => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Reads a handler's output up to the blank line, in pieces of any size; how the output is cut in
/// pieces does not change the result.
///
/// The rules, from RFC 3875 section 6 and WAGI's documents:
///
/// * lines end with LF or CR LF; one blank line before the first header is skipped, as WAGI does;
/// * one of `Content-Type`, `Status` and `Location` must be there ([`Error::Insufficient`]);
/// * `Status: 404 Not Found` sets the status (the phrase is ignored) and is not sent on as a header;
/// * without it the status is 302 where `Location` is present and 200 otherwise. A `Location` that
///   is a path goes to the client like any other: there is no redirect inside the server;
/// * names and values are checked, so that no header of the guest's can hold a second one. A line
///   that is not a header is an error, where WAGI leaves it out silently;
/// * headers sent several times stay several (`Set-Cookie`), except that a second `Status`,
///   `Content-Type`, `Content-Length` or `Location` is an error;
/// * hop-by-hop headers, and those that a `Connection` header names, are dropped: the connection is
///   the host's, and RFC 3875 section 6.3.4 has it remove them.
///
/// At most [`MAX_HEADER_BLOCK`] bytes and [`MAX_HEADERS`] headers are held.
#[derive(Debug, Default)]
pub struct ResponseParser {
    state: State,
    /// The line that has not ended yet.
    partial: Vec<u8>,
    /// Bytes taken so far.
    taken: usize,
    /// Lines taken so far.
    lines: usize,
    /// Header lines among them.
    fields: usize,
    status: Option<StatusCode>,
    headers: HeaderMap,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Reading,
    Finished,
    Failed(Error),
}

impl ResponseParser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of output.
    ///
    /// An error is final: feeding again returns it again. After [`Progress::Head`] the parser is
    /// done ([`Error::Finished`]).
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Error> {
        match &self.state {
            State::Reading => {}
            State::Finished => return Err(Error::Finished),
            State::Failed(error) => return Err(error.clone()),
        }
        let progress = self.read(bytes);
        match &progress {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Head { .. }) => self.state = State::Finished,
            Err(error) => self.state = State::Failed(error.clone()),
        }
        progress
    }

    /// Tells that the guest ended; an error where it did so before its head was whole.
    pub fn finish(self) -> Result<(), Error> {
        match self.state {
            State::Finished => Ok(()),
            State::Failed(error) => Err(error),
            State::Reading if self.taken == 0 => Err(Error::Empty),
            State::Reading => Err(Error::Truncated { headers: self.fields }),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Progress, Error> {
        let within_limit = &bytes[..bytes.len().min(MAX_HEADER_BLOCK - self.taken)];
        let mut rest = within_limit;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (piece, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(piece);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            self.lines += 1;
            if !line.is_empty() {
                self.header_line(&line)?;
            } else if self.lines > 1 {
                let head = self.head()?;
                return Ok(Progress::Head { head, body_start: within_limit.len() - rest.len() });
            }
            // Its allocation serves the next line.
            line.clear();
            self.partial = line;
        }
        self.partial.extend_from_slice(rest);
        self.taken += within_limit.len();
        if within_limit.len() < bytes.len() {
            return Err(Error::TooLarge);
        }
        Ok(Progress::NeedMore)
    }

    fn header_line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.fields += 1;
        if self.fields > MAX_HEADERS {
            return Err(Error::TooMany);
        }
        self.header(line).map_err(|fault| Error::Line {
            line: self.lines,
            text: line[..line.len().min(EXCERPT)].escape_ascii().to_string(),
            fault,
        })
    }

    fn header(&mut self, line: &[u8]) -> Result<(), LineFault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(LineFault::Folded);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            let status_line = line.starts_with(b"HTTP/");
            return Err(if status_line { LineFault::StatusLine } else { LineFault::NoColon });
        };
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| LineFault::Name)?;
        let value = HeaderValue::from_bytes(trim_blanks(&line[colon + 1..]))
            .map_err(|_| LineFault::Value)?;

        if name.as_str() == "status" {
            if self.status.is_some() {
                return Err(LineFault::Repeated(name));
            }
            self.status = Some(status_code(value.as_bytes()).ok_or(LineFault::Status)?);
            return Ok(());
        }
        if ONCE.contains(&name.as_str()) && self.headers.contains_key(&name) {
            return Err(LineFault::Repeated(name));
        }
        if name == header::CONTENT_LENGTH && !is_length(value.as_bytes()) {
            return Err(LineFault::ContentLength);
        }
        self.headers.append(name, value);
        Ok(())
    }

    fn head(&mut self) -> Result<ResponseHead, Error> {
        let mut headers = std::mem::take(&mut self.headers);
        let redirect = headers.contains_key(header::LOCATION);
        if self.status.is_none() && !redirect && !headers.contains_key(header::CONTENT_TYPE) {
            return Err(Error::Insufficient);
        }
        let implied = if redirect { StatusCode::FOUND } else { StatusCode::OK };

        let named = connection_options(&headers);
        let dropped: Vec<_> = headers
            .keys()
            .filter(|name| HOP_BY_HOP.contains(&name.as_str()) || named.contains(name))
            .cloned()
            .collect();
        for name in &dropped {
            headers.remove(name);
        }
        Ok(ResponseHead { status: self.status.unwrap_or(implied), headers, dropped })
    }
}

/// The header names that `Connection` lists (RFC 9110 section 7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(trim_blanks(option)).ok())
        .collect()
}

/// `404` or `404 Not Found`.
fn status_code(value: &[u8]) -> Option<StatusCode> {
    let (digits, phrase) = value.split_at_checked(3)?;
    if !matches!(phrase.first(), None | Some(b' ' | b'\t')) {
        return None;
    }
    // A guest cannot send an interim response: what it prints is the final one.
    StatusCode::from_bytes(digits).ok().filter(|code| (200..=599).contains(&code.as_u16()))
}

fn is_length(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(value).is_ok_and(|digits| digits.parse::<u64>().is_ok())
}

fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
