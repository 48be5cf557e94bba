//! The lattice that a host is one of, for clients on its machine: what they would ask of NATS, they ask here.

use std::{sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use reef_lattice::{Digest, Failure, Lattice};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::answer::{Answer, LARGEST, publish, refused, said};

/// How long the next piece of an object may take to come.
const PIECE: Duration = Duration::from_secs(30);

/// A lattice, once it is joined.
pub(crate) struct Offered {
    name: String,
    /// None: it is on this machine alone.
    at: Option<String>,
    joined: OnceLock<Lattice>,
}

impl Offered {
    /// One that is not joined yet: what it is called, and where it is.
    pub(crate) fn new((name, at): (String, Option<String>)) -> Self {
        Self { name, at, joined: OnceLock::new() }
    }

    /// It is joined.
    pub(crate) fn open(&self, lattice: &Lattice) {
        // It is joined once.
        let _ = self.joined.set(lattice.clone());
    }

    /// For who looks for one.
    pub(super) fn status(&self) -> Value {
        let local = || format!("the process {}", std::process::id());
        let at = self.at.clone().unwrap_or_else(local);
        json!({ "name": self.name, "at": at, "joined": self.joined.get().is_some() })
    }
}

/// Answers what is asked of the lattice.
pub(super) async fn answer(
    offered: Option<&Offered>,
    method: &Method,
    path: &[&str],
    query: &str,
    body: Incoming,
) -> Answer {
    let Some(offered) = offered else {
        let error = "this host is of no lattice; `reef host` starts one that is";
        return refused(StatusCode::NOT_FOUND, error.into());
    };
    let Some(lattice) = offered.joined.get() else {
        let error = "the host is starting: it has not joined its lattice yet";
        return refused(StatusCode::SERVICE_UNAVAILABLE, error.into());
    };
    match path {
        ["publish"] if method == Method::POST => {
            match Limited::new(body, LARGEST).collect().await {
                Ok(body) => publish(&*lattice.bus, query, body.to_bytes()).await,
                Err(error) => refused(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            }
        }
        ["objects", digest] => {
            let digest: Digest = match digest.parse() {
                Ok(digest) => digest,
                Err(error) => {
                    return refused(StatusCode::BAD_REQUEST, error.to_string());
                }
            };
            match *method {
                Method::GET => match lattice.objects.has(&digest).await {
                    Ok(true) => said(StatusCode::OK, &json!({ "digest": digest })),
                    Ok(false) => {
                        refused(StatusCode::NOT_FOUND, format!("{digest} is not kept here"))
                    }
                    Err(failure) => failed(&failure),
                },
                Method::POST => match keep(lattice, &digest, body).await {
                    Ok(()) => said(StatusCode::OK, &json!({ "digest": digest })),
                    Err(failure) => failed(&failure),
                },
                _ => refused(StatusCode::METHOD_NOT_ALLOWED, "GET and POST are answered".into()),
            }
        }
        _ => refused(StatusCode::NOT_FOUND, "there is nothing of that name here".into()),
    }
}

/// Has a lattice keep what comes, piece by piece.
async fn keep(lattice: &Lattice, digest: &Digest, mut body: Incoming) -> Result<(), Failure> {
    let disk = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Failure::Full(error.to_string())
        }
        _ => Failure::Backend(format!("a temporary file: {error}")),
    };
    let file = tempfile::NamedTempFile::new().map_err(disk)?;
    let mut to = tokio::fs::File::from_std(file.reopen().map_err(disk)?);
    loop {
        let Ok(next) = tokio::time::timeout(PIECE, body.frame()).await else {
            return Err(Failure::Timeout(PIECE));
        };
        let Some(frame) = next else { break };
        let frame = frame.map_err(Failure::unreachable)?;
        let Ok(piece) = frame.into_data() else { continue };
        to.write_all(&piece).await.map_err(disk)?;
    }
    to.flush().await.map_err(disk)?;
    // What came is looked at there: nothing is kept that its digest does not say.
    lattice.objects.put(digest, file.path()).await
}

fn failed(failure: &Failure) -> Answer {
    let status = match failure {
        Failure::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        Failure::Unavailable { .. } | Failure::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refused(status, failure.to_string())
}
