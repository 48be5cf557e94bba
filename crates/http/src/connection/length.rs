//! A response is as long as its head says, or it is not sent, or cut.
//!
//! Where a message ends is read from its head (RFC 9112 section 6.3). One that says another length than
//! its body has would make the client read the next answer from within this one.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;

use crate::body::{BoxError, ResponseBody};

/// What is wrong with the length that a handler gave its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LengthFault {
    #[error("its Content-Length is not one number")]
    Ambiguous,
    #[error("its Content-Length is {announced}, and its body has {actual} bytes")]
    Other { announced: u64, actual: u64 },
    #[error("its body ended {missing} bytes before its Content-Length")]
    Short { missing: u64 },
    #[error("its body goes on after its Content-Length")]
    Long,
}

/// How many bytes a streamed body has to have. The fields of a body that is known are taken away: the
/// server writes them itself, as it does with `Transfer-Encoding`.
pub(super) fn announced(
    response: &mut Response<ResponseBody>,
    is_head: bool,
) -> Result<Option<u64>, LengthFault> {
    response.headers_mut().remove(TRANSFER_ENCODING);
    let Some(announced) = field(response.headers())? else { return Ok(None) };
    // Said once, if it was said twice.
    response.headers_mut().insert(CONTENT_LENGTH, announced.into());
    if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
        return Ok(None);
    }
    // It may be that of a body that is not sent (RFC 9110 section 8.6).
    let of_another = is_head || response.status() == StatusCode::NOT_MODIFIED;
    match response.body().held().map(|bytes| bytes.len() as u64) {
        Some(0) if of_another => Ok(None),
        Some(actual) if actual != announced => Err(LengthFault::Other { announced, actual }),
        Some(_) => {
            response.headers_mut().remove(CONTENT_LENGTH);
            Ok(None)
        }
        None => Ok((!of_another).then_some(announced)),
    }
}

/// The next frame of a body that has `left` bytes to come.
pub(super) fn keep(
    left: &mut u64,
    frame: Option<Result<Frame<Bytes>, BoxError>>,
) -> Option<Result<Frame<Bytes>, BoxError>> {
    let fault = match &frame {
        Some(Err(_)) => return frame,
        None => (*left > 0).then_some(LengthFault::Short { missing: *left }),
        Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) {
            Some(rest) => {
                *left = rest;
                None
            }
            None => Some(LengthFault::Long),
        },
    };
    match fault {
        None => frame,
        Some(fault) => {
            // Once: an error is the body's end.
            *left = 0;
            Some(Err(fault.into()))
        }
    }
}

/// The one number that all fields of this name say.
fn field(headers: &HeaderMap) -> Result<Option<u64>, LengthFault> {
    let mut found = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.as_bytes();
        let number = digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| std::str::from_utf8(digits).ok()?.parse::<u64>().ok())
            .flatten();
        match number {
            Some(number) if found.is_none_or(|other| other == number) => found = Some(number),
            _ => return Err(LengthFault::Ambiguous),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
