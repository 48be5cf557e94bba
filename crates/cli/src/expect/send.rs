//! Sending a request, and what is kept of its answer.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use reef_app::{Template, Unresolved};
use regex::Regex;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use super::{Capture, Expectation, judge};

/// Bytes of an answer's body.
const LARGEST: usize = 16 << 20;

/// Values of the requests before, by their names.
#[derive(Debug, Default)]
pub(crate) struct Captured(pub(super) BTreeMap<String, String>);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Captured {
    pub(super) fn resolve(&self, template: &Template) -> Result<String, String> {
        let value = template.resolve(|name| self.0.get(name.as_str()).map(String::as_str));
        value.map_err(|Unresolved(name)| {
            format!("`{name}` is not known: the request that captures it did not")
        })
    }

    fn resolve_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => {
                let template: Template =
                    text.parse().map_err(|error: reef_app::TemplateError| error.to_string())?;
                self.resolve(&template)?.into()
            }
            Value::Array(values) => {
                let values = values.iter().map(|value| self.resolve_json(value));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Value::Object(values) => {
                let values = values
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.resolve_json(value)?)));
                Value::Object(values.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }
}

/// Asks a server, and says what of the answer is not as expected: nothing, if all is well. Captures what
/// is to be captured.
pub(crate) async fn ask(
    addr: SocketAddr,
    expectation: &Expectation,
    captured: &mut Captured,
) -> Vec<String> {
    let request = match request(addr, expectation, captured) {
        Ok(request) => request,
        Err(error) => return vec![error],
    };
    let within = expectation.within();
    let answer = match timeout(within, exchange(addr, request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return vec![error],
        Err(_) => {
            let within = seconds(within);
            return vec![format!("there was no whole answer within {within}")];
        }
    };
    let mut wrong = judge::judge(&answer, &expectation.expect, captured);
    for (name, capture) in &expectation.capture {
        match value(&answer, &capture.value) {
            Ok(value) => {
                captured.0.insert(name.to_string(), value);
            }
            Err(error) => wrong.push(format!("`{}` cannot be captured: {error}", name.value)),
        }
    }
    wrong
}

fn seconds(time: std::time::Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

fn request(
    addr: SocketAddr,
    expectation: &Expectation,
    captured: &Captured,
) -> Result<Request<Full<Bytes>>, String> {
    let path = captured.resolve(&expectation.path)?;
    let mut builder = Request::builder().method(expectation.method()).uri(&path);
    let headers = builder.headers_mut().ok_or_else(|| format!("`{path}` is not a path"))?;
    let text = addr.to_string();
    headers.insert(header::HOST, text.parse().map_err(|_| "no host has this name".to_owned())?);
    let mut body = Bytes::new();
    if let Some(json) = &expectation.json {
        let json = captured.resolve_json(json)?;
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        body = json.to_string().into();
    } else if let Some(text) = &expectation.body {
        body = captured.resolve(text)?.into();
    }
    for (name, value) in &expectation.headers {
        let value = captured.resolve(value)?;
        let name = header::HeaderName::try_from(name.as_str());
        let name = name.map_err(|error| error.to_string())?;
        let value = value.parse();
        headers.insert(name, value.map_err(|_| "a header has a line break in it".to_owned())?);
    }
    builder.body(Full::new(body)).map_err(|error| format!("`{path}` is not a path: {error}"))
}

async fn exchange(addr: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, String> {
    let stream = TcpStream::connect(addr).await;
    let stream = stream.map_err(|error| format!("the application cannot be reached: {error}"))?;
    let broken = |error: hyper::Error| format!("the answer broke off: {error}");
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let connection = tokio::spawn(async move {
        // What went wrong is seen by the request, too.
        let _ = connection.await;
    });
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| format!("the answer's body broke off: {error}"))?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    let answer = answer.await;
    connection.abort();
    answer
}

fn value(answer: &Answer, capture: &Capture) -> Result<String, String> {
    match capture {
        Capture::Json(pointer) => {
            let json: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| format!("the body is not JSON: {error}"))?;
            let value = json.pointer(pointer);
            value.map(judge::plain).ok_or_else(|| format!("there is nothing at `{pointer}`"))
        }
        Capture::Header(name) => {
            let value = answer.headers.get(name.as_str());
            let value = value.ok_or_else(|| format!("there is no header `{name}`"))?;
            Ok(String::from_utf8_lossy(value.as_bytes()).into_owned())
        }
        Capture::Body(pattern) => {
            let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
            let body = String::from_utf8_lossy(&answer.body);
            let found = pattern.captures(&body);
            let found = found.ok_or_else(|| format!("`{pattern}` does not match the body"))?;
            Ok(found.get(1).or(found.get(0)).map_or("", |found| found.as_str()).to_owned())
        }
    }
}
