//! Names for requests, to find one again in every log that it left a line in.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// The field that carries the name, on requests and on responses.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name taken from a client.
const MAX_LENGTH: usize = 128;

/// Which requests get a name. It is put on the request, where the handler finds it as
/// [`X_REQUEST_ID`], on the response, and into the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIds {
    /// None; what a client sends is a field like others.
    #[default]
    Off,
    /// All, a new one each: for a server that clients reach directly.
    New,
    /// All, the client's own where it sends one of 1 to 128 visible ASCII characters: for a server
    /// behind a proxy that names requests.
    FromClient,
}

impl RequestIds {
    /// Names a request: puts the name among its headers and returns it.
    pub(crate) fn name(self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let given = match self {
            Self::Off => return None,
            Self::New => None,
            Self::FromClient => {
                let mut fields = headers.get_all(X_REQUEST_ID).iter();
                let first = fields.next().filter(|_| fields.next().is_none());
                first.filter(|id| is_valid(id.as_bytes())).cloned()
            }
        };
        let id = given.unwrap_or_else(new);
        headers.insert(X_REQUEST_ID, id.clone());
        Some(id)
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A UUID of version 7 (RFC 9562 section 5.7): sorted by time. Its random bits are for difference,
/// not for secrecy.
fn new() -> HeaderValue {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let random = fastrand::u128(..);
    let bits = (u128::from(milliseconds) << 80) | (random & ((1 << 80) - 1));
    let versioned = (bits & !(0xf << 76)) | (0x7 << 76);
    let uuid = (versioned & !(0b11 << 62)) | (0b10 << 62);
    let mut text = [b'-'; 36];
    let mut nibble = 128;
    for (at, place) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            nibble -= 4;
            *place = b"0123456789abcdef"[(uuid >> nibble) as usize & 0xf];
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests;
