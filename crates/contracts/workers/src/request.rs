//! What a worker reads from standard input.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};

use crate::entries::Entries;

/// A request: one JSON object on standard input, which then ends.
///
/// | field | is |
/// | --- | --- |
/// | `url` | the whole URL: `http://localhost:8080/users/7?all` |
/// | `method` | `GET` |
/// | `headers` | an object of text, by names in lower case |
/// | `body` | text; empty if the body is not UTF-8 |
/// | `kv` | an object: the [`Entries`] of the worker's namespace, or none |
/// | `params` | an object of text: the parameters of the route |
/// | `body_base64` | the body, only if it is not UTF-8; not in Wasm Workers Server, which drops such a body |
///
/// A header that was sent several times is joined into one, where Wasm Workers Server keeps one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The whole URL.
    pub url: String,
    /// The method.
    pub method: String,
    /// Headers, by names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// The entries of the worker's namespace.
    pub entries: Entries,
    /// The parameters of the route.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Json<'a> {
    url: Cow<'a, str>,
    method: Cow<'a, str>,
    headers: Cow<'a, BTreeMap<String, String>>,
    body: Cow<'a, str>,
    #[serde(default)]
    kv: Cow<'a, Entries>,
    #[serde(default)]
    params: Cow<'a, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl Request {
    /// A request without entries and parameters.
    pub fn new(
        url: impl Into<String>,
        method: &Method,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> Self {
        let mut joined: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match joined.get_mut(name.as_str()) {
                None => {
                    joined.insert(name.as_str().to_owned(), value.into_owned());
                }
                Some(known) => {
                    // RFC 9113 section 8.2.3 and RFC 9110 section 5.3.
                    known.push_str(if *name == header::COOKIE { "; " } else { ", " });
                    known.push_str(&value);
                }
            }
        }
        Self {
            url: url.into(),
            method: method.as_str().to_owned(),
            headers: joined,
            body,
            entries: Entries::default(),
            parameters: BTreeMap::new(),
        }
    }

    /// The bytes for the worker.
    pub fn to_json(&self) -> Vec<u8> {
        let text = std::str::from_utf8(&self.body).ok();
        let json = Json {
            url: Cow::Borrowed(&self.url),
            method: Cow::Borrowed(&self.method),
            headers: Cow::Borrowed(&self.headers),
            body: Cow::Borrowed(text.unwrap_or_default()),
            kv: Cow::Borrowed(&self.entries),
            params: Cow::Borrowed(&self.parameters),
            body_base64: text.is_none().then(|| BASE64_STANDARD.encode(&self.body)),
        };
        // Maps with text for keys: nothing here can fail.
        serde_json::to_vec(&json).unwrap_or_default()
    }

    /// Reads what [`Request::to_json`] wrote, as a worker would.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let json: Json<'_> = serde_json::from_slice(bytes)?;
        let body = match json.body_base64 {
            Some(text) => BASE64_STANDARD
                .decode(text)
                .map_err(<serde_json::Error as serde::de::Error>::custom)?,
            None => json.body.into_owned().into_bytes(),
        };
        Ok(Self {
            url: json.url.into_owned(),
            method: json.method.into_owned(),
            headers: json.headers.into_owned(),
            body,
            entries: json.kv.into_owned(),
            parameters: json.params.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
