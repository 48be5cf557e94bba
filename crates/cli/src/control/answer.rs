//! What the control socket answers.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use reef_bus::{Bus, Message, PublishError, RequestError};
use reef_host::deploy::{Applied, DeployError};
use reef_telemetry::JournalEntry;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::{Control, lattice, status};
use crate::up::Origin;

/// Bytes of a request's body.
pub(super) const LARGEST: usize = 1 << 20;
/// Lines of the log that are sent when nobody says how many.
const TAIL: usize = 100;

/// How long an answer is waited for when nobody says, and how long at most.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers one request.
pub(super) async fn answer(
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let path: Vec<_> = head.uri.path().trim_matches('/').split('/').collect();
    let path: Vec<_> = path.iter().map(|part| unescaped(part)).collect();
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    let query = head.uri.query().unwrap_or_default();
    if let ["v1", "lattice", rest @ ..] = &path[..] {
        return Ok(
            lattice::answer(control.lattice.as_deref(), &head.method, rest, query, body).await
        );
    }
    let body = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(refused(StatusCode::BAD_REQUEST, error.to_string())),
    };
    let post = head.method == Method::POST;
    if let ["v1", "publish"] = &path[..]
        && post
    {
        return Ok(publish(&**control.host.bus(), query, body).await);
    }
    let told: Value = match body.is_empty() {
        true => Value::Null,
        false => match serde_json::from_slice(&body) {
            Ok(told) => told,
            Err(error) => return Ok(refused(StatusCode::BAD_REQUEST, error.to_string())),
        },
    };
    // The order of what it was started with is its own.
    let starting = !control.ready.load(Ordering::Acquire);
    if post && starting && path.last() != Some(&"stop") {
        let error = "the host is starting; try again when it has started (`reef ps` says so)";
        return Ok(refused(StatusCode::CONFLICT, error.into()));
    }
    let text = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned);
    let get = head.method == Method::GET;
    Ok(match &path[..] {
        ["v1", "status"] if get => said(StatusCode::OK, &status::of(&control)),
        ["v1", "logs"] if get => logs(&control, query),
        ["v1", "apply"] if post => {
            let Some(path) = text("path") else {
                return Ok(refused(StatusCode::BAD_REQUEST, "`path` is missing".into()));
            };
            let values = told.get("values").and_then(Value::as_object).into_iter().flatten();
            let values =
                values.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            let origin = Origin { path: path.into(), profile: text("profile") };
            match control.apply(origin, values.collect()).await {
                Ok(done) => applied(&done),
                Err(error) => refused(status_of(&error), format!("{error:#}")),
            }
        }
        ["v1", "reload"] if post => {
            let all = control.reload_all().await;
            let failed = all.iter().any(|(_, one)| one.is_err());
            let all: Vec<_> = all
                .into_iter()
                .map(|(application, one)| match one {
                    Ok(done) => json_of(&done),
                    Err(error) => {
                        json!({ "application": application, "error": format!("{error:#}") })
                    }
                })
                .collect();
            let status = if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            said(status, &json!({ "applications": all }))
        }
        ["v1", "applications", name, "restart"] if post => {
            done(control.host.restart(name, text("workload").as_deref()).await)
        }
        ["v1", "applications", name, "rollback"] if post => {
            done(control.host.rollback(name, told.get("to").and_then(Value::as_u64)).await)
        }
        ["v1", "applications", name, "stop"] if post => match control.host.stop(name).await {
            Ok(()) => {
                control.sources.forget(name);
                tracing::info!(application = name, "Stopped.");
                said(StatusCode::OK, &json!({ "application": name }))
            }
            Err(error) => done(Err(error)),
        },
        ["v1", "stop"] if post => {
            // Full: it has been told already.
            let _ = control.stop.try_send(());
            said(StatusCode::ACCEPTED, &json!({ "pid": std::process::id() }))
        }
        _ => refused(StatusCode::NOT_FOUND, "there is nothing of that name here".into()),
    })
}

fn done(result: Result<Applied, DeployError>) -> Answer {
    match result {
        Ok(done) => {
            tracing::info!(application = done.application, revision = done.revision, "Replaced.");
            applied(&done)
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            refused(status_of(&error), format!("{error:#}"))
        }
    }
}

fn status_of(error: &anyhow::Error) -> StatusCode {
    match error.downcast_ref() {
        Some(
            DeployError::NoApplication { .. }
            | DeployError::NoRevision { .. }
            | DeployError::NoWorkload { .. },
        ) => StatusCode::NOT_FOUND,
        Some(DeployError::Busy { .. } | DeployError::CalledOff { .. }) => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn json_of(done: &Applied) -> Value {
    json!({
        "application": done.application,
        "revision": done.revision,
        "made": done.made,
        "kept": done.kept,
        "gone": done.gone,
        "changed": done.changed,
    })
}

fn applied(done: &Applied) -> Answer {
    said(StatusCode::OK, &json_of(done))
}

pub(super) fn refused(status: StatusCode, error: String) -> Answer {
    said(status, &json!({ "error": error }))
}

pub(super) fn said(status: StatusCode, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(format!("{value:#}\n"))).boxed_unsync();
    with(status, "application/json", body)
}

fn with(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

/// Puts a message on the bus, and waits for the answer if one is asked for.
pub(super) async fn publish(bus: &dyn Bus, query: &str, body: Bytes) -> Answer {
    let query = pairs(query);
    let value =
        |name: &str| query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let subject = value("subject").unwrap_or_default();
    let message = match Message::new(subject, body) {
        Ok(message) => message,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    if value("request") != Some("true") {
        return match bus.publish(message).await {
            Ok(published) => said(StatusCode::OK, &json!({ "recipients": published.recipients })),
            Err(error) => refused(not_published(&error), error.to_string()),
        };
    }
    let timeout = match value("timeout").map(reef_grants::parse_duration) {
        None => TIMEOUT,
        Some(Ok(timeout)) => timeout.min(LONGEST_TIMEOUT),
        Some(Err(error)) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match bus.request(message, timeout).await {
        Ok(answer) => {
            let body = Full::new(answer.body().clone()).boxed_unsync();
            with(StatusCode::OK, "application/octet-stream", body)
        }
        Err(error) => {
            let status = match &error {
                RequestError::NoResponders { .. } => StatusCode::NOT_FOUND,
                RequestError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
                RequestError::Publish(error) => not_published(error),
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            refused(status, error.to_string())
        }
    }
}

fn not_published(error: &PublishError) -> StatusCode {
    match error {
        PublishError::Message(_) => StatusCode::BAD_REQUEST,
        PublishError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The last lines, and those that follow if that is wanted.
fn logs(control: &Control, query: &str) -> Answer {
    let pairs = pairs(query);
    let value =
        |name: &str| pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    let wanted = value("workload");
    let takes = move |entry: &JournalEntry| match &wanted {
        None => true,
        Some(wanted) => entry.workload.as_deref().is_some_and(|own| is_of(own, wanted)),
    };
    let tail = value("tail").and_then(|tail| tail.parse().ok()).unwrap_or(TAIL);
    let (last, news) = control.journal.follow(tail, &takes);
    let frame = |line: &str| Ok(Frame::data(Bytes::copy_from_slice(line.as_bytes())));
    let last: Vec<_> = last.iter().map(|entry| frame(&entry.line)).collect();
    let last = stream::iter(last);
    let body = if value("follow").is_some_and(|follow| follow == "true") {
        let next = stream::unfold((news, takes), move |(mut news, takes)| async move {
            loop {
                match news.recv().await {
                    Ok(entry) if takes(&entry) => return Some((frame(&entry.line), (news, takes))),
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => {
                        let line = json!({ "message": format!("{missed} lines were missed") });
                        return Some((frame(&format!("{line}\n")), (news, takes)));
                    }
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        StreamBody::new(last.chain(next)).boxed_unsync()
    } else {
        StreamBody::new(last).boxed_unsync()
    };
    with(StatusCode::OK, "application/x-ndjson", body)
}

/// Whether a workload is the one that is named, or one of the application that is.
fn is_of(own: &str, wanted: &str) -> bool {
    own.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), unescaped(value))).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
