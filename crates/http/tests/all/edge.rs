//! What stands around every request: its name, its line in the log, its own limits.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use reef_http::{
    AcceptEncoding, AccessLog, Compression, HandlerFn, LogFormat, LogTarget, Peer, RequestBody,
    RequestIds, ResponseBody, ServedBy, Server,
};
use tempfile::TempDir;

use crate::support::{Client, TestServer, body, in_time, text, wait};

struct Logged {
    server: TestServer,
    log: AccessLog,
    path: PathBuf,
    _dir: TempDir,
}

fn logged(format: LogFormat, ids: RequestIds) -> Logged {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = AccessLog::open(LogTarget::File(path.clone()), format).unwrap();
    let own = log.clone();
    let server =
        TestServer::tuned(|server: Server| server.with_access_log(own).with_request_ids(ids));
    Logged { server, log, path, _dir: dir }
}

impl Logged {
    /// The log, once it has `count` lines.
    fn lines(&self, count: usize) -> Vec<String> {
        let read = || -> Vec<String> {
            assert!(self.log.flush(Duration::from_secs(20)));
            std::fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
        };
        wait("the lines", || read().len() >= count, || format!("{:?}", read()));
        assert_eq!(read().len(), count);
        read()
    }
}

#[test]
fn what_cannot_be_read_has_a_line() {
    let logged = logged(LogFormat::Common, RequestIds::Off);
    let said = logged.server.raw("GET / HTTP/1.1\r\nno colon\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    let bytes = body(&said).len();
    let lines = logged.lines(1);
    assert!(lines[0].ends_with(&format!("] \"-\" 400 {bytes}")), "{lines:?}");
    logged.server.raw(format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(1 << 20)));
    let lines = logged.lines(2);
    assert!(lines[1].contains("] \"-\" 431 "), "{lines:?}");
}

#[test]
fn a_line_says_how_a_request_ended() {
    let logged = logged(LogFormat::Json, RequestIds::Off);
    let server = &logged.server;
    server.get("/hello?x=%22");
    server.raw("HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    server.get("/none");
    server.get("/panic");
    server.raw(
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
    );
    // Refused by the server itself.
    server.raw("GET /two HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    server.get("/large");
    let mut endless = Client::connect(server.addr);
    endless.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    endless.until("xxxx");
    endless.reset();
    logged.lines(8);
    let mut waiting = Client::connect(server.addr);
    waiting.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    wait("the handler", || server.seen.has("/gate"), String::new);
    waiting.reset();
    let lines = logged.lines(9);
    for (index, parts) in [
        &[
            "\"status\":200,\"bytes\":12,",
            "\"end\":\"whole\"",
            "\"target\":\"/hello?x=%22\"",
            "\"host\":\"a\"",
            "\"method\":\"GET\"",
        ][..],
        &["\"status\":200,\"bytes\":0,", "\"end\":\"whole\"", "\"method\":\"HEAD\""],
        &["\"status\":204,\"bytes\":0,", "\"end\":\"whole\""],
        &["\"status\":500,", "\"end\":\"whole\"", "\"target\":\"/panic\""],
        &["\"status\":200,\"bytes\":5,", "\"end\":\"whole\"", "\"method\":\"POST\""],
        &["\"status\":400,", "\"target\":\"/two\""],
        &["\"status\":200,\"bytes\":8388608,", "\"end\":\"whole\""],
        &["\"status\":200,", "\"end\":\"cut\"", "\"target\":\"/endless\""],
        &["\"status\":null,\"bytes\":0,", "\"end\":\"given_up\"", "\"target\":\"/gate\""],
    ]
    .iter()
    .enumerate()
    {
        for part in *parts {
            assert!(lines[index].contains(part), "{part} in {}", lines[index]);
        }
    }
    assert_eq!(logged.log.dropped(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_has_the_same_lines() {
    let logged = logged(LogFormat::Json, RequestIds::New);
    let (mut sender, connection) = crate::http2::connect(&logged.server).await;
    for path in ["/hello", "/large"] {
        let response = in_time(sender.send_request(crate::http2::get(path))).await.unwrap();
        assert_eq!(response.headers()["x-request-id"].len(), 36);
        in_time(response.into_body().collect()).await.unwrap();
    }
    let mut request = crate::http2::get("/hello");
    *request.method_mut() = http::Method::HEAD;
    in_time(sender.send_request(request)).await.unwrap();
    logged.lines(3);
    // Reset while it is sent.
    let response = in_time(sender.send_request(crate::http2::get("/endless"))).await.unwrap();
    drop(response);
    let lines = logged.lines(4);
    for (line, parts) in lines.iter().zip([
        [
            "\"status\":200,\"bytes\":12,",
            "\"end\":\"whole\",\"version\":\"HTTP/2.0\"",
            "\"host\":\"a\"",
        ],
        ["\"bytes\":8388608,", "\"end\":\"whole\"", "\"id\":\""],
        ["\"bytes\":0,", "\"end\":\"whole\"", "\"method\":\"HEAD\""],
        ["\"status\":200,", "\"end\":\"cut\"", "\"target\":\"/endless\""],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    drop(sender);
    connection.abort();
}

/// Compresses whatever the usual handler answers.
async fn compressed(request: Request<RequestBody>, _peer: Peer) -> Response<ResponseBody> {
    let accept = AcceptEncoding::of(request.headers());
    let mut response = Response::new(ResponseBody::stream(request.into_body()));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    Compression::default().apply(accept, response)
}

#[test]
fn a_compressed_stream_is_not_held_up() {
    let server = TestServer::serving(HandlerFn(compressed));
    let mut client = Client::connect(server.addr);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    );
    // A flushed piece of deflate ends in an empty block; it comes before the next is sent.
    let mut came = Vec::new();
    while !came.windows(4).any(|four| four == [0, 0, 0xff, 0xff]) {
        let mut buffer = [0; 1024];
        let read = client.stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{came:?}");
        came.extend_from_slice(&buffer[..read]);
    }
    let head = String::from_utf8_lossy(&came);
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
    client.send("6\r\nsecond\r\n0\r\n\r\n");
    client.stream.read_to_end(&mut came).unwrap();
    assert!(came.ends_with(b"0\r\n\r\n"));
}

#[test]
fn common_lines_are_as_others_write_them() {
    let logged = logged(LogFormat::Combined, RequestIds::Off);
    logged
        .server
        .raw("GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\nConnection: close\r\n\r\n");
    let line = &logged.lines(1)[0];
    assert!(
        line.starts_with("127.0.0.1 - - [")
            && line.ends_with(" +0000] \"GET /x HTTP/1.1\" 200 8 \"-\" \"curl/8\""),
        "{line}"
    );
}

#[test]
fn a_request_keeps_its_name_from_end_to_end() {
    let seen = HandlerFn(|request: Request<RequestBody>, _peer: Peer| {
        let id = request.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        async move {
            let mut response = text(StatusCode::OK, id.unwrap_or_default());
            response.headers_mut().insert("x-request-id", "the handler's own".parse().unwrap());
            let (workload, route) = (Arc::from("shop"), Arc::from("/..."));
            response.extensions_mut().insert(ServedBy { workload, route });
            response
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = AccessLog::open(LogTarget::File(path.clone()), LogFormat::Json).unwrap();
    let own = log.clone();
    let server = TestServer::tuned_of(seen, move |server| {
        server.with_access_log(own).with_request_ids(RequestIds::FromClient)
    });
    let ask = |header: &str| {
        server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n"))
    };
    let id_of = |answer: &str| {
        answer.split_once("x-request-id: ").unwrap().1.split_once("\r\n").unwrap().0.to_owned()
    };
    let given = ask("X-Request-Id: mine-1\r\n");
    assert_eq!((id_of(&given).as_str(), body(&given)), ("mine-1", "mine-1"));
    let made = ask("X-Request-Id: not one\r\n");
    assert_eq!((id_of(&made).len(), id_of(&made).as_str()), (36, body(&made)));
    assert_ne!(id_of(&ask("")), id_of(&ask("")));
    // The server's own answers are named too.
    assert_eq!(id_of(&ask("Host: b\r\n")).len(), 36);
    assert!(log.flush(Duration::from_secs(20)));
    let lines = || std::fs::read_to_string(&path).unwrap();
    wait(
        "the lines",
        || {
            log.flush(Duration::from_secs(20));
            lines().lines().count() == 5
        },
        lines,
    );
    let first = lines().lines().next().unwrap().to_owned();
    assert!(
        first.contains("\"id\":\"mine-1\",\"workload\":\"shop\",\"route\":\"/...\""),
        "{first}"
    );
}

#[test]
fn without_names_a_header_is_a_header() {
    let server = TestServer::start();
    assert!(!server.get("/x").contains("x-request-id"));
}

/// `/N/...` takes N bytes, and waits 200 ms for each.
async fn limited(request: Request<RequestBody>, _peer: Peer) -> Response<ResponseBody> {
    let limit = request.uri().path().trim_matches('/').parse().unwrap();
    let mut body = request.into_body();
    body.limit_read_timeout(Duration::from_millis(200));
    if let Err(error) = body.limit_bytes(limit) {
        return text(error.status(), error.to_string());
    }
    match body.collect().await {
        Ok(body) => text(StatusCode::OK, body.to_bytes().len().to_string()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "failed".into()),
    }
}

#[test]
fn a_handler_lowers_the_limits_of_one_request() {
    let server = TestServer::serving(HandlerFn(limited));
    let sized = |limit: u64, body: &str| {
        let length = body.len();
        server.raw(format!("POST /{limit} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let chunked = |limit: u64| {
        server.raw(format!("POST /{limit} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"))
    };
    assert_eq!(body(&sized(3, "abc")), "3");
    let refused = sized(2, "abc");
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains("2 bytes"), "{refused}");
    assert_eq!(body(&chunked(6)), "6");
    // Found out while it streams; the handler's 500 is told as what it is.
    let refused = chunked(5);
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains("5 bytes"), "{refused}");
    // Never raised: the server's own limit stands.
    let strict = TestServer::of(
        HandlerFn(limited),
        Arc::clone(&server.seen),
        reef_http::Workers::start(1, "w").unwrap(),
        |config| config.limits.max_body_bytes = 2,
    );
    assert!(
        strict
            .raw("POST /9 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            .starts_with("HTTP/1.1 413 ")
    );

    let mut slow = Client::connect(server.addr);
    slow.send("POST /9 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    let answer = slow.rest();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("200ms"), "{answer}");
}

#[test]
fn limits_hold_for_bodies_that_are_there() {
    let mut held = RequestBody::held(Bytes::from_static(b"abc"), None);
    assert!(held.limit_bytes(3).is_ok());
    assert_eq!(held.limit_bytes(2).unwrap_err().status(), 413);
    assert!(RequestBody::empty().limit_bytes(0).is_ok());
}
