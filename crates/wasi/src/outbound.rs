//! A guest's way out: `wasi:http` requests through the workload's client.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::{HeaderName, Request, Response, Uri};
use http_body_util::BodyExt as _;
use reef_egress::{Client, SendError, Timeouts};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::{next::Next, trace::Traced, unfinished::Begun};

/// Chunks of a WASI 0.2 response body that are buffered before the guest has to wait. A short answer
/// is whole before anything is sent, so it goes out with its length and in one piece.
const BODY_CHUNKS: usize = 8;
const BODY_CHUNK: usize = 64 << 10;

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Hosts that are handlers of this very process, by name. A request to one does not leave it, and
/// needs no grant: the link is the grant.
#[derive(Default)]
pub(crate) struct Internal(RwLock<BTreeMap<String, Arc<dyn Next>>>);

/// Sends what one instance asks for, as far as it was granted.
pub struct Outbound {
    workload: Arc<str>,
    client: Client,
    internal: Arc<Internal>,
    /// Goes onto the next request: the trace of whom it is made for.
    pub(crate) trace: Traced,
    begun: Begun,
}

/// Whether a guest may neither see nor set a header. Asked for each header of each request: Wasmtime's
/// own answer allocates, and makes its list anew.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    static FORBIDDEN: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;
    FORBIDDEN.contains(name)
}

// === impl Outbound ===

impl Outbound {
    pub(crate) fn new(workload: Arc<str>, client: Client, internal: Arc<Internal>) -> Self {
        let (trace, begun) = (Traced::default(), Begun::default());
        Self { workload, client, internal, trace, begun }
    }
}

// === impl Internal ===

impl Internal {
    pub(crate) fn set(&self, hosts: BTreeMap<String, Arc<dyn Next>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }

    /// A request without a host is one to the application itself, which is called `self`.
    /// One over `https` is another destination than one over `http`, and is linked as `https://HOST`.
    fn find(&self, uri: &Uri) -> Option<Arc<dyn Next>> {
        let hosts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if hosts.is_empty() {
            return None;
        }
        let host = uri.host().unwrap_or("self").to_ascii_lowercase();
        match uri.scheme_str() {
            Some("https") => hosts.get(&format!("https://{host}")).cloned(),
            _ => hosts.get(&host).cloned(),
        }
    }
}

impl WasiHttpHooks for Outbound {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _result: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        let mut request = request.map(|body| self.begun.body(body));
        if let Some(next) = self.internal.find(request.uri()) {
            self.trace.name_in(request.headers_mut());
            let handled = next.handle(request);
            return Box::new(async move {
                let response = handled.await?;
                let done: Io = Box::new(async { Ok(()) });
                Ok((response, done))
            });
        }
        let mut span = None;
        if let Some(spans) = &self.trace.spans {
            let (method, url) = (request.method().clone(), request.uri().clone());
            span = Some(spans.http(&method, &url, request.headers_mut()));
        } else {
            self.trace.name_in(request.headers_mut());
        }
        let client = self.client.clone();
        let workload = self.workload.clone();
        Box::new(async move {
            let sent = client.send(request, timeouts(options)).await;
            if let Some(span) = &mut span {
                match &sent {
                    Ok(response) => span.answered(response.status().as_u16()),
                    Err(error) => span.fail(kind(error), &error.to_string()),
                }
            }
            drop(span);
            let response = sent.map_err(|error| {
                match &error {
                    SendError::Refused(refusal) => {
                        let grant = refusal.grant().map(|grant| grant.to_string());
                        tracing::warn!(workload = &*workload, denied = "egress", grant, "{refusal}")
                    }
                    other => tracing::debug!(workload = &*workload, "{other}"),
                }
                wasi_error(error)
            })?;
            let response = response.map(|body| body.map_err(wasi_error).boxed_unsync());
            let done: Io = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("workload", &self.workload).finish_non_exhaustive()
    }
}

/// What the guest asks for; the whole exchange ends when the host says.
fn timeouts(options: Option<RequestOptions>) -> Timeouts {
    let default = Timeouts::default();
    let options = options.unwrap_or_default();
    let within = |asked: Option<Duration>, default: Duration| {
        asked.map_or(default, |asked| asked.min(Timeouts::default().total))
    };
    Timeouts {
        connect: within(options.connect_timeout, default.connect),
        first_byte: within(options.first_byte_timeout, default.first_byte),
        between_bytes: within(options.between_bytes_timeout, default.between_bytes),
        total: default.total,
    }
}

/// What spans call it: `error.type`, one of a few.
fn kind(error: &SendError) -> &'static str {
    match error {
        SendError::Refused(_) => "denied",
        SendError::InvalidUri { .. } => "invalid",
        SendError::DnsFailed(_) => "dns",
        SendError::ConnectionRefused { .. } | SendError::ConnectFailed { .. } => "unavailable",
        SendError::TooManyConnections { .. } => "too-many",
        SendError::Tls { .. } => "tls",
        SendError::ConnectTimeout { .. }
        | SendError::FirstByteTimeout(_)
        | SendError::Timeout(_)
        | SendError::BetweenBytesTimeout(_) => "timeout",
        SendError::ConnectionClosed(_) => "closed",
        SendError::ProtocolError(_) => "protocol",
        _ => "_OTHER",
    }
}

fn wasi_error(error: SendError) -> Error {
    match error {
        SendError::Refused(_) => Error::HttpRequestDenied,
        SendError::InvalidUri { .. } => Error::HttpRequestUriInvalid,
        SendError::DnsFailed(lookup) => {
            Error::DnsError { rcode: Some(lookup.to_string()), info_code: None }
        }
        SendError::ConnectionRefused { .. } => Error::ConnectionRefused,
        SendError::ConnectFailed { .. } => Error::DestinationUnavailable,
        SendError::ConnectTimeout { .. } => Error::ConnectionTimeout,
        SendError::TooManyConnections { .. } => Error::ConnectionLimitReached,
        SendError::Tls { .. } => Error::TlsProtocolError,
        SendError::FirstByteTimeout(_) | SendError::Timeout(_) => Error::HttpResponseTimeout,
        SendError::BetweenBytesTimeout(_) => Error::ConnectionReadTimeout,
        SendError::ConnectionClosed(_) => Error::ConnectionTerminated,
        SendError::ProtocolError(_) => Error::HttpProtocolError,
        other => Error::InternalError(Some(other.to_string())),
    }
}
