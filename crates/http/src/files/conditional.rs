//! Requests that depend on what the client has already (RFC 9110 section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// The last second that an HTTP date can say, in 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// What a representation is known by.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// A strong entity tag, with its quotes.
    pub(super) etag: String,
    /// Seconds since 1970; never later than now (RFC 9110 section 8.8.2.1).
    pub(super) modified: Option<u64>,
}

impl Validators {
    /// Of a file: its tag is made of length and time of change to the nanosecond, and of what tells
    /// its forms apart. It is strong as long as a file that changes twice within the file system's
    /// clock (some milliseconds) changes its length.
    pub(super) fn of(length: u64, (seconds, nanoseconds): (i64, u32), form: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let modified = u64::try_from(seconds).ok().map(|seconds| seconds.min(now).min(LAST_SECOND));
        Self { etag: format!("\"{seconds:x}.{nanoseconds:x}-{length:x}{form}\""), modified }
    }

    pub(super) fn last_modified(&self) -> Option<HeaderValue> {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.modified?));
        HeaderValue::from_str(&date).ok()
    }
}

/// What the preconditions of a `GET` or `HEAD` come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer as if there were none.
    Go,
    /// `304`
    NotModified,
    /// `412`
    Failed,
}

/// Weighs them in the order of RFC 9110 section 13.2.2.
pub(super) fn evaluate(headers: &HeaderMap, have: &Validators) -> Verdict {
    let later_than = |field| Some(have.modified? > date(headers, field)?);
    if headers.contains_key(IF_MATCH) {
        if !matches(headers, IF_MATCH, &have.etag, true) {
            return Verdict::Failed;
        }
    } else if later_than(IF_UNMODIFIED_SINCE) == Some(true) {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if matches(headers, IF_NONE_MATCH, &have.etag, false) {
            return Verdict::NotModified;
        }
    } else if later_than(IF_MODIFIED_SINCE) == Some(false) {
        return Verdict::NotModified;
    }
    Verdict::Go
}

/// Whether a `Range` holds: there is no `If-Range`, or it names just what is here. A date says so
/// only to the second; a client that was sent a tag uses that (RFC 9110 section 13.1.5).
pub(super) fn range_holds(headers: &HeaderMap, have: &Validators) -> bool {
    let mut fields = headers.get_all(IF_RANGE).iter();
    match (fields.next(), fields.next()) {
        (None, _) => true,
        (Some(field), None) => {
            field.as_bytes() == have.etag.as_bytes()
                || (have.modified.is_some() && have.modified == date(headers, IF_RANGE))
        }
        (Some(_), Some(_)) => false,
    }
}

/// Whether a list of entity tags, or `*`, has ours.
fn matches(headers: &HeaderMap, field: HeaderName, etag: &str, strongly: bool) -> bool {
    headers.get_all(field).iter().any(|line| {
        let line = line.as_bytes().trim_ascii();
        line == b"*" || tags(line).any(|(weak, tag)| tag == etag.as_bytes() && !(weak && strongly))
    })
}

/// The entity tags of a list, with their quotes, and whether each is weak. It ends where the list
/// is not well-formed.
fn tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        while let [b',' | b' ' | b'\t', rest @ ..] = list {
            list = rest;
        }
        let (weak, tag) = match list {
            [b'W', b'/', tag @ ..] => (true, tag),
            tag => (false, tag),
        };
        let closing = tag.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = tag.split_at_checked(closing + 2)?;
        list = rest;
        Some((weak, tag))
    })
}

/// A field that is one date, as seconds since 1970. A date before that is as good as 1970.
fn date(headers: &HeaderMap, field: HeaderName) -> Option<u64> {
    let mut fields = headers.get_all(field).iter();
    let (Some(value), None) = (fields.next(), fields.next()) else { return None };
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    Some(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests;
