//! How we are known to Vault: a token, and where it comes from.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use http::Method;
use reef_capability::{Failure, Secret};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;
use zeroize::Zeroize as _;

use super::client::Client;

/// A token is used no longer than this, whatever Vault says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A token that was refused is given up only if it is older: what it may not read, its successor may not either.
const YOUNG: Duration = Duration::from_secs(10);
/// Bytes of a file with a token.
const FILE: u64 = 64 << 10;

/// How to get a token.
#[derive(Debug)]
pub(super) enum Way {
    /// It was given. Whoever gave it renews it.
    Token(Secret),
    /// It is in a file, which somebody keeps up to date (Vault Agent).
    File(PathBuf),
    /// `auth/approle`.
    AppRole { mount: String, role: Secret, secret: Option<Secret> },
    /// `auth/kubernetes`: by the token of the service account.
    Kubernetes { mount: String, role: Secret, jwt: PathBuf },
}

#[derive(Debug)]
pub(super) struct Login {
    way: Way,
    held: Mutex<Option<Held>>,
}

/// A token that Vault gave.
#[derive(Clone, Debug)]
struct Held {
    token: Secret,
    since: Instant,
    /// Without, it does not end.
    lease: Option<Duration>,
    renewable: bool,
}

impl Login {
    pub(super) fn new(way: Way) -> Self {
        Self { way, held: Mutex::default() }
    }

    /// A token that is good, and since when there is it.
    ///
    /// It is renewed when somebody needs it in the last third of its time: nothing goes on while nobody does.
    pub(super) async fn token(&self, client: &Client) -> Result<(Secret, Instant), Failure> {
        let now = Instant::now();
        match &self.way {
            Way::Token(token) => return Ok((token.clone(), now)),
            Way::File(path) => return Ok((read(path.clone()).await?, now)),
            Way::AppRole { .. } | Way::Kubernetes { .. } => {}
        }
        // Those who need it meanwhile wait for this.
        let mut held = self.held.lock().await;
        if let Some(known) = &*held {
            let age = now.saturating_duration_since(known.since);
            match known.lease {
                Some(lease) if age >= lease => {}
                Some(lease) if age >= lease / 3 * 2 => {
                    if let Some(renewed) = known.renew(client).await {
                        let renewed = held.insert(renewed);
                        return Ok((renewed.token.clone(), renewed.since));
                    }
                }
                _ => return Ok((known.token.clone(), known.since)),
            }
        }
        let fresh = held.insert(self.log_in(client).await?);
        Ok((fresh.token.clone(), fresh.since))
    }

    /// Gives up a token that was refused. Whether another try makes sense.
    pub(super) async fn forget(&self, since: Instant) -> bool {
        let mut held = self.held.lock().await;
        let old = held.as_ref().is_some_and(|held| held.since != since || since.elapsed() > YOUNG);
        if old && held.as_ref().is_some_and(|held| held.since == since) {
            *held = None;
        }
        old
    }

    async fn log_in(&self, client: &Client) -> Result<Held, Failure> {
        let (address, body) = match &self.way {
            Way::AppRole { mount, role, secret } => {
                let mut body = json!({ "role_id": role.expose() });
                if let (Some(secret), Some(body)) = (secret, body.as_object_mut()) {
                    body.insert("secret_id".to_owned(), secret.expose().into());
                }
                (format!("auth/{mount}/login"), body)
            }
            Way::Kubernetes { mount, role, jwt } => {
                let jwt = read(jwt.clone()).await?;
                let body = json!({ "role": role.expose(), "jwt": jwt.expose() });
                (format!("auth/{mount}/login"), body)
            }
            Way::Token(_) | Way::File(_) => {
                return Err(Failure::Backend("there is nothing to log in with".to_owned()));
            }
        };
        let answer = client.call(Method::POST, &address, None, Some(body)).await;
        match answer {
            Ok(Some(answer)) => Held::of(answer, &address),
            Ok(None) => Err(Failure::Backend(format!("Vault has no `{address}`"))),
            Err(Failure::Denied(_) | Failure::Backend(_)) => Err(Failure::Backend(format!(
                "Vault refuses the login at `{address}`: check the role, its secret, and `login-mount`"
            ))),
            Err(other) => Err(other),
        }
    }
}

impl Held {
    fn of(mut answer: Json, address: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::Backend(format!("Vault's answer of `{address}` has no token in it"));
        let auth = answer.get_mut("auth").ok_or_else(wrong)?;
        let lease = auth.get("lease_duration").and_then(Json::as_u64).unwrap_or(0);
        let lease = (lease > 0).then(|| Duration::from_secs(lease).min(LONGEST));
        let renewable = auth.get("renewable").and_then(Json::as_bool).unwrap_or(false);
        let token = auth.get_mut("client_token").map(Json::take);
        let Some(Json::String(token)) = token else { return Err(wrong()) };
        if token.is_empty() {
            return Err(wrong());
        }
        Ok(Self { token: token.into(), since: Instant::now(), lease, renewable })
    }

    async fn renew(&self, client: &Client) -> Option<Self> {
        const ADDRESS: &str = "auth/token/renew-self";
        if !self.renewable {
            return None;
        }
        let body = Some(json!({}));
        let answer = client.call(Method::POST, ADDRESS, Some(&self.token), body).await;
        let renewed = answer.ok().flatten().and_then(|answer| Self::of(answer, ADDRESS).ok());
        // At the end of its longest time it gets less and less: then a new one is needed.
        renewed.filter(|renewed| renewed.lease.is_none_or(|lease| lease > YOUNG))
    }
}

/// A token from a file.
async fn read(path: PathBuf) -> Result<Secret, Failure> {
    let read = tokio::task::spawn_blocking(move || {
        let unreadable = |why: String| {
            Failure::unreachable(format!("cannot read the token in {}: {why}", path.display()))
        };
        let found = std::fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?;
        if !found.is_file() || found.len() > FILE {
            return Err(unreadable(format!("it is no file of at most {FILE} bytes")));
        }
        let bytes = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let mut text = String::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            unreadable("it is no text".to_owned())
        })?;
        let token = Secret::from(text.trim());
        text.zeroize();
        if token.expose().is_empty() {
            return Err(unreadable("it is empty".to_owned()));
        }
        Ok(token)
    });
    read.await.unwrap_or_else(|_| Err(Failure::unreachable("reading a token was given up")))
}
