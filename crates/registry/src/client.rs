//! Requests over HTTP: whom they may go to, where they are sent on to, and how often they are tried.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use reef_egress::{Body, ClientConfig, Egress, SendError, Timeouts};
use url::{Host, Url};

use crate::{Config, Error, PlaceError, place::shown};

/// How often an answer may send on to another address.
const REDIRECTS: usize = 5;
/// What is waited before the second try; twice as long before each that follows.
const WAIT: Duration = Duration::from_millis(200);
/// The longest wait between two tries, whatever a server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// What servers are told that this is.
const AGENT: &str = concat!("reef/", env!("CARGO_PKG_VERSION"));

#[derive(Debug)]
pub(crate) struct Client {
    /// For what a person named: every place is allowed, also private networks.
    anywhere: reef_egress::Client,
    /// For what a server of the public network names: that network only, whatever a name resolves to.
    outside: reef_egress::Client,
    timeouts: Timeouts,
    insecure: Vec<String>,
}

/// The head of an answer, and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// How much is thought of where it came from.
    pub(crate) from: Side,
}

/// Who named an address: what is behind it may be asked accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A person, or a server of a private network that a person named.
    Inside,
    /// A server of the public network, which is not to reach through this machine into a private one.
    Outside,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(config: &Config) -> Self {
        Self::reaching(config, &["*:*"])
    }

    /// Where these are the destinations that are taken for the public network.
    fn reaching(config: &Config, outside: &[&str]) -> Self {
        let client = |all: &[&str]| {
            let all = all.iter().filter_map(|destination| destination.parse().ok()).collect();
            reef_egress::Client::new(ClientConfig::new("reef", Egress::new(all)))
        };
        let anywhere = client(&["*:*", "0.0.0.0/0:*", "[::]/0:*", "localhost:*"]);
        let outside = client(outside);
        let timeouts = Timeouts {
            connect: config.connect,
            first_byte: config.stall,
            between_bytes: config.stall,
            total: config.whole,
        };
        Self { anywhere, outside, timeouts, insecure: config.insecure.clone() }
    }

    /// Whether a host is spoken to without TLS: this machine, and those that were named.
    pub(crate) fn is_plain(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let named = |one: &String| {
            one.eq_ignore_ascii_case(host)
                || with_port.as_ref().is_some_and(|host| one.eq_ignore_ascii_case(host))
        };
        let own = match url.host() {
            Some(Host::Domain(name)) => reef_grants::is_localhost(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        own || self.insecure.iter().any(named)
    }

    /// Whether anything may be sent to it.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Error> {
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.is_plain(url) => Ok(()),
            _ => Err(Error::Plain {
                url: shown(url),
                host: url.host_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Asks for something, wherever it is sent on to, but from the public network into a private one. What is to be
    /// kept from others goes only to the host that was asked first.
    pub(crate) async fn get(
        &self,
        url: &Url,
        from: Side,
        mut headers: HeaderMap,
    ) -> Result<Answer, Error> {
        self.check(url)?;
        let (mut at, mut from) = (url.clone(), from);
        for _ in 0..=REDIRECTS {
            let answer = self.send(Method::GET, &at, from, headers.clone(), Bytes::new()).await?;
            from = answer.from;
            let Some(location) = answer.location() else { return Ok(answer) };
            let next = location.and_then(|location| at.join(location).ok());
            let Some(mut next) = next.filter(|next| {
                next.has_host() && next.username().is_empty() && next.password().is_none()
            }) else {
                return Err(Error::Location { url: shown(&at) });
            };
            next.set_fragment(None);
            if at.scheme() == "https" && next.scheme() != "https" {
                return Err(Error::Downgrade { from: shown(&at), to: shown(&next) });
            }
            self.check(&next)?;
            if next.origin() != at.origin() {
                headers.remove(header::AUTHORIZATION);
            }
            at = next;
        }
        Err(Error::Redirects { url: shown(url), limit: REDIRECTS })
    }

    /// Sends a form. It is not sent on.
    pub(crate) async fn post(&self, url: &Url, from: Side, form: String) -> Result<Answer, Error> {
        self.check(url)?;
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form_type);
        self.send(Method::POST, url, from, headers, form.into()).await
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        from: Side,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        // What is packed has another digest.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let wrong = |why: String| Error::Place(PlaceError::Url { url: shown(url), why });
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(all) = request.headers_mut() {
            *all = headers;
        }
        let request = request.body(Full::new(body)).map_err(|error| wrong(error.to_string()))?;
        // Each client connects to the addresses that it has looked at: which one can says where the server is.
        let (sent, from) = match self.outside.send(request.clone(), self.timeouts).await {
            Err(SendError::Refused(_)) if from == Side::Inside => {
                (self.anywhere.send(request, self.timeouts).await, Side::Inside)
            }
            Err(SendError::Refused(_)) => return Err(Error::Inwards { to: shown(url) }),
            sent => (sent, Side::Outside),
        };
        let (head, body) = sent.map_err(|cause| sending(url, cause))?.into_parts();
        Ok(Answer { url: url.clone(), status: head.status, headers: head.headers, body, from })
    }
}

/// Does something again when it failed for a reason that may pass. Only for what can be done twice.
pub(crate) async fn again<T, F>(tries: u32, once: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut wait = WAIT;
    for _ in 1..tries {
        match once().await {
            Err(error) if error.is_passing() => {
                let asked = match &error {
                    Error::Status { after, .. } => *after,
                    _ => None,
                };
                tracing::debug!(%error, "Another try.");
                // Many that failed together come back apart from one another.
                let jittered = wait.mul_f64(0.5 + fastrand::f64());
                tokio::time::sleep(asked.unwrap_or(jittered).min(LONGEST_WAIT)).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            done => return done,
        }
    }
    once().await
}

// === impl Answer ===

impl Answer {
    /// Where it sends on to, if it does; and if it says where.
    fn location(&self) -> Option<Option<&str>> {
        let sends_on = matches!(
            self.status,
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        sends_on.then(|| self.header(&header::LOCATION))
    }

    /// A header that has text in it.
    pub(crate) fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The error that its status is.
    pub(crate) fn refused(&self) -> Error {
        let after = self.header(&header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        let after = after.map(Duration::from_secs);
        Error::Status { url: shown(&self.url), status: self.status, after }
    }

    /// All of a small body.
    pub(crate) async fn bytes(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await? {
            if all.len() + piece.len() > limit {
                return Err(Error::Large { what: shown(&self.url), limit: limit as u64 });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// The next piece of the body.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(cause)) => return Err(sending(&self.url, cause)),
                Some(Ok(frame)) => {
                    // Trailers are of no interest.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

fn sending(url: &Url, cause: SendError) -> Error {
    match cause {
        // It has the whole address in it.
        SendError::InvalidUri { reason: why, .. } => {
            Error::Place(PlaceError::Url { url: shown(url), why })
        }
        cause => Error::Send { url: shown(url), cause },
    }
}

#[cfg(test)]
mod tests;
