//! The HTTP client of a workload.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::BoxError;
use crate::body::{Body, Progress, RequestBody};
use crate::connector::{CONNECT_WITHIN, Connector, Shared, parts};
use crate::error::SendError;
use crate::policy::Egress;
use crate::resolver::{Resolve, SystemResolver};
use crate::slots::{InUse, Slots, Usage};
use crate::tls::Tls;
use reef_grants::Target;

/// Most bytes of response head, over HTTP/1.1 and HTTP/2.
const MAX_HEAD: usize = 64 * 1024;

/// Headers that concern one connection (RFC 9110 section 7.6.1). `Trailer` stays: it announces what
/// the far end will get.
const HOP_BY_HOP: [&str; 6] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Longest that any of [`Timeouts`] can be; what is longer counts as this.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long each part of an exchange may take. None can be longer than a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection: waiting for a slot, resolving, connecting, TLS. 5 s by default.
    pub connect: Duration,
    /// Until the head of the response, since the connection was there or the last piece of the
    /// request's body was taken. 30 s by default.
    pub first_byte: Duration,
    /// Until the next piece of the response's body. 30 s by default.
    pub between_bytes: Duration,
    /// For everything up to the end of the response's body. 600 s by default.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    /// A guest may ask for more than the clock can count.
    fn bounded(self) -> Self {
        Self {
            connect: self.connect.min(MAX_TIMEOUT),
            first_byte: self.first_byte.min(MAX_TIMEOUT),
            between_bytes: self.between_bytes.min(MAX_TIMEOUT),
            total: self.total.min(MAX_TIMEOUT),
        }
    }
}

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Named in refusals.
    pub workload: String,
    pub egress: Egress,
    pub resolver: Arc<dyn Resolve>,
    /// Whom it trusts, and as whom it comes.
    pub tls: Tls,
    /// Most connections open at once, idle ones included; the longest idle is closed when another
    /// is needed. 256 by default.
    pub max_connections: usize,
    /// Most idle connections kept for one host. 32 by default.
    pub max_idle_per_host: usize,
    /// How long an idle connection is kept. 60 s by default.
    pub idle_timeout: Duration,
}

impl ClientConfig {
    /// With the machine's resolver and the defaults.
    pub fn new(workload: impl Into<String>, egress: Egress) -> Self {
        Self {
            workload: workload.into(),
            egress,
            resolver: Arc::new(SystemResolver::shared()),
            tls: Tls::default(),
            max_connections: 256,
            max_idle_per_host: 32,
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// The HTTP client of one workload: what is not granted is refused before anything is sent or even
/// resolved. Cheap to clone; all clones share one pool of connections.
///
/// HTTP/2 where the server chooses it (ALPN), HTTP/1.1 otherwise. Redirects are not followed. May be
/// used from several runtimes at once, of any flavour: the task that drives a connection runs on the
/// runtime that opened it, so a runtime that ends takes its connections with it.
#[derive(Clone, Debug)]
pub struct Client {
    pool: legacy::Client<Connector, RequestBody>,
    shared: Arc<Shared>,
}

impl Client {
    pub fn new(config: ClientConfig) -> Self {
        let shared = Arc::new(Shared {
            workload: config.workload,
            egress: config.egress,
            resolver: config.resolver,
            slots: Slots::new(config.max_connections),
            tls: config.tls,
            encryption: OnceCell::new(),
            default_connect: Timeouts::default().connect,
        });
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(config.max_idle_per_host)
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .http2_adaptive_window(true)
            // Finds out that a server is gone while requests wait for it.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .build(Connector { shared: Arc::clone(&shared) });
        Self { pool, shared }
    }

    /// What this client may connect to.
    pub fn egress(&self) -> &Egress {
        &self.shared.egress
    }

    /// Sends a request to the absolute `http` or `https` URL in its URI, and returns the head of the
    /// response; its body is read on from there under the same clock.
    ///
    /// `Host` is set from the URL whatever the request says, and headers that concern a connection
    /// are left out of both messages; `CONNECT` and upgrades are not possible. A request that was not
    /// sent yet on a reused connection when that closed is tried again; no other is.
    pub async fn send<B>(
        &self,
        request: Request<B>,
        timeouts: Timeouts,
    ) -> Result<Response<Body>, SendError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let timeouts = timeouts.bounded();
        let deadline = Instant::now() + timeouts.total;
        let (mut head, body) = request.into_parts();
        let (scheme, target, port) = parts(&head.uri)?;
        if !self.shared.egress.permits(Some(scheme), &target, port) {
            let host = target.to_string();
            return Err(self.shared.egress.refusal(&self.shared.workload, &host, port).into());
        }
        let authority = format!("{target}:{port}");
        prepare(&mut head, scheme, &target, port)?;

        let progress = Progress::now();
        let mut request = Request::from_parts(head, RequestBody::new(body, progress.clone()));
        let captured = capture_connection(&mut request);
        let exchange = CONNECT_WITHIN.scope(timeouts.connect, self.pool.request(request));
        let (response, in_use) =
            within(exchange, captured, &progress, timeouts, deadline, &authority).await?;

        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(SendError::ProtocolError(
                "the server switched protocols without being asked to".to_owned(),
            ));
        }
        head.extensions.remove::<Arc<Usage>>();
        strip_hop_by_hop(&mut head.headers);
        let body = Body::new(body, in_use, timeouts.between_bytes, timeouts.total, deadline);
        Ok(Response::from_parts(head, body))
    }
}

/// Waits for the head of a response, first for a connection and then for the server.
async fn within(
    exchange: impl Future<Output = Result<Response<Incoming>, legacy::Error>>,
    mut captured: CaptureConnection,
    progress: &Progress,
    timeouts: Timeouts,
    deadline: Instant,
    authority: &str,
) -> Result<(Response<Incoming>, Option<InUse>), SendError> {
    let connect_by = Instant::now() + timeouts.connect;
    let timer = tokio::time::sleep_until(connect_by.min(deadline));
    tokio::pin!(exchange, timer);
    let mut connected = false;
    let mut in_use = None;
    loop {
        tokio::select! {
            // The exchange first: where its own clock ran out in this moment, it knows best why.
            biased;
            response = &mut exchange => {
                let response = response.map_err(|error| SendError::classify(&error))?;
                // A retried request can have moved to another connection than was captured.
                if let Some(usage) = response.extensions().get::<Arc<Usage>>() {
                    in_use = Some(Arc::clone(usage).begin_request());
                }
                return Ok((response, in_use));
            }
            connection = captured.wait_for_connection_metadata(), if !connected => {
                connected = true;
                let mut extensions = http::Extensions::new();
                if let Some(connection) = &*connection {
                    connection.get_extras(&mut extensions);
                }
                in_use = extensions.remove::<Arc<Usage>>().map(Usage::begin_request);
                progress.touch();
                timer.as_mut().reset((Instant::now() + timeouts.first_byte).min(deadline));
            }
            () = &mut timer => {
                let now = Instant::now();
                if now >= deadline {
                    return Err(SendError::Timeout(timeouts.total));
                }
                if !connected {
                    let authority = authority.to_owned();
                    return Err(SendError::ConnectTimeout { authority, after: timeouts.connect });
                }
                let due = progress.last() + timeouts.first_byte;
                if now >= due {
                    return Err(SendError::FirstByteTimeout(timeouts.first_byte));
                }
                timer.as_mut().reset(due.min(deadline));
            }
        }
    }
}

/// Makes a guest's request one that can be sent: URL in one spelling, headers that are the client's
/// removed, framing unambiguous.
fn prepare(
    head: &mut http::request::Parts,
    scheme: &str,
    target: &Target,
    port: u16,
) -> Result<(), SendError> {
    let invalid =
        |uri: &Uri, reason: String| SendError::InvalidUri { uri: uri.to_string(), reason };
    if head.method == Method::CONNECT {
        return Err(SendError::ProtocolError("CONNECT requests are not possible".to_owned()));
    }
    let authority = match (scheme, port) {
        ("http", 80) | ("https", 443) => target.to_string(),
        _ => format!("{target}:{port}"),
    };
    if head.uri.authority().map(Authority::as_str) != Some(authority.as_str()) {
        let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let built = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        head.uri = built.map_err(|error| invalid(&head.uri, error.to_string()))?;
    }
    head.version = Version::HTTP_11;

    let trailers_welcome = head
        .headers
        .get(header::TE)
        .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(header::HOST);
    head.headers.remove(header::TE);
    if trailers_welcome {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some()
            || length.is_empty()
            || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(SendError::ProtocolError(
            "the request's Content-Length is not valid".to_owned(),
        ));
    }
    Ok(())
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
