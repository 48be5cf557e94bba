//! A server on the other side of a guest's outbound requests, and of traces.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::client::RUNTIME;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// 200 with the request line's method and target.
    Answer,
    /// Takes the connection and the request, and says nothing.
    Silent,
    /// Announces more than it sends.
    BreakOff,
}

/// A request as it came, its body read.
pub(crate) type Received = (request::Parts, Bytes);

#[derive(Default)]
struct Log {
    connections: usize,
    requests: Vec<Received>,
}

pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Origin {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = log.clone();
        RUNTIME.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, behaviour, shared.clone()));
            }
        });
        Self { addr, log }
    }

    /// An address where nobody listens, as long as the socket is kept.
    pub(crate) fn closed() -> (TcpSocket, SocketAddr) {
        let kept = TcpSocket::new_v4().unwrap();
        kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = kept.local_addr().unwrap();
        (kept, addr)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.log.lock().unwrap().requests.clone()
    }
}

async fn serve(mut stream: tokio::net::TcpStream, behaviour: Behaviour, log: Arc<Mutex<Log>>) {
    match behaviour {
        Behaviour::Answer => {}
        Behaviour::Silent => {
            let mut sink = [0; 1024];
            while matches!(stream.read(&mut sink).await, Ok(1..)) {}
            return;
        }
        Behaviour::BreakOff => {
            let _ = stream.read(&mut [0; 1024]).await;
            let some = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all";
            let _ = stream.write_all(some).await;
            return;
        }
    }
    let service = service_fn(|request: Request<Incoming>| {
        let log = log.clone();
        async move {
            let (head, body) = request.into_parts();
            let said = format!("{} {}", head.method, head.uri);
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            log.lock().unwrap().requests.push((head, body));
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(said))))
        }
    });
    // The client may go away in the middle of it.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
