//! A stand-in for Vault that does what the documentation of its API says of `kv`, tokens, AppRole and Kubernetes, and,
//! when it is told to, what no server should.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Good,
    /// Lets nobody read anything.
    Denying,
    Sealed,
    /// Repeats what it was sent, with each status that it could have.
    Echo(u16),
    /// Answers what is no JSON, all of it secrets.
    Garbage,
    /// Answers JSON that makes no sense.
    Odd,
    Redirecting,
    /// More than anybody wants to read.
    Endless,
    Silent,
}

impl Mode {
    pub(crate) const BAD: [Self; 12] = [
        Self::Denying,
        Self::Sealed,
        Self::Echo(400),
        Self::Echo(403),
        Self::Echo(418),
        Self::Echo(429),
        Self::Echo(500),
        Self::Garbage,
        Self::Odd,
        Self::Redirecting,
        Self::Endless,
        Self::Silent,
    ];
}

pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<State>,
    serving: tokio::task::JoinHandle<()>,
}

struct State {
    held: Mutex<Held>,
    logins: AtomicUsize,
    renewals: AtomicUsize,
}

struct Held {
    mode: Mode,
    secrets: BTreeMap<String, Value>,
    tokens: BTreeSet<String>,
    lease: u64,
    renewed_lease: u64,
}

type Answer = Response<Full<Bytes>>;

impl Stub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let held = Held {
            mode: Mode::Good,
            secrets: BTreeMap::new(),
            tokens: BTreeSet::from(["root".to_owned()]),
            lease: 3600,
            renewed_lease: 3600,
        };
        let (logins, renewals) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let state = Arc::new(State { held: Mutex::new(held), logins, renewals });
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| {
                    let state = state.clone();
                    async move { Ok::<_, Infallible>(state.answer(request).await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(connection), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self { url, state, serving }
    }

    pub(crate) fn put(&self, path: &str, fields: Value) {
        self.state.held().secrets.insert(path.to_owned(), fields);
    }

    pub(crate) fn allow(&self, token: &str) {
        self.state.held().tokens.insert(token.to_owned());
    }

    pub(crate) fn mode(&self, mode: Mode) {
        self.state.held().mode = mode;
    }

    /// Seconds for which a token is good.
    pub(crate) fn lease(&self, seconds: u64) {
        self.state.held().lease = seconds;
    }

    pub(crate) fn renewed_lease(&self, seconds: u64) {
        self.state.held().renewed_lease = seconds;
    }

    pub(crate) fn logins(&self) -> usize {
        self.state.logins.load(Ordering::SeqCst)
    }

    pub(crate) fn renewals(&self) -> usize {
        self.state.renewals.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn errors(status: u16, errors: &[&str]) -> Answer {
    answer(status, json!({ "errors": errors }).to_string())
}

impl State {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mode = self.held().mode;
        let path = head.uri.path().strip_prefix("/v1/").unwrap_or_default().to_owned();
        let login = path.starts_with("auth/") && path.ends_with("/login");
        match mode {
            Mode::Good => {}
            Mode::Denying if login => {}
            Mode::Denying => return errors(403, &["1 error occurred:\n\t* permission denied\n\n"]),
            Mode::Sealed => return errors(503, &["Vault is sealed"]),
            Mode::Echo(status) => {
                let sent = format!("{:?} {}", head.headers, String::from_utf8_lossy(&body));
                let token = head.headers.get("x-vault-token").map(|token| token.to_str().unwrap());
                return errors(status, &[&sent, token.unwrap_or_default()]);
            }
            Mode::Garbage => return answer(200, "{\"data\": hunter2 hunter2"),
            Mode::Odd => {
                return answer(
                    200,
                    "{\"data\": {\"data\": \"hunter2\"}, \"auth\": {\"client_token\": 7}}",
                );
            }
            Mode::Redirecting => {
                let elsewhere = Response::builder()
                    .status(307)
                    .header("location", "http://127.0.0.1:1/hunter2");
                return elsewhere.body(Full::default()).unwrap();
            }
            Mode::Endless => return answer(200, vec![b'7'; 8 << 20]),
            Mode::Silent => std::future::pending().await,
        }
        if login {
            return self.log_in(&path, &body);
        }
        let token = head.headers.get("x-vault-token").and_then(|token| token.to_str().ok());
        let Some(token) = token.filter(|token| self.held().tokens.contains(*token)) else {
            return errors(403, &["permission denied", "invalid token"]);
        };
        if path == "auth/token/renew-self" && head.method == Method::POST {
            self.renewals.fetch_add(1, Ordering::SeqCst);
            return self.token(token, self.held().renewed_lease);
        }
        let path = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap().into_owned();
        if head.uri.query() == Some("list=true") {
            return self.list(&path);
        }
        let Some(fields) = self.held().secrets.get(&path).cloned() else {
            return errors(404, &[]);
        };
        let data = match path.starts_with("old/") {
            true => fields,
            false => json!({ "data": fields, "metadata": { "version": 1, "destroyed": false } }),
        };
        answer(200, json!({ "request_id": "1", "lease_duration": 0, "data": data }).to_string())
    }

    fn list(&self, path: &str) -> Answer {
        let below = path.replacen("/metadata/", "/data/", 1);
        let held = self.held();
        let all = held.secrets.keys().filter_map(|key| key.strip_prefix(&below));
        let keys: BTreeSet<String> = all
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => rest.to_owned(),
            })
            .collect();
        match keys.is_empty() {
            true => errors(404, &[]),
            false => answer(200, json!({ "data": { "keys": keys } }).to_string()),
        }
    }

    fn log_in(&self, path: &str, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap();
        let good = match path {
            "auth/approle/login" => {
                (body["role_id"] == "role" && body["secret_id"] == "secret")
                    || (body["role_id"] == "hunter2" && body["secret_id"] == "hunter2-secret")
            }
            "auth/kubernetes/login" | "auth/kubernetes/eu/login" => {
                body["role"] == "reef" && body["jwt"] == "jwt"
            }
            _ => return errors(404, &["no handler for route"]),
        };
        if !good {
            return errors(400, &["invalid role or secret ID"]);
        }
        let number = self.logins.fetch_add(1, Ordering::SeqCst);
        let token = format!("hvs.{number}");
        self.held().tokens.insert(token.clone());
        let lease = self.held().lease;
        self.token(&token, lease)
    }

    fn token(&self, token: &str, lease: u64) -> Answer {
        let auth = json!({ "client_token": token, "lease_duration": lease, "renewable": true });
        answer(200, json!({ "auth": auth }).to_string())
    }
}
