//! HTTP/2 with prior knowledge.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{Client, TestServer, fed, in_time, trailers, wait};

const SHORT: Duration = Duration::from_millis(200);

pub(crate) async fn connect<B>(
    server: &TestServer,
) -> (SendRequest<B>, JoinHandle<hyper::Result<()>>)
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

pub(crate) fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{path}")).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = in_time(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_stream_both_ways_with_trailers() {
    let server = TestServer::start();
    let (mut sender, _connection) = connect(&server).await;
    let (feed, body) = fed();
    let request = Request::post("http://a/echo").body(body).unwrap();
    feed.send(Frame::data(Bytes::from_static(b"first"))).unwrap();
    let response = in_time(sender.send_request(request)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(in_time(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "first");
    feed.send(Frame::data(Bytes::from_static(b"second"))).unwrap();
    assert_eq!(in_time(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "second");
    feed.send(Frame::trailers(trailers("11"))).unwrap();
    drop(feed);
    let frame = in_time(body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["x-sum"], "11");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_arrive_whole() {
    let server = TestServer::start();
    let (mut sender, _connection) = connect(&server).await;
    let response = in_time(sender.send_request(get("/large"))).await.unwrap();
    assert_eq!(response.headers()["content-length"], (8 * 1024 * 1024).to_string());
    let body = in_time(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(body.len() == 8 * 1024 * 1024 && body.iter().all(|&byte| byte == b'x'));
}

/// The first stream stays on the connection's worker; with that one busy the next goes elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_one_connection_use_all_workers() {
    let server = TestServer::start();
    let (mut sender, _connection) = connect(&server).await;
    let answers = [sender.send_request(get("/gate")), sender.send_request(get("/gate"))];
    let answers: Vec<_> = answers.into_iter().map(tokio::spawn).collect();
    while server.stats().requests_in_flight < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((server.workers.requests(0), server.workers.requests(1)), (1, 1));
    server.seen.gate.add_permits(2);
    let mut workers = Vec::new();
    for answer in answers {
        workers.push(text(in_time(answer).await.unwrap().unwrap()).await);
    }
    workers.sort();
    assert_eq!(workers, ["worker 0", "worker 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_no_content_have_no_body() {
    let server = TestServer::start();
    let (mut sender, _connection) = connect(&server).await;
    let head = Request::head("http://a/h").body(Empty::<Bytes>::new()).unwrap();
    let response = in_time(sender.send_request(head)).await.unwrap();
    assert_eq!(response.headers()["content-length"], "8");
    assert!(response.headers().contains_key("date"));
    assert_eq!(text(response).await, "");
    let response = in_time(sender.send_request(get("/none"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(text(response).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_and_the_connection_lives_on() {
    let server = TestServer::with(|config| {
        config.limits.max_header_bytes = 16 * 1024;
        config.limits.max_body_bytes = 1000;
    });
    let (mut sender, _connection) = connect(&server).await;
    let status = |response: Response<Incoming>| response.status().as_u16();

    let connect = Request::connect("a:443").body(fed().1).unwrap();
    assert_eq!(status(in_time(sender.send_request(connect)).await.unwrap()), 501);
    let post = |path: &str| Request::post(format!("http://a{path}"));
    let long = format!("/{}", "a".repeat(9000));
    assert_eq!(
        status(in_time(sender.send_request(post(&long).body(fed().1).unwrap())).await.unwrap()),
        414
    );
    let many = (0..101).fold(post("/"), |post, _| post.header("x", "y"));
    assert_eq!(
        status(in_time(sender.send_request(many.body(fed().1).unwrap())).await.unwrap()),
        431
    );
    let huge = post("/").header("x", "y".repeat(20_000)).body(fed().1).unwrap();
    assert_eq!(status(in_time(sender.send_request(huge)).await.unwrap()), 431);
    let other = post("/").header("host", "b").body(fed().1).unwrap();
    assert_eq!(status(in_time(sender.send_request(other)).await.unwrap()), 400);

    let (feed, body) = fed();
    feed.send(Frame::data(Bytes::from(vec![b'x'; 1001]))).unwrap();
    let large = post("/count").body(body).unwrap();
    let response = in_time(sender.send_request(large)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(response).await.contains("max_body_bytes"));
    let announced = post("/").header("content-length", "1001").body(feed_nothing()).unwrap();
    assert_eq!(status(in_time(sender.send_request(announced)).await.unwrap()), 413);

    let response =
        in_time(sender.send_request(post("/panic").body(fed().1).unwrap())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let response = in_time(sender.send_request(post("/x").body(fed().1).unwrap())).await.unwrap();
    assert_eq!(text(response).await, "hello /x");
    assert_eq!(server.stats().connections_accepted, 1);
}

/// A body that has announced bytes and never sends them.
fn feed_nothing() -> crate::support::Fed {
    let (feed, body) = fed();
    std::mem::forget(feed);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_is_reset_and_others_go_on() {
    let server = TestServer::with(|config| config.limits.write_timeout = SHORT);
    let (mut sender, _connection) = connect(&server).await;
    let stalled = in_time(sender.send_request(get("/endless"))).await.unwrap();
    while server.stats().timeouts == 0 {
        let response = in_time(sender.send_request(get("/x"))).await.unwrap();
        assert_eq!(text(response).await, "hello /x");
    }
    assert!(in_time(stalled.into_body().collect()).await.is_err(), "reset");
    wait("the body's end", || std::sync::Arc::strong_count(&server.seen.endless) == 1, String::new);
    assert_eq!(server.stats().connections_open, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_the_client_resets_is_dropped() {
    let server = TestServer::start();
    let (mut sender, _connection) = connect(&server).await;
    let answer = tokio::spawn(sender.send_request(get("/gate")));
    while server.stats().requests_in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answer.abort();
    let requests = || server.workers.requests(0) + server.workers.requests(1);
    wait(
        "its end",
        || server.stats().requests_in_flight == 0 && requests() == 0,
        || format!("{:?}, {} on the workers", server.stats(), requests()),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed() {
    // Long enough for a busy machine to ask within it.
    let idle = Duration::from_secs(3);
    let server = TestServer::with(|config| config.limits.idle_timeout = idle);
    let (mut sender, connection) = connect(&server).await;
    let response = in_time(sender.send_request(get("/x"))).await.unwrap();
    assert_eq!(text(response).await, "hello /x");
    in_time(connection).await.unwrap().unwrap();
    drop(sender);
    // One that never sends more than the preface, not even its settings.
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = in_time(silent.read_to_end(&mut rest)).await;
    server.wait("the ends", |stats| stats.connections_open == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_streams_and_takes_no_more() {
    let mut server = TestServer::start();
    let (mut sender, connection) = connect(&server).await;
    let answer = tokio::spawn(sender.send_request(get("/gate")));
    while server.stats().requests_in_flight == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.begin_drain();
    wait("no listener", || std::net::TcpStream::connect(server.addr).is_err(), String::new);
    server.seen.gate.add_permits(1);
    let response = in_time(answer).await.unwrap().unwrap();
    assert!(text(response).await.starts_with("worker "));
    // Ended by the server's GOAWAY: the client still holds its end.
    in_time(connection).await.unwrap().unwrap();
    assert!(sender.send_request(get("/x")).await.is_err());
    let report = tokio::task::spawn_blocking(move || server.drained()).await.unwrap();
    assert_eq!(report, reef_http::DrainReport { completed: 1, cut: 0 });
}

#[test]
fn frames_that_are_none_end_the_connection() {
    let server = TestServer::start();
    for junk in [&[0xff_u8; 64][..], &[0, 0, 0, 1, 0, 0, 0, 0, 0], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = Client::connect(server.addr);
        client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", junk].concat());
        client.rest();
    }
    server.wait("the ends", |stats| stats.connections_open == 0);
    assert!(server.get("/x").ends_with("hello /x"));
}

/// CVE-2023-44487: streams opened and reset at once.
#[test]
fn rapid_resets_end_the_connection() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..20_000_u32).step_by(2) {
        // HEADERS, END_STREAM and END_HEADERS: GET http / with :authority a; then RST_STREAM.
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend([0x82, 0x86, 0x84, 0x41, 1, b'a']);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(8_u32.to_be_bytes());
    }
    client.send(bytes);
    client.rest();
    server.wait("the end", |stats| stats.connections_open == 0 && stats.requests_in_flight == 0);
    assert!(server.stats().requests < 10_000, "ended before all were taken");
}
