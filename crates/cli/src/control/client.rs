//! Asking and telling a running host.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// After this, a person is told what takes so long.
const WONDER: Duration = Duration::from_secs(1);

/// A running host.
pub(crate) struct Running {
    pub(crate) socket: PathBuf,
    pub(crate) status: Value,
}

impl Running {
    /// The applications of it.
    pub(crate) fn applications(&self) -> impl Iterator<Item = &Value> {
        self.status["applications"].as_array().into_iter().flatten()
    }

    /// The lattice that it is one of: what it is called, and where it is.
    pub(crate) fn lattice(&self) -> Option<(&str, &str)> {
        let lattice = &self.status["lattice"];
        Some((lattice["name"].as_str()?, lattice["at"].as_str().unwrap_or_default()))
    }

    /// Whether it has an application of that name.
    pub(crate) fn has(&self, application: &str) -> bool {
        let mut starting = self.status["change"]["application"].as_str().into_iter();
        self.applications().any(|one| one["name"] == application)
            || starting.any(|starting| starting == application)
    }
}

/// The hosts of this user that run on this machine, or the one at a socket.
pub(crate) async fn running(socket: Option<&Path>) -> anyhow::Result<Vec<Running>> {
    let mut sockets = Vec::new();
    match socket {
        Some(socket) => sockets.push(socket.to_owned()),
        None => {
            for entry in std::fs::read_dir(super::folder()?)? {
                let path = entry?.path();
                if path.extension().is_some_and(|ending| ending == "sock") {
                    sockets.push(path);
                }
            }
            sockets.sort();
        }
    }
    let mut all = Vec::new();
    for path in sockets {
        match call(&path, Method::GET, "/v1/status", None).await {
            Ok(status) => all.push(Running { socket: path, status }),
            // Left behind by a host that did not end by itself.
            Err(error) if socket.is_none() => {
                tracing::debug!("{}: {error:#}", path.display());
                if std::os::unix::net::UnixStream::connect(&path).is_err() {
                    let _ = std::fs::remove_file(&path);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The host that runs an application; the only one, if none is named.
pub(crate) async fn host_of(
    application: Option<&str>,
    socket: Option<&Path>,
) -> anyhow::Result<Running> {
    let mut all = running(socket).await?;
    let Some(application) = application else {
        return match all.len() {
            0 => bail!("nothing runs here; start it with `reef up`"),
            1 => Ok(all.remove(0)),
            _ => bail!("several hosts run here; name an application, or a --socket:{}", list(&all)),
        };
    };
    let mut having: Vec<_> =
        all.iter().enumerate().filter(|(_, one)| one.has(application)).map(|(at, _)| at).collect();
    match (having.pop(), having.is_empty()) {
        (Some(at), true) => Ok(all.swap_remove(at)),
        (Some(_), false) => {
            bail!(
                "several hosts run an application `{application}`; name a --socket:{}",
                list(&all)
            )
        }
        (None, _) if all.is_empty() => bail!("nothing runs here; start it with `reef up`"),
        (None, _) => bail!("no application `{application}` runs here; there is:{}", list(&all)),
    }
}

fn list(all: &[Running]) -> String {
    all.iter()
        .map(|one| {
            let names: Vec<_> =
                one.applications().filter_map(|application| application["name"].as_str()).collect();
            format!("\n  {} at {}", names.join(", "), one.socket.display())
        })
        .collect()
}

/// Asks, and returns what it answers.
///
/// # Errors
/// When nobody answers, or the answer is an error: then in its words.
pub(crate) async fn call(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let bytes = bytes(send(socket, method, path, body.into()).await?, socket).await?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The same of what changes something, which may take long: then it says for what it waits.
///
/// # Errors
/// As [`call`].
pub(crate) async fn change(socket: &Path, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut asking = std::pin::pin!(call(socket, Method::POST, path, Some(body)));
    let mut said = None;
    loop {
        if let Ok(answer) = tokio::time::timeout(WONDER, &mut asking).await {
            return answer;
        }
        let status = tokio::time::timeout(WONDER, call(socket, Method::GET, "/v1/status", None));
        let Ok(Ok(status)) = status.await else { continue };
        let present = &status["change"];
        let (Some(what), Some(application)) =
            (present["what"].as_str(), present["application"].as_str())
        else {
            continue;
        };
        let step = present["step"].as_str().map(|step| format!("; {step}")).unwrap_or_default();
        let now = (what.to_owned(), application.to_owned(), step);
        if said.as_ref() != Some(&now) {
            let (what, application, step) = &now;
            let seconds = &present["seconds"];
            eprintln!("Waiting: {what} of {application}, for {seconds} s{step} …");
            said = Some(now);
        }
    }
}

/// Hands over bytes, and returns those that it answers.
///
/// # Errors
/// As [`call`].
pub(crate) async fn hand(socket: &Path, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
    bytes(send(socket, Method::POST, path, body).await?, socket).await
}

/// What was answered, if that is no error.
async fn bytes(answer: http::Response<Incoming>, socket: &Path) -> anyhow::Result<Bytes> {
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    match value["error"].as_str() {
        Some(error) => bail!("{error}"),
        None if status == StatusCode::UNPROCESSABLE_ENTITY => Ok(bytes),
        None => bail!("{} answered with status {status}", socket.display()),
    }
}

/// Asks, and hands on each line that comes.
pub(crate) async fn lines(
    socket: &Path,
    path: &str,
    mut each: impl FnMut(&str) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut body = send(socket, Method::GET, path, Bytes::new()).await?.into_body();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end())?;
        }
    }
    Ok(())
}

async fn send(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<http::Response<Incoming>> {
    send_body(socket, method, path, Full::new(body)).await
}

/// Asks with a body of whatever kind, and returns the answer whatever it says.
///
/// # Errors
/// When nobody is there, or it breaks off.
pub(crate) async fn send_body<B>(
    socket: &Path,
    method: Method,
    path: &str,
    body: B,
) -> anyhow::Result<http::Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let name = socket.display();
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("no host answers at {name}; start one with `reef up` or `reef host`")
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What went wrong is seen by the request, too.
        let _ = connection.await;
    });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "reef")
        .body(Box::pin(body))?;
    sender.send_request(request).await.with_context(|| format!("{name} broke off"))
}

/// A part of a path or a query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
