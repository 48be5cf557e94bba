//! How a registry lets people in (OCI distribution 1.1; Docker's token authentication).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_auth::{ChallengeParser, ChallengeRef};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::{
    Error, PlaceError,
    client::{Answer, Client, Side},
    credentials::{Credentials, Found},
    place::shown,
};

/// Bytes of an answer with a token in it.
const LARGEST: usize = 256 << 10;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token, which is had somewhere.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// What a registry asks for, or the names of what it asks for that nobody here has.
pub(crate) fn challenge(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut basic = false;
    let mut others = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let Ok(value) = value.to_str() else { continue };
        for challenge in ChallengeParser::new(value).map_while(Result::ok) {
            match parameter(&challenge, "realm") {
                Some(realm) if challenge.scheme.eq_ignore_ascii_case("bearer") => {
                    return Ok(Challenge::Bearer {
                        realm,
                        service: parameter(&challenge, "service"),
                        scope: parameter(&challenge, "scope"),
                    });
                }
                _ if challenge.scheme.eq_ignore_ascii_case("basic") => basic = true,
                _ => others.push(challenge.scheme.to_owned()),
            }
        }
    }
    if basic { Ok(Challenge::Basic) } else { Err(others.join(", ")) }
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let found = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_unescaped())
}

/// What to send for a challenge; nothing if there is nothing to send.
///
/// `base`: who asks, and `from`: from which network. `scope`: what is asked for where the challenge does not say.
pub(crate) async fn answer(
    client: &Client,
    (base, from): (&Url, Side),
    challenge: &Challenge,
    scope: &str,
    found: &Found,
) -> Result<Option<HeaderValue>, Error> {
    let (realm, service, asked) = match challenge {
        Challenge::Basic => {
            return Ok(match &found.credentials {
                Some(Credentials::Password { user, password }) => basic(user, password),
                _ => None,
            });
        }
        Challenge::Bearer { realm, service, scope } => (realm, service, scope),
    };
    let mut url = crate::place::address(realm)?;
    url.set_fragment(None);
    // Who is spoken to with TLS says where credentials go: not anywhere without.
    if base.scheme() == "https" && url.scheme() != "https" {
        return Err(Error::Downgrade { from: shown(base), to: shown(&url) });
    }
    let scope = asked.as_deref().unwrap_or(scope);
    let mut asking: Vec<_> = service.iter().map(|service| ("service", service.as_str())).collect();
    asking.push(("scope", scope));
    let answer = match &found.credentials {
        Some(Credentials::Identity(token)) => {
            asking.extend([("grant_type", "refresh_token"), ("client_id", "reef")]);
            asking.push(("refresh_token", token));
            let form =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(asking).finish();
            client.post(&url, from, form).await?
        }
        other => {
            url.query_pairs_mut().extend_pairs(asking);
            let mut headers = HeaderMap::new();
            if let Some(Credentials::Password { user, password }) = other {
                headers.extend(basic(user, password).map(|value| (header::AUTHORIZATION, value)));
            }
            client.get(&url, from, headers).await?
        }
    };
    token(answer).await
}

/// The token of an answer; nothing if it is a refusal.
async fn token(answer: Answer) -> Result<Option<HeaderValue>, Error> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    match answer.status {
        StatusCode::OK => {}
        // The registry itself says what it thinks of somebody without one.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
            return Ok(None);
        }
        _ => return Err(answer.refused()),
    }
    let url = shown(&answer.url);
    let text = answer.bytes(LARGEST).await?;
    let read = serde_json::from_slice::<Token>(&text).ok();
    let token = read.and_then(|read| read.token.or(read.access_token)).unwrap_or_default();
    match secret(&format!("Bearer {token}")) {
        Some(value) if !token.is_empty() => Ok(Some(value)),
        _ => Err(PlaceError::Url { url, why: "it answers no token".to_owned() }.into()),
    }
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// A value that is not printed.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Where a registry answers.
pub(crate) fn base(client: &Client, host: &str) -> Result<Url, Error> {
    let parse = |scheme: &str| {
        let text = format!("{scheme}://{host}/");
        Url::parse(&text)
            .map_err(|error| PlaceError::Url { url: text.clone(), why: error.to_string() })
    };
    let plain = parse("http")?;
    if client.is_plain(&plain) { Ok(plain) } else { Ok(parse("https")?) }
}

#[cfg(test)]
mod tests;
