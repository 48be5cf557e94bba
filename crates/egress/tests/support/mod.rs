//! Servers and resolvers on loopback for the tests of the client.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reef_egress::{
    Body, Client, ClientConfig, Egress, Lookup, LookupError, Resolve, SendError, Timeouts,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// An HTTP server that counts what reaches it.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves every connection with `handler`, over TLS where `tls` is given.
    pub(crate) async fn start<H, F>(tls: Option<Arc<rustls::ServerConfig>>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let (handler, tls) = (handler.clone(), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = handler(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let Some(tls) = tls else {
                        let http1 = hyper::server::conn::http1::Builder::new();
                        let _ = http1.serve_connection(TokioIo::new(tcp), service).await;
                        return;
                    };
                    let Ok(tls) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _ = http2.serve_connection(TokioIo::new(tls), service).await;
                    } else {
                        let http1 = hyper::server::conn::http1::Builder::new();
                        let _ = http1.serve_connection(TokioIo::new(tls), service).await;
                    }
                });
            }
        });
        Self { addr, connections }
    }

    /// A plain server that says hello.
    pub(crate) async fn hello() -> Self {
        Self::start(None, |_| async { text("hello") }).await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The destination that grants this server.
    pub(crate) fn grant(&self) -> String {
        self.addr.to_string()
    }
}

pub(crate) fn text(text: &str) -> Answer {
    Response::new(Full::new(Bytes::from(text.to_owned())).boxed_unsync())
}

/// Names as a test says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) known: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    pub(crate) lookups: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn new(entries: &[(&str, &[&str])]) -> Self {
        let names = Self::default();
        for (name, addresses) in entries {
            names.set(name, addresses);
        }
        names
    }

    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.known.lock().unwrap().insert(name.to_owned(), addresses);
    }

    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn lookup(&self, name: &str) -> Lookup {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = self.known.lock().unwrap().get(name).cloned();
        let missing = LookupError::Failed { name: name.to_owned(), reason: "unknown".to_owned() };
        Box::pin(std::future::ready(found.ok_or(missing)))
    }
}

pub(crate) fn egress(destinations: &[&str]) -> Egress {
    Egress::new(destinations.iter().map(|text| text.parse().unwrap()).collect())
}

/// A client of the workload `shop` that knows no names.
pub(crate) fn client(destinations: &[&str]) -> Client {
    client_with(destinations, |_| {})
}

pub(crate) fn client_with(destinations: &[&str], change: impl FnOnce(&mut ClientConfig)) -> Client {
    let mut config = ClientConfig::new("shop", egress(destinations));
    config.resolver = Arc::new(Names::default());
    change(&mut config);
    Client::new(config)
}

pub(crate) fn get(url: &str) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}

pub(crate) async fn send(client: &Client, url: &str) -> Result<Response<Body>, SendError> {
    client.send(get(url), Timeouts::default()).await
}

/// Sends, and reads the body to its end.
pub(crate) async fn fetch(client: &Client, url: &str) -> Result<String, SendError> {
    let body = send(client, url).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never happened: {what}");
}
