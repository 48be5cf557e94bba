//! Requests: to instances here or on another host, and from another host to instances here.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use reef_egress::{Client, SendError, Timeouts};
use reef_host::serve::{Forward, Ingress};
use reef_http::{BoxError, Handler, Peer, RequestBody, ResponseBody};

use crate::{
    path::{Choice, Ejected, Near, Path, Revisions},
    watched::Watched,
};

/// What a request that goes from host to host is for: a workload as it is deployed.
const TO: HeaderName = HeaderName::from_static("reef-to");
/// Shows that it comes from a host.
const SECRET: HeaderName = HeaderName::from_static("reef-secret");
/// The host that the client asked for.
const HOST: HeaderName = HeaderName::from_static("reef-host");
/// Who the client is, and which address of ours it came to.
const CLIENT: HeaderName = HeaderName::from_static("reef-client");
/// Whether the client came over TLS.
const TLS: HeaderName = HeaderName::from_static("reef-tls");
/// A guest sends it: whatever its path is, it is for the workload.
const INTERNAL: HeaderName = HeaderName::from_static("reef-internal");
/// Of an answer: it is not here any more, and nothing was done.
const ABSENT: HeaderName = HeaderName::from_static("reef-absent");

/// How long a request waits for an instance where there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bodies up to this are kept to be sent again.
const SMALL: u64 = 64 << 10;
/// Hosts that are tried for a request.
const TRIES: usize = 4;

/// A host that is waited for is asked so often whether it is there, and has so long to say so.
const ASKED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1));
/// Silent for so long, it is given up: for a request that may be sent to another one, and for one that may not.
pub(crate) const SILENT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// How long parts of an exchange between hosts may take. What a request may take is the affair of who answers it.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    first_byte: Duration::from_secs(600),
    between_bytes: Duration::from_secs(600),
    total: Duration::from_secs(24 * 60 * 60),
};

/// What requests are sent to other hosts with.
pub(crate) struct Peers {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) client: Client,
    pub(crate) ejected: Ejected,
    /// When hosts that are waited for were last heard, by their addresses.
    heard: Mutex<HashMap<String, Heard>>,
    /// Hexadecimal; empty until it is known.
    secret: Mutex<Arc<str>>,
    /// Called for a workload without instances.
    pub(crate) demand: Box<dyn Fn(&Path) + Send + Sync>,
}

/// A host that requests wait for.
struct Heard {
    at: Instant,
    /// When it was last asked whether it is there.
    asked: Instant,
}

/// What a request was sent to in vain.
#[derive(Default)]
pub(crate) struct Tried {
    all: Vec<Choice>,
    /// Hosts of those that could not be reached, and are left alone for a while.
    out: Vec<String>,
}

/// How a request is sent to another host.
pub(crate) struct Sent {
    /// By a guest.
    pub(crate) internal: bool,
    /// Whether it may be sent once more.
    pub(crate) again: bool,
}

/// The way from a route to a workload.
pub(crate) struct Outward {
    pub(crate) peers: Arc<Peers>,
    pub(crate) path: Arc<Path>,
    /// The revisions that have this route: they may be others when a request is sent than when it came.
    pub(crate) revisions: Arc<Revisions>,
}

/// What comes in at this host: from clients, and from other hosts.
pub struct Door {
    peers: Arc<Peers>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No instance anywhere.
    Nowhere,
    /// Those that there are could not be reached; the last error.
    Unreachable(String),
}

// === impl Tried ===

impl Tried {
    pub(crate) fn push(&mut self, choice: Choice, ejected: &Ejected) {
        // One that answered is there: it does not run this, or would fail in the same way once more.
        self.out.retain(|host| *host != choice.host);
        if ejected.is_out(&choice.host, Instant::now()) {
            self.out.push(choice.host.clone());
        }
        self.all.push(choice);
    }

    /// Leaves out what may be different by now; whether there was such. What is here, and hosts that could not be
    /// reached, once they are not left alone any more: for that long at least, and longer each time, nothing is sent
    /// there again.
    fn forget(&mut self, ejected: &Ejected) -> bool {
        let (seen, now) = (self.all.len(), Instant::now());
        let over = |host: &String| self.out.contains(host) && !ejected.is_out(host, now);
        self.all.retain(|one| one.near != Near::Here && !over(&one.host));
        self.all.len() < seen
    }
}

// === impl Peers ===

impl Peers {
    pub(crate) fn new(
        ingress: Arc<Ingress>,
        client: Client,
        demand: Box<dyn Fn(&Path) + Send + Sync>,
    ) -> Self {
        let (ejected, secret) = (Ejected::default(), Mutex::new("".into()));
        Self { ingress, client, ejected, heard: Mutex::default(), secret, demand }
    }

    pub(crate) fn set_secret(&self, secret: &str) {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret.into();
    }

    fn secret(&self) -> Arc<str> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next choice, which is waited for where there is none. A host that could not be reached is one again once it
    /// was left alone for long enough: it may have stood still for a moment, and be the only one that there is.
    pub(crate) async fn next(
        &self,
        path: &Path,
        of: Option<&Revisions>,
        tried: &mut Tried,
        until: Instant,
    ) -> Option<Choice> {
        let mut changes = None;
        loop {
            let busy = |name: &str| self.ingress.is_busy(name);
            let of = of.map(|of| of.load());
            if let Some(choice) =
                path.choose(of.as_ref().map(|of| &***of), &tried.all, &self.ejected, busy)
            {
                return Some(choice);
            }
            if tried.all.len() >= TRIES {
                return None;
            }
            let Some(changes) = &mut changes else {
                // What comes from now on is seen: so it is looked at once more before it is waited for.
                changes = Some(path.changes());
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            if !path.has_backends() {
                (self.demand)(path);
            }
            changes.next(left.min(Duration::from_millis(200))).await;
            // Those that failed may be the only ones that there are.
            if !tried.forget(&self.ejected) && !path.has_backends() {
                tried.all.clear();
            }
        }
    }

    /// Sends a request to another host. Gives back why not, and whether nothing was done there.
    pub(crate) async fn send<B>(
        self: &Arc<Self>,
        choice: &Choice,
        mut head: http::request::Parts,
        body: B,
        Sent { internal, again }: Sent,
    ) -> Result<Response<Watched>, (String, bool)>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let nothing = |why: String| (why, true);
        let Some(address) = &choice.http else {
            return Err(nothing(format!("host {} has no address for others", choice.host)));
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme("http").authority(address.as_str()).path_and_query(path);
        let host = host_of(&head);
        head.uri = uri.build().map_err(|error| nothing(error.to_string()))?;
        let own = [(TO, choice.name.as_str()), (SECRET, &*self.secret())];
        for (name, value) in own {
            let value = HeaderValue::from_str(value).map_err(|error| nothing(error.to_string()))?;
            head.headers.insert(name, value);
        }
        if let Some(host) = host {
            head.headers.insert(HOST, host);
        }
        if internal {
            head.headers.insert(INTERNAL, HeaderValue::from_static("1"));
        }
        let silent = if again { SILENT.0 } else { SILENT.1 };
        let sending = self.client.send(Request::from_parts(head, body), TIMEOUTS);
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            // Whatever takes long there: a host that is there says so meanwhile.
            () = self.silent(address, silent) => {
                self.ejected.out(&choice.host);
                let why = format!("host {} has not been heard for {silent:?}", choice.host);
                return Err((why, false));
            }
        };
        match sent {
            Ok(response) => {
                self.ejected.back(&choice.host);
                self.hear(address);
                if response.headers().contains_key(ABSENT) {
                    return Err(nothing(format!("host {} does not run it any more", choice.host)));
                }
                Ok(response.map(|body| Watched::new(body, self, (&choice.host, address))))
            }
            Err(error) => {
                let unsent = matches!(
                    error,
                    SendError::ConnectionRefused { .. }
                        | SendError::ConnectFailed { .. }
                        | SendError::ConnectTimeout { .. }
                        | SendError::DnsFailed(_)
                        | SendError::TooManyConnections { .. }
                );
                if unsent || matches!(error, SendError::ConnectionClosed(_)) {
                    self.ejected.out(&choice.host);
                }
                Err((error.to_string(), unsent))
            }
        }
    }
}

impl Peers {
    /// Ready once a host was silent for so long: it stands still, or cannot be reached any more. All who wait for it
    /// ask together.
    pub(crate) async fn silent(&self, address: &str, within: Duration) {
        let begun = Instant::now();
        loop {
            tokio::time::sleep(ASKED.0).await;
            let (ask, heard) = {
                let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                all.retain(|of, known| of == address || now.duration_since(known.asked) < SILENT.1);
                // What was before is not what this one waits for.
                let new = || Heard { at: begun, asked: begun };
                let known = all.entry(address.to_owned()).or_insert_with(new);
                let due = now.duration_since(known.asked) >= ASKED.0;
                if due {
                    known.asked = now;
                }
                (due, known.at.max(begun))
            };
            if ask && self.is_there(address).await {
                self.hear(address);
            } else if heard.elapsed() >= within {
                return;
            }
        }
    }

    /// A host that others may wait for, too, has answered.
    fn hear(&self, address: &str) {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(address) {
            known.at = Instant::now();
        }
    }

    /// Whether a host answers at all, over whatever connection.
    async fn is_there(&self, address: &str) -> bool {
        let request = Request::builder()
            .method(Method::HEAD)
            .uri(format!("http://{address}/"))
            // Of no workload: it says that it does not run that.
            .header(TO, "-")
            .header(SECRET, &*self.secret())
            .body(http_body_util::Empty::<Bytes>::new());
        let Ok(request) = request else { return false };
        let asking = tokio::time::timeout(ASKED.1, self.client.send(request, TIMEOUTS));
        matches!(asking.await, Ok(Ok(_)))
    }
}

fn host_of(head: &http::request::Parts) -> Option<HeaderValue> {
    let authority = head.uri.authority().map(|authority| authority.as_str());
    match authority {
        Some(authority) => HeaderValue::from_str(authority).ok(),
        None => head.headers.get(header::HOST).cloned(),
    }
}

/// Whether doing it twice comes to the same (RFC 9110 section 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

// === impl Outward ===

impl Forward for Outward {
    fn forward(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> BoxFuture<'_, Response<ResponseBody>> {
        Box::pin(self.answer(request, peer))
    }
}

impl Outward {
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let until = Instant::now() + PATIENCE;
        let (mut tried, mut last) = (Tried::default(), None);
        loop {
            let next = self.peers.next(&self.path, Some(&self.revisions), &mut tried, until).await;
            let Some(choice) = next else {
                let why = last.map_or(Unanswered::Nowhere, Unanswered::Unreachable);
                return unanswered(&self.path, &why);
            };
            if choice.near == Near::Here {
                match self.peers.ingress.answer_placed(&choice.name, request, peer).await {
                    Ok(response) => return response,
                    Err(back) => {
                        request = back;
                        last = Some("it does not run here any more".to_owned());
                        tried.push(choice, &self.peers.ejected);
                        continue;
                    }
                }
            }
            let (mut head, body) = request.into_parts();
            let method = head.method.clone();
            tell(&mut head.headers, peer);
            let (body, small) = match Lent::of(body).await {
                Ok(lent) => lent,
                Err(response) => return *response,
            };
            let slot = body.slot.clone();
            let may = Sent { internal: false, again: is_idempotent(&method) };
            let sent = self.peers.send(&choice, head.clone(), body, may).await;
            match sent {
                Ok(response) => return response.map(ResponseBody::stream),
                Err((why, nothing_done)) => {
                    tracing::debug!(workload = %self.path.workload, host = choice.host, why, "A host did not answer.");
                    tried.push(choice, &self.peers.ejected);
                    let again = nothing_done || is_idempotent(&method);
                    let body = match (again, small, take(&slot)) {
                        (false, ..) => None,
                        (true, Some(bytes), _) => Some(RequestBody::held(bytes, None)),
                        (true, None, Some(body)) => Some(body),
                        // What was read of it cannot be had again.
                        (true, None, None) => None,
                    };
                    let Some(body) = body else {
                        return unanswered(&self.path, &Unanswered::Unreachable(why));
                    };
                    last = Some(why);
                    untell(&mut head.headers);
                    request = Request::from_parts(head, body);
                }
            }
        }
    }
}

/// Says who the client is.
fn tell(headers: &mut HeaderMap, peer: Peer) {
    if let Ok(client) = HeaderValue::from_str(&format!("{} {}", peer.remote, peer.local)) {
        headers.insert(CLIENT, client);
    }
    if peer.tls {
        headers.insert(TLS, HeaderValue::from_static("1"));
    }
}

fn untell(headers: &mut HeaderMap) {
    for name in [TO, SECRET, HOST, CLIENT, TLS, INTERNAL] {
        headers.remove(name);
    }
}

fn unanswered(path: &Path, why: &Unanswered) -> Response<ResponseBody> {
    let (status, text) = match why {
        Unanswered::Nowhere => {
            tracing::warn!(workload = %path.workload, "No instance is ready anywhere to answer a request.");
            (StatusCode::SERVICE_UNAVAILABLE, "Nothing is ready to answer. Try again later.\n")
        }
        Unanswered::Unreachable(why) => {
            tracing::warn!(workload = %path.workload, why, "A request could not be sent on.");
            (StatusCode::BAD_GATEWAY, "What answers this could not be reached.\n")
        }
    };
    let mut response = Response::new(ResponseBody::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

// === impl Door ===

impl Door {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        Self { peers }
    }

    /// A request that another host sends on, for what it is, or `None` where it is not such.
    fn forwarded(
        &self,
        request: &mut Request<RequestBody>,
        peer: &mut Peer,
    ) -> Option<(String, bool)> {
        let headers = request.headers();
        let secret = self.peers.secret();
        let shown = headers.get(SECRET).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_host = !secret.is_empty() && same(shown, secret.as_bytes());
        let to = headers.get(TO).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let to = to.filter(|_| is_host);
        if to.is_some() {
            let internal = headers.contains_key(INTERNAL);
            let client = headers.get(CLIENT).and_then(|client| client.to_str().ok());
            if let Some((remote, local)) = client.and_then(|client| client.split_once(' ')) {
                peer.remote = remote.parse().unwrap_or(peer.remote);
                peer.local = local.parse().unwrap_or(peer.local);
            }
            peer.tls = headers.contains_key(TLS);
            if let Some(host) = request.headers_mut().remove(HOST) {
                request.headers_mut().insert(header::HOST, host);
                // What the connection was made to says nothing to the guest.
                let path = request.uri().path_and_query().cloned();
                let own = path.map_or_else(
                    || Ok(Uri::from_static("/")),
                    |path| Uri::builder().path_and_query(path).build(),
                );
                if let Ok(own) = own {
                    *request.uri_mut() = own;
                }
            }
            untell(request.headers_mut());
            return to.map(|to| (to, internal));
        }
        untell(request.headers_mut());
        None
    }
}

impl Handler for Door {
    async fn handle(
        &self,
        mut request: Request<RequestBody>,
        mut peer: Peer,
    ) -> Response<ResponseBody> {
        let own = [&TO, &SECRET, &HOST, &CLIENT, &TLS, &INTERNAL];
        if !own.iter().any(|name| request.headers().contains_key(*name)) {
            return self.peers.ingress.handle(request, peer).await;
        }
        let Some((to, internal)) = self.forwarded(&mut request, &mut peer) else {
            return self.peers.ingress.handle(request, peer).await;
        };
        let ingress = &self.peers.ingress;
        let answered = match internal {
            false => ingress.answer_placed(&to, request, peer).await,
            true => ingress.answer_any_placed(&to, request, peer).await,
        };
        answered.unwrap_or_else(|_| {
            let mut response = Response::new(ResponseBody::full("It does not run here.\n"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response.headers_mut().insert(ABSENT, HeaderValue::from_static("1"));
            response
        })
    }
}

/// Whether they are the same, in a time that does not tell how far.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other));
    one.len() == other.len() && std::hint::black_box(differ) == 0
}

// === bodies ===

type Boxed = UnsyncBoxBody<Bytes, BoxError>;

/// A body that can be had back as long as nothing of it was read.
struct Lent {
    slot: Arc<Mutex<Option<RequestBody>>>,
    reading: Option<Boxed>,
    hint: SizeHint,
}

fn take(slot: &Mutex<Option<RequestBody>>) -> Option<RequestBody> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Lent {
    /// A small one is read, to be sent again if need be.
    async fn of(body: RequestBody) -> Result<(Self, Option<Bytes>), Box<Response<ResponseBody>>> {
        let hint = body.size_hint();
        if hint.upper().is_some_and(|most| most <= SMALL) {
            let bytes = if body.is_end_stream() {
                Bytes::new()
            } else {
                body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|error| {
                    let mut response = Response::new(ResponseBody::full(format!("{error}\n")));
                    *response.status_mut() = error.status();
                    Box::new(response)
                })?
            };
            let full = Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync();
            let (slot, hint) = (Arc::default(), full.size_hint());
            return Ok((Self { slot, reading: Some(full), hint }, Some(bytes)));
        }
        let slot = Arc::new(Mutex::new(Some(body)));
        Ok((Self { slot, reading: None, hint }, None))
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.reading.is_none() {
            let taken = take(&self.slot).map(|body| body.map_err(Into::into).boxed_unsync());
            self.reading = taken;
        }
        match &mut self.reading {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reading.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
