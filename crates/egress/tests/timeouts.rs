//! A server that stalls, at each stage, is given up on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use reef_egress::{BoxError, Lookup, LookupError, Resolve, SendError, SystemResolver, Timeouts};
use support::{client, client_with, get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const SHORT: Duration = Duration::from_millis(150);

/// Accepts connections, hands each to `script`, and keeps it open afterwards.
async fn scripted<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = TcpStream> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let running = script(tcp);
            tokio::spawn(async move {
                let _open = running.await;
                std::future::pending::<()>().await;
            });
        }
    });
    addr
}

async fn read_head(tcp: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
}

/// Reads a request's head, and answers with these bytes.
async fn answering(answer: &'static [u8]) -> SocketAddr {
    scripted(move |mut tcp| async move {
        read_head(&mut tcp).await;
        tcp.write_all(answer).await.unwrap();
        tcp
    })
    .await
}

async fn outcome(addr: SocketAddr, scheme: &str, timeouts: Timeouts) -> Result<Bytes, SendError> {
    let client = client(&[&addr.to_string()]);
    let response = client.send(get(&format!("{scheme}://{addr}/")), timeouts).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn a_name_server_that_stalls() {
    #[derive(Debug)]
    struct Silent;
    impl Resolve for Silent {
        fn lookup(&self, _: &str) -> Lookup {
            Box::pin(std::future::pending())
        }
    }
    let client = client_with(&["example.com:80"], |config| config.resolver = Arc::new(Silent));
    let timeouts = Timeouts { connect: SHORT, ..Timeouts::default() };
    let error = client.send(get("http://example.com/"), timeouts).await.unwrap_err();
    let authority = "example.com:80".to_owned();
    assert_eq!(error, SendError::ConnectTimeout { authority, after: SHORT });
}

#[tokio::test]
async fn a_system_resolver_that_is_busy() {
    let resolver = SystemResolver::new(0, SHORT);
    let error = resolver.lookup("localhost").await.unwrap_err();
    assert_eq!(error, LookupError::Timeout { name: "localhost".to_owned(), after: SHORT });

    let addresses = SystemResolver::shared().lookup("localhost").await.unwrap();
    assert!(addresses.iter().all(|address| address.is_loopback()), "{addresses:?}");
}

#[tokio::test]
async fn timeouts_beyond_what_a_clock_can_count() {
    let server = support::Server::hello().await;
    let forever = Duration::MAX;
    let timeouts =
        Timeouts { connect: forever, first_byte: forever, between_bytes: forever, total: forever };
    let response = client(&[&server.grant()]).send(get(&server.url("/")), timeouts).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_tls_handshake_that_stalls() {
    let addr = scripted(|tcp| async { tcp }).await;
    let timeouts = Timeouts { connect: SHORT, ..Timeouts::default() };
    let error = outcome(addr, "https", timeouts).await.unwrap_err();
    // Without root certificates on the machine there is no handshake to stall.
    assert!(matches!(error, SendError::ConnectTimeout { .. } | SendError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let addr = answering(b"").await;
    let timeouts = Timeouts { first_byte: SHORT, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::FirstByteTimeout(SHORT)));
    let timeouts = Timeouts { total: SHORT, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::Timeout(SHORT)));
}

#[tokio::test]
async fn a_head_that_never_ends() {
    let addr = answering(b"HTTP/1.1 200 OK\r\nContent-Le").await;
    let timeouts = Timeouts { first_byte: SHORT, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::FirstByteTimeout(SHORT)));
}

#[tokio::test]
async fn a_body_that_stalls() {
    let addr = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let timeouts = Timeouts { between_bytes: SHORT, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::BetweenBytesTimeout(SHORT)));
    let timeouts = Timeouts { total: SHORT, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::Timeout(SHORT)));
}

/// Each piece in time, but without end: only the total deadline ends it.
#[tokio::test]
async fn a_body_that_drips() {
    let addr = scripted(|mut tcp| async move {
        read_head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut drip = tokio::time::interval(Duration::from_millis(10));
        while tcp.write_all(b".").await.is_ok() {
            drip.tick().await;
        }
        tcp
    })
    .await;
    let total = Duration::from_secs(4);
    let timeouts = Timeouts { total, between_bytes: total / 2, ..Timeouts::default() };
    assert_eq!(outcome(addr, "http", timeouts).await, Err(SendError::Timeout(total)));
}

/// The clock of the first byte starts with the last piece of a request, not with its first.
#[tokio::test]
async fn a_slow_upload_is_not_a_slow_server() {
    let server = support::Server::start(None, |request| async move {
        let length = request.into_body().collect().await.unwrap().to_bytes().len();
        support::text(&length.to_string())
    })
    .await;
    let pieces = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        (sent < 6).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ab"))), sent + 1))
    });
    let request = Request::post(server.url("/")).body(StreamBody::new(pieces.boxed())).unwrap();
    // Shorter than the whole upload, longer than what the last piece may be held up.
    let timeouts = Timeouts { first_byte: Duration::from_secs(3), ..Timeouts::default() };
    let response = client(&[&server.grant()]).send(request, timeouts).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "12");
}

#[tokio::test]
async fn a_server_that_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_u8().await.unwrap();
        drop(tcp);
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_u8().await.unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel").await.unwrap();
    });
    for part in ["head", "body"] {
        let error = outcome(addr, "http", Timeouts::default()).await.unwrap_err();
        assert!(matches!(error, SendError::ConnectionClosed(_)), "{part}: {error:?}");
    }
}

#[tokio::test]
async fn a_port_nobody_listens_on() {
    // Kept, so that nobody else listens there meanwhile.
    let kept = TcpSocket::new_v4().unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = kept.local_addr().unwrap();
    let error = outcome(addr, "http", Timeouts::default()).await.unwrap_err();
    assert_eq!(error, SendError::ConnectionRefused { authority: addr.to_string() });
}

#[tokio::test]
async fn an_answer_that_is_not_http() {
    let addr = answering(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    let error = outcome(addr, "http", Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, SendError::ProtocolError(_)), "{error:?}");
}

#[tokio::test]
async fn a_head_beyond_the_limit() {
    let addr = scripted(|mut tcp| async move {
        read_head(&mut tcp).await;
        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
        while tcp.write_all(&[b'x'; 4096]).await.is_ok() {}
        tcp
    })
    .await;
    let error = outcome(addr, "http", Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, SendError::ProtocolError(_)), "{error:?}");
}

#[tokio::test]
async fn a_request_body_that_fails() {
    let addr = answering(b"").await;
    let pieces = futures::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"ab"))),
        Err(BoxError::from("the guest trapped")),
    ]);
    let request = Request::post(format!("http://{addr}/")).body(StreamBody::new(pieces)).unwrap();
    let error = client(&[&addr.to_string()]).send(request, Timeouts::default()).await.unwrap_err();
    assert_eq!(error, SendError::BodyError("the guest trapped".to_owned()));
}

#[tokio::test]
async fn a_name_nobody_knows() {
    let client = client(&["example.com:80"]);
    let error = client.send(get("http://example.com/"), Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, SendError::DnsFailed(_)), "{error:?}");
}
