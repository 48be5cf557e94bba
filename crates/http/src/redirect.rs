//! Answers that need no workload: redirections, and answers that are always the same.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};

use crate::body::ResponseBody;

/// Sends clients elsewhere.
///
/// # Example
/// `/old/...` redirected to `/new/...`: `/old/a?b=c` goes to `/new/a?b=c`.
#[derive(Clone, Debug)]
pub struct Redirect {
    status: StatusCode,
    /// Without `/...`, and without the fragment.
    base: String,
    fragment: String,
    with_rest: bool,
}

/// Why a redirection or a fixed answer cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The status does not redirect.
    #[error("{0} does not redirect; use 301 or 308 for good, 302 or 307 for now, 303 to a result")]
    NotARedirect(u16),
    /// The target is not one.
    #[error(
        "`{0}` is no target to redirect to; write a path (`/new`), a URL (`https://host/path`), and \
         `/...` at its end for what follows the route"
    )]
    Target(String),
    /// The status is not one that an answer can have.
    #[error("{0} is no status of an answer; it is from 200 to 599")]
    Status(u16),
    /// The status forbids a body.
    #[error("an answer of status {0} has no body")]
    NoBody(u16),
    /// A header's name or value is not valid.
    #[error("the header `{name}` is not valid: {reason}")]
    Header {
        /// The header as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Redirect {
    /// Redirects to `to`, a path or an `http` or `https` URL. Where it ends in `/...`, what follows
    /// the route in the request's path comes in its place, and the request's query comes along.
    ///
    /// # Errors
    /// The status does not redirect, or the target is not one.
    pub fn new(status: u16, to: &str) -> Result<Self, AnswerError> {
        let code = StatusCode::from_u16(status)
            .ok()
            .filter(|code| matches!(code.as_u16(), 301 | 302 | 303 | 307 | 308));
        let status = code.ok_or(AnswerError::NotARedirect(status))?;
        let wrong = || AnswerError::Target(to.to_owned());
        let (target, fragment) = match to.split_once('#') {
            Some((target, fragment)) => (target, format!("#{fragment}")),
            None => (to, String::new()),
        };
        let (base, with_rest) = match target.strip_suffix("/...") {
            Some(base) => (base, true),
            None => (target, false),
        };
        let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        let host = ["http://", "https://"].iter().find_map(|scheme| {
            base.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                .then(|| &base[scheme.len()..])
        });
        // `//host` and `/\host` would be other hosts, by surprise.
        let is_path = (base.starts_with('/') && !base[1..].starts_with(['/', '\\']))
            || (base.is_empty() && with_rest);
        let is_url = host.is_some_and(|host| {
            let host = host.split(['/', '?']).next().unwrap_or_default();
            !host.is_empty() && host.parse::<http::uri::Authority>().is_ok()
        });
        // A slash too many would make `//host` of what follows.
        let no_place_for_rest = with_rest && (base.contains('?') || base.ends_with('/'));
        if !(is_path || is_url) || no_place_for_rest || !visible(to) {
            return Err(wrong());
        }
        Ok(Self { status, base: base.to_owned(), fragment, with_rest })
    }

    /// Answers a request for `uri`, of whose path `rest` follows the route.
    pub fn answer(&self, uri: &Uri, rest: &str) -> Response<ResponseBody> {
        let mut to = self.base.clone();
        if self.with_rest {
            // The rest is never a host: neither one that follows the slashes of `//host`, nor the
            // end of the target's own.
            if !rest.is_empty() || to.is_empty() {
                to.push('/');
                push_encoded(&mut to, rest.trim_start_matches(['/', '\\']));
            }
            if let Some(query) = uri.query() {
                to.push('?');
                push_encoded(&mut to, query);
            }
        }
        to.push_str(&self.fragment);
        see(self.status, &to)
    }
}

impl TryFrom<&reef_app::Redirect> for Redirect {
    type Error = AnswerError;

    /// What a manifest says of it.
    fn try_from(redirect: &reef_app::Redirect) -> Result<Self, AnswerError> {
        Self::new(redirect.status.as_ref().map_or(308, |status| status.value), &redirect.to.value)
    }
}

impl TryFrom<&reef_app::FixedResponse> for Fixed {
    type Error = AnswerError;

    /// What a manifest says of it.
    fn try_from(fixed: &reef_app::FixedResponse) -> Result<Self, AnswerError> {
        let headers =
            fixed.headers.iter().map(|(name, value)| (name.value.as_str(), value.as_str()));
        let status = fixed.status.as_ref().map_or(200, |status| status.value);
        Self::new(
            status,
            headers,
            fixed.body.as_ref().map(|body| body.value.clone()).unwrap_or_default(),
        )
    }
}

/// A redirection to a target that was made with care.
fn see(status: StatusCode, to: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    match HeaderValue::from_str(to) {
        Ok(location) => {
            *response.status_mut() = status;
            response.headers_mut().insert(LOCATION, location);
        }
        // Encoded, it is visible ASCII; this is not reached.
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// The same path, of this host, with a slash at its end.
pub(crate) fn with_slash(uri: &Uri) -> Response<ResponseBody> {
    let mut to = String::from("/");
    push_encoded(&mut to, uri.path().trim_start_matches(['/', '\\']));
    to.push('/');
    if let Some(query) = uri.query() {
        to.push('?');
        push_encoded(&mut to, query);
    }
    see(StatusCode::MOVED_PERMANENTLY, &to)
}

/// Appends what comes from a client: everything but visible ASCII is percent-encoded, and the
/// backslash, which browsers take for a slash.
fn push_encoded(to: &mut String, text: &str) {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const UNSAFE: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'#');
    to.extend(utf8_percent_encode(text, UNSAFE));
}

/// The same answer to every request.
#[derive(Clone, Debug)]
pub struct Fixed {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Fixed {
    /// An answer of this status, headers and body. Without a `Content-Type` it is plain text.
    ///
    /// # Errors
    /// The status, or a header, is not one; or a status without body has one.
    pub fn new<'h>(
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        body: impl Into<Bytes>,
    ) -> Result<Self, AnswerError> {
        let (number, body) = (status, body.into());
        let status = StatusCode::from_u16(number)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or(AnswerError::Status(number))?;
        let bodiless = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        if bodiless && !body.is_empty() {
            return Err(AnswerError::NoBody(number));
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let wrong = |reason| AnswerError::Header { name: name.to_owned(), reason };
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("its name has a character that names do not have"))?;
            let framing = ["connection", "content-length", "keep-alive", "transfer-encoding"];
            if framing.contains(&key.as_str()) || matches!(key.as_str(), "upgrade" | "trailer") {
                return Err(wrong("it belongs to the connection, and the server sets it"));
            }
            let value = HeaderValue::from_str(value)
                .map_err(|_| wrong("its value has a character that values do not have"))?;
            map.append(key, value);
        }
        if !body.is_empty() && !map.contains_key(CONTENT_TYPE) {
            map.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        Ok(Self { status, headers: map, body })
    }

    /// Answers a request of this method; one of `HEAD` without the body.
    pub fn answer(&self, method: &Method) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        if *method == Method::HEAD && !self.body.is_empty() {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        } else {
            *response.body_mut() = ResponseBody::full(self.body.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests;
