//! What a worker writes to standard output.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde::Deserialize;

use crate::entries::Entries;

/// Most headers.
pub const MAX_HEADERS: usize = 128;
/// Longest piece of the output that an error repeats, in bytes.
const EXCERPT: usize = 120;
/// Headers about the connection to the client, which is the host's (RFC 9110 section 7.6.1), and the
/// length, which it counts.
const HOST_ONLY: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A response: one JSON object on standard output.
///
/// | field | is | without it |
/// | --- | --- | --- |
/// | `data` | the body, text | an error |
/// | `status` | a number from 200 to 599 | an error |
/// | `headers` | an object of text; `_` in a name stands for `-` | none |
/// | `kv` | an object: all [`Entries`] of the namespace from now on | they stay |
/// | `base64` | whether `data` is the body in Base64 | it is not |
///
/// Wasm Workers Server makes 200 of a status that is none and wants `headers` and `kv` to be there. A
/// header may also be a list of text here: `set-cookie`.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// From 200 to 599.
    pub status: StatusCode,
    /// What goes to the client, `text/html` if the worker named no type.
    pub headers: HeaderMap,
    /// Names of the headers left out because they are the host's: for the log.
    pub dropped: Vec<HeaderName>,
    /// The body.
    pub body: Vec<u8>,
    /// The entries from now on; `None`: they stay as they are.
    pub entries: Option<Entries>,
}

/// Output that is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing at all.
    #[error(
        "the worker ended without printing anything: a response is a JSON object with `data`, `status`, `headers` and `kv`"
    )]
    Empty,
    /// Not the object.
    #[error(
        "the worker printed no response: {problem}, in the line \"{text}\"; standard output holds the response's JSON and nothing else, messages go to standard error"
    )]
    Json {
        /// What is wrong.
        problem: String,
        /// The start of the line, escaped.
        text: String,
    },
    /// A status that is none.
    #[error("{0} is no status of a response: it is a number from 200 to 599")]
    Status(i64),
    /// A header that is none.
    #[error("the header \"{0}\" has a name or a value that HTTP does not allow")]
    Header(String),
    /// Too many of them.
    #[error("the worker printed more than {MAX_HEADERS} headers")]
    TooMany,
    /// A body that is not what `base64` says.
    #[error("`base64` is true and `data` is not Base64")]
    Base64,
}

#[derive(Deserialize)]
struct Json {
    data: Option<String>,
    status: i64,
    #[serde(default)]
    headers: Option<BTreeMap<String, Header>>,
    #[serde(default)]
    kv: Option<Entries>,
    #[serde(default)]
    base64: bool,
}

/// The text of a header. Scripts put numbers there too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Header {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
    List(Vec<String>),
}

impl Header {
    fn into_values(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::Number(number) => vec![number.to_string()],
            Self::Bool(value) => vec![value.to_string()],
            Self::List(values) => values,
        }
    }
}

impl Response {
    /// Reads all that the worker printed.
    ///
    /// # Errors
    /// It is no response.
    pub fn from_json(output: &[u8]) -> Result<Self, Error> {
        if output.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::Empty);
        }
        let json: Json = serde_json::from_slice(output).map_err(|error| unread(output, &error))?;
        let number = u16::try_from(json.status).ok().filter(|status| (200..=599).contains(status));
        let status = number.and_then(|number| StatusCode::from_u16(number).ok());
        let status = status.ok_or(Error::Status(json.status))?;

        let (mut headers, mut dropped) = (HeaderMap::new(), Vec::new());
        for (name, text) in json.headers.unwrap_or_default() {
            let fault = || Error::Header(excerpt(name.as_bytes()));
            let key =
                HeaderName::from_bytes(name.replace('_', "-").as_bytes()).map_err(|_| fault())?;
            if HOST_ONLY.contains(&key.as_str()) {
                dropped.push(key);
                continue;
            }
            for value in text.into_values() {
                if headers.len() == MAX_HEADERS {
                    return Err(Error::TooMany);
                }
                let value =
                    HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| fault())?;
                headers.append(key.clone(), value);
            }
        }
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/html"));

        let data = json.data.unwrap_or_default();
        let body = match json.base64 {
            true => BASE64_STANDARD.decode(data).map_err(|_| Error::Base64)?,
            false => data.into_bytes(),
        };
        Ok(Self { status, headers, dropped, body, entries: json.kv })
    }
}

impl Error {
    /// What the client is told: 500, and 502 for a status that is none.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Status(_) => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn unread(output: &[u8], error: &serde_json::Error) -> Error {
    let line = output.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    // What `serde` quotes of the output is the output's.
    let problem = excerpt(error.to_string().as_bytes());
    Error::Json { problem, text: excerpt(line.unwrap_or_default()) }
}

fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(EXCERPT)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests;
