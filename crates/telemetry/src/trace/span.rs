use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _,
};
use opentelemetry::{Context, KeyValue, TraceId, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{SpanParent, batch::Batch, w3c};

/// Names of attributes (OpenTelemetry semantic conventions for HTTP, stable since 1.23) and Reef's own.
pub mod attributes {
    /// `GET`, or `_OTHER`.
    pub const METHOD: &str = "http.request.method";
    /// The method as sent, when it is none that HTTP defines.
    pub const METHOD_ORIGINAL: &str = "http.request.method_original";
    /// The status code.
    pub const STATUS: &str = "http.response.status_code";
    /// The route that matched: a pattern, not a path.
    pub const ROUTE: &str = "http.route";
    /// The path of the URL.
    pub const PATH: &str = "url.path";
    /// `http` or `https`.
    pub const SCHEME: &str = "url.scheme";
    /// Of an outbound request: the URL, without credentials and query.
    pub const URL: &str = "url.full";
    /// The host that was asked.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// The port that was asked.
    pub const SERVER_PORT: &str = "server.port";
    /// The client's address.
    pub const CLIENT_ADDRESS: &str = "client.address";
    /// `1.1` or `2`.
    pub const PROTOCOL_VERSION: &str = "network.protocol.version";
    /// The client's `user-agent`.
    pub const USER_AGENT: &str = "user_agent.original";
    /// A status code or the class of an error.
    pub const ERROR_TYPE: &str = "error.type";
    /// The workload that was called.
    pub const WORKLOAD: &str = "reef.workload";
    /// The application that it belongs to.
    pub const APPLICATION: &str = "reef.application";
}

/// Starts spans, or passes the caller's context on when nothing is exported. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracer {
    exported: Option<Arc<Exported>>,
}

/// Where spans are made, and where those that others made go.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) tracer: SdkTracer,
    pub(super) batch: Arc<Batch>,
}

impl Tracer {
    /// Records nothing; W3C context still passes through.
    #[must_use]
    pub const fn off() -> Self {
        Self { exported: None }
    }

    pub(crate) fn exporting(tracer: SdkTracer, batch: Arc<Batch>) -> Self {
        Self { exported: Some(Arc::new(Exported { tracer, batch })) }
    }

    /// Whether spans are exported at all.
    #[must_use]
    pub const fn is_exporting(&self) -> bool {
        self.exported.is_some()
    }

    /// The span of a request that arrived: a child of the caller's, if `headers` name one.
    ///
    /// `route` is the pattern that matched (empty if none), never the path: it names the span.
    #[must_use]
    pub fn start_request(
        &self,
        headers: &HeaderMap,
        method: &Method,
        route: &str,
        workload: &str,
    ) -> RequestSpan {
        let Some(tracer) = &self.exported else { return RequestSpan::forward(headers) };
        let (method, original) = known(method);
        let shown = if method == OTHER { "HTTP" } else { method };
        let name = if route.is_empty() { shown.to_owned() } else { format!("{shown} {route}") };
        // Room for what is known at the end.
        let mut given = Vec::with_capacity(12);
        given.push(KeyValue::new(attributes::METHOD, method));
        if let Some(original) = original {
            given.push(KeyValue::new(attributes::METHOD_ORIGINAL, original));
        }
        given.push(KeyValue::new(attributes::WORKLOAD, workload.to_owned()));
        if !route.is_empty() {
            given.push(KeyValue::new(attributes::ROUTE, route.to_owned()));
        }
        if let Some(agent) = text(headers.get(header::USER_AGENT)) {
            given.push(KeyValue::new(attributes::USER_AGENT, agent.to_owned()));
        }
        if let Some(host) = text(headers.get(header::HOST)) {
            push_server(&mut given, host);
        }
        let builder =
            SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(given);
        RequestSpan::start(tracer, builder, w3c::extract(headers))
    }
}

const OTHER: &str = "_OTHER";

/// The method as an attribute, of few values whatever clients send, and what they sent if that differs.
pub(super) fn known(method: &Method) -> (&'static str, Option<String>) {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    match KNOWN.into_iter().find(|known| *known == method.as_str()) {
        Some(known) => (known, None),
        None => (OTHER, Some(method.as_str().to_owned())),
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

fn push_server(into: &mut Vec<KeyValue>, authority: &str) {
    if let Ok(authority) = authority.parse::<http::uri::Authority>() {
        into.push(KeyValue::new(attributes::SERVER_ADDRESS, authority.host().to_owned()));
        if let Some(port) = authority.port_u16() {
            into.push(KeyValue::new(attributes::SERVER_PORT, i64::from(port)));
        }
    }
}

/// A span of a request or of a part of it. It ends when dropped.
#[derive(Debug, Default)]
pub struct RequestSpan {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Off,
    Forward(Box<Forward>),
    Live(Box<Live>),
}

/// The caller's headers, as they came.
#[derive(Debug, Clone)]
struct Forward {
    traceparent: HeaderValue,
    tracestate: Vec<HeaderValue>,
}

#[derive(Debug)]
struct Live {
    span: Span,
    kind: SpanKind,
    tracer: Arc<Exported>,
}

impl RequestSpan {
    /// A span that is none.
    #[must_use]
    pub const fn off() -> Self {
        Self { state: State::Off }
    }

    fn forward(headers: &HeaderMap) -> Self {
        let Some(traceparent) = w3c::only(headers) else { return Self::off() };
        if w3c::parse_traceparent(traceparent.as_bytes()).is_none() {
            return Self::off();
        }
        let tracestate = headers.get_all(w3c::TRACESTATE).iter().cloned().collect();
        let forward = Forward { traceparent: traceparent.clone(), tracestate };
        Self { state: State::Forward(Box::new(forward)) }
    }

    pub(super) fn start(
        tracer: &Arc<Exported>,
        builder: SpanBuilder,
        parent: Option<SpanContext>,
    ) -> Self {
        let kind = builder.span_kind.clone().unwrap_or(SpanKind::Internal);
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = tracer.tracer.build_with_context(builder, &parent);
        Self { state: State::Live(Box::new(Live { span, kind, tracer: Arc::clone(tracer) })) }
    }

    /// What spans below this one are begun with, also after it has ended and from other threads. None where
    /// nothing would be kept of them.
    #[must_use]
    pub fn as_parent(&self) -> Option<SpanParent> {
        match &self.state {
            State::Live(live) if live.span.is_recording() => {
                Some(SpanParent::new(live.tracer.clone(), live.span.span_context().clone()))
            }
            _ => None,
        }
    }

    /// Whether attributes are kept: false when traces are off and for a request that was not sampled.
    /// Ask before computing what only a span wants.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.span.is_recording())
    }

    /// The trace's id, for logs; also when only the caller traces.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        match &self.state {
            State::Off => None,
            State::Forward(forward) => {
                w3c::parse_traceparent(forward.traceparent.as_bytes()).map(|(id, ..)| id)
            }
            State::Live(live) => {
                Some(live.span.span_context().trace_id()).filter(|id| *id != TraceId::INVALID)
            }
        }
    }

    /// Names this span as the parent in the headers of a request that goes out (or in), in place of any that was
    /// named. When nothing is exported the caller's headers go through unchanged, and headers that already name
    /// a parent are left alone: a guest that traces by itself knows better.
    pub fn inject(&self, headers: &mut HeaderMap) {
        match &self.state {
            State::Off => {}
            State::Forward(forward) => {
                if !headers.contains_key(w3c::TRACEPARENT) {
                    headers.insert(w3c::TRACEPARENT, forward.traceparent.clone());
                    headers.remove(w3c::TRACESTATE);
                    for value in &forward.tracestate {
                        headers.append(w3c::TRACESTATE, value.clone());
                    }
                }
            }
            State::Live(live) => w3c::inject(live.span.span_context(), headers),
        }
    }

    /// A span within this one: instantiation, a guest's call, an outbound request.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Self {
        match &self.state {
            State::Off => Self::off(),
            State::Forward(forward) => Self { state: State::Forward(forward.clone()) },
            State::Live(live) => {
                let builder = SpanBuilder::from_name(name).with_kind(kind);
                Self::start(&live.tracer, builder, Some(live.span.span_context().clone()))
            }
        }
    }

    /// Notes the status of the response. From 500 on it marks the span as failed, and for a client's span from 400 on
    /// (semantic conventions for HTTP spans, "Status").
    pub fn set_status(&mut self, status: u16) {
        if let State::Live(live) = &mut self.state
            && live.span.is_recording()
        {
            live.span.set_attribute(KeyValue::new(attributes::STATUS, i64::from(status)));
            let failed_from = if live.kind == SpanKind::Client { 400 } else { 500 };
            if status >= failed_from {
                live.span.set_attribute(KeyValue::new(attributes::ERROR_TYPE, status.to_string()));
                live.span.set_status(Status::error(""));
            }
        }
    }

    /// Marks the span as failed: with a class of errors (`error.type`, of few values), and why.
    pub fn fail(&mut self, kind: &'static str, why: &str) {
        self.attribute(attributes::ERROR_TYPE, kind);
        self.error(why);
    }

    /// Marks the span as failed, and says why.
    pub fn error(&mut self, why: &str) {
        if let State::Live(live) = &mut self.state
            && live.span.is_recording()
        {
            live.span.set_status(Status::error(why.to_owned()));
        }
    }

    /// Notes a value; `name` is one of [`attributes`] or starts with `reef.`.
    pub fn attribute(&mut self, name: &'static str, value: impl Into<Value>) {
        if let State::Live(live) = &mut self.state
            && live.span.is_recording()
        {
            live.span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Notes the parts of a URL that hold no secret: not the query, not credentials.
    pub fn url(&mut self, url: &Uri) {
        let State::Live(live) = &mut self.state else { return };
        if !live.span.is_recording() {
            return;
        }
        let mut given = Vec::with_capacity(4);
        let host = url.authority().map(|authority| {
            let text = authority.as_str();
            text.rsplit_once('@').map_or(text, |(_, host)| host)
        });
        match (live.kind.clone(), url.scheme_str(), host) {
            (SpanKind::Client, Some(scheme), Some(host)) => {
                let full = format!("{scheme}://{host}{}", url.path());
                given.push(KeyValue::new(attributes::URL, full));
            }
            (_, scheme, _) => {
                given.push(KeyValue::new(attributes::PATH, url.path().to_owned()));
                if let Some(scheme) = scheme {
                    given.push(KeyValue::new(attributes::SCHEME, scheme.to_owned()));
                }
            }
        }
        if let Some(host) = host {
            push_server(&mut given, host);
        }
        live.span.set_attributes(given);
    }
}
