//! Requests to Vault. No text of its answers gets into an error: it may be anything.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reef_capability::{Failure, Secret};
use reef_egress::{SendError, Timeouts};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::LARGEST;

/// What stands in a path as itself (RFC 3986, `unreserved`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Until there is a connection. The link's timeout is over all.
const CONNECT: Duration = Duration::from_secs(5);
/// For one exchange. The link's timeout is over all, and is usually shorter.
const EXCHANGE: Duration = Duration::from_secs(60);
/// Bytes of an answer: it says more than its values.
const MOST: usize = 2 * LARGEST;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) http: reef_egress::Client,
    /// Where Vault is, without a slash at the end.
    pub(super) url: String,
    pub(super) namespace: Option<HeaderValue>,
}

/// A path in Vault as a URL has it; nothing if it can be none.
pub(super) fn path(text: &str) -> Option<String> {
    let segments = text.split('/').map(|segment| {
        let sound = !segment.is_empty() && segment != "." && segment != "..";
        sound.then(|| utf8_percent_encode(segment, SEGMENT).to_string())
    });
    Some(segments.collect::<Option<Vec<_>>>()?.join("/"))
}

impl Client {
    /// Sends a request to an address below `/v1`, and reads the answer; nothing if there is none of that name.
    pub(super) async fn call(
        &self,
        method: Method,
        address: &str,
        token: Option<&Secret>,
        body: Option<Json>,
    ) -> Result<Option<Json>, Failure> {
        let shown = address.split('?').next().unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{address}", self.url))
            .header("x-vault-request", "true")
            .header("accept", "application/json");
        if let Some(token) = token {
            let value = HeaderValue::from_str(token.expose()).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            let value = value.map_err(|_| {
                Failure::Invalid(
                    "the token for Vault has characters that a header cannot have".to_owned(),
                )
            })?;
            request = request.header("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let body = match body {
            None => Bytes::new(),
            Some(body) => {
                request = request.header("content-type", "application/json");
                // Wiped with its last clone, which is the connection's.
                Bytes::from_owner(Zeroizing::new(body.to_string().into_bytes()))
            }
        };
        let request = request.body(Full::new(body)).map_err(|_| {
            Failure::Invalid(format!("`{}` is no address in Vault", shown.escape_debug()))
        })?;
        let timeouts = Timeouts {
            connect: CONNECT,
            first_byte: EXCHANGE,
            between_bytes: EXCHANGE,
            total: EXCHANGE,
        };
        let answer = self.http.send(request, timeouts).await.map_err(failed)?;
        let status = answer.status();
        let mut body = answer.into_body();
        // All at once: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 << 10));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            if bytes.len() + data.len() > MOST {
                let is = (bytes.len() + data.len()) as u64;
                return Err(Failure::TooLarge { what: "answer of Vault", is, most: MOST as u64 });
            }
            if bytes.capacity() - bytes.len() < data.len() {
                let mut larger = Zeroizing::new(Vec::with_capacity(MOST));
                larger.extend_from_slice(&bytes);
                bytes = larger;
            }
            bytes.extend_from_slice(&data);
        }
        judge(status, shown)?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if bytes.is_empty() {
            return Ok(Some(Json::Null));
        }
        let answer = serde_json::from_slice(&bytes);
        answer.map(Some).map_err(|_| {
            Failure::Backend(format!(
                "Vault's answer for `{shown}` is no JSON: is it Vault at all?"
            ))
        })
    }
}

/// What a status means: an answer, or nothing of that name, or a failure.
fn judge(status: StatusCode, address: &str) -> Result<(), Failure> {
    match status.as_u16() {
        200 | 204 | 404 => Ok(()),
        400 | 405 => Err(Failure::Backend(format!(
            "Vault cannot make sense of `{address}` ({status}): check `mount`, `version` and how to log in"
        ))),
        401 | 403 => Err(Failure::Denied(format!(
            "Vault denies `{address}` (403): the token is not valid, or its policies do not allow `read` of that path"
        ))),
        // Of Vault Enterprise: what was written is not here yet.
        412 => Err(Failure::unreachable("Vault is not up to date yet (412)")),
        429 => Err(Failure::TooMany("Vault limits how often it is asked (429)".to_owned())),
        300..400 => Err(Failure::Backend(format!(
            "Vault sends us elsewhere ({}), where no token is sent: set `url` to what answers itself",
            status.as_u16()
        ))),
        503 => Err(Failure::unreachable("Vault is sealed, or in maintenance (503)")),
        500.. => Err(Failure::unreachable(format!("Vault fails ({})", status.as_u16()))),
        other => {
            Err(Failure::Backend(format!("Vault answers `{address}` with the status {other}")))
        }
    }
}

fn failed(error: SendError) -> Failure {
    match error {
        SendError::ConnectionClosed(_)
        | SendError::FirstByteTimeout(_)
        | SendError::BetweenBytesTimeout(_)
        | SendError::Timeout(_)
        | SendError::ProtocolError(_)
        | SendError::BodyError(_) => Failure::lost(error),
        _ => Failure::unreachable(error),
    }
}

#[cfg(test)]
mod tests;
