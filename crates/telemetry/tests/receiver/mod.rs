//! An OTLP receiver over HTTP with protobuf, on a thread of its own.

use std::convert::Infallible;
use std::future::pending;
use std::io::Write;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    Accept,
    Hang,
    RefuseOne,
    UnavailableOnce,
}

#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) content_type: String,
    /// As it came.
    pub(crate) bytes: Bytes,
    /// Of traces.
    pub(crate) body: ExportTraceServiceRequest,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Received>>,
    changed: Condvar,
    asked: Mutex<u32>,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    log: Arc<Log>,
    authority: Option<tempfile::NamedTempFile>,
}

impl Receiver {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let (address, log) = listen(behaviour, None);
        Self { address, log, authority: None }
    }

    pub(crate) fn start_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut authority = tempfile::NamedTempFile::new().unwrap();
        authority.write_all(made.cert.pem().as_bytes()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (address, log) = listen(Behaviour::Accept, Some(TlsAcceptor::from(Arc::new(tls))));
        Self { address, log, authority: Some(authority) }
    }

    pub(crate) fn url(&self) -> String {
        match self.authority {
            Some(_) => format!("https://localhost:{}/v1/traces", self.address.port()),
            None => format!("http://{}/v1/traces", self.address),
        }
    }

    pub(crate) fn authority(&self) -> &Path {
        self.authority.as_ref().unwrap().path()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log.requests.lock().unwrap().clone()
    }

    /// The bodies of requests to a path.
    pub(crate) fn of<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let requests = self.requests().into_iter().filter(|request| request.path == path);
        requests.map(|request| M::decode(request.bytes).unwrap()).collect()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        spans(&self.log.requests.lock().unwrap())
    }

    pub(crate) fn wait_for_spans(&self, count: usize, within: Duration) {
        let requests = self.log.requests.lock().unwrap();
        let (requests, waited) = self
            .log
            .changed
            .wait_timeout_while(requests, within, |requests| spans(requests).len() < count)
            .unwrap();
        assert!(!waited.timed_out(), "{} spans of {count}", spans(&requests).len());
    }
}

/// A URL where nobody listens, as long as the socket is kept.
pub(crate) fn closed_port() -> (TcpSocket, String) {
    let kept = TcpSocket::new_v4().unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = kept.local_addr().unwrap();
    (kept, format!("http://{address}/v1/traces"))
}

fn spans(requests: &[Received]) -> Vec<Span> {
    let resources = requests.iter().flat_map(|request| &request.body.resource_spans);
    resources
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}

fn listen(behaviour: Behaviour, tls: Option<TlsAcceptor>) -> (SocketAddr, Arc<Log>) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(Log::default());
    let shared = Arc::clone(&log);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, behaviour, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, behaviour, log).await;
                            }
                        }
                    }
                });
            }
        });
    });
    (address, log)
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    behaviour: Behaviour,
    log: Arc<Log>,
) {
    let service = service_fn(|request| answer(request, behaviour, &log));
    // The client goes away in the middle of it when it gives up.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
    log: &Log,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let asked = {
        let mut asked = log.asked.lock().unwrap();
        *asked += 1;
        *asked
    };
    let mut response = ExportTraceServiceResponse::default();
    match behaviour {
        Behaviour::Accept => {}
        Behaviour::Hang => pending().await,
        Behaviour::RefuseOne => {
            response.partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "too old".to_owned(),
            });
        }
        Behaviour::UnavailableOnce if asked == 1 => {
            let mut unavailable = Response::new(Full::default());
            *unavailable.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            return Ok(unavailable);
        }
        Behaviour::UnavailableOnce => {}
    }
    let path = parts.uri.path().to_owned();
    let traces = if path == "/v1/traces" { body.clone() } else { Bytes::new() };
    log.requests.lock().unwrap().push(Received {
        path,
        content_type: parts.headers["content-type"].to_str().unwrap().to_owned(),
        bytes: body,
        body: ExportTraceServiceRequest::decode(traces).unwrap(),
    });
    log.changed.notify_all();
    Ok(Response::new(Full::new(response.encode_to_vec().into())))
}
