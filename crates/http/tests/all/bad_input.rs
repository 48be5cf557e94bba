//! Each shape is refused or read safely, and the server goes on.

use crate::support::{Client, TestServer, body};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends `request` with another one behind it on the same connection.
fn with_another_behind(server: &TestServer, request: &str) -> String {
    let answer = server.raw(format!("{request}{SMUGGLED}"));
    assert!(!server.seen.has("/smuggled"), "smuggled by {request:?}: {answer}");
    assert_eq!(
        answer.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count(),
        1,
        "{request:?}: {answer}"
    );
    answer
}

#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let server = TestServer::start();
    let head = "POST /count HTTP/1.1\r\nHost: a\r\n";
    for (framing, status) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("Content-Length: 5, 6\r\n\r\nhello", 400),
        ("Content-Length: +5\r\n\r\nhello", 400),
        ("Content-Length: -5\r\n\r\nhello", 400),
        ("Content-Length: 0x5\r\n\r\nhello", 400),
        ("Content-Length: 5 5\r\n\r\nhello", 400),
        ("Content-Length: \r\n\r\nhello", 400),
        ("Content-Length: 99999999999999999999\r\n\r\nhello", 400),
        ("Content-Length : 5\r\n\r\nhello", 400),
        ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("X: y\r\n\tfolded\r\n\r\n", 400),
        ("X: a\rb\r\n\r\n", 400),
        ("X: a\0b\r\n\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: identity\r\n\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ] {
        let answer = with_another_behind(&server, &format!("{head}{framing}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{framing:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{framing:?}: {answer}");
        assert!(!body(&answer).is_empty(), "{framing:?}: {answer}");
    }
    let old = "POST /count HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(server.raw(old).contains(" 400 "), "chunked is not of HTTP/1.0");
    assert!(!server.seen.has("/count"), "no handler ran");
    assert!(server.get("/x").ends_with("hello /x"));
}

/// RFC 9112 section 6.3 item 3: the coding wins, and the connection ends with the answer.
#[test]
fn both_framings_are_read_by_the_coding_and_nothing_after_it() {
    let server = TestServer::start();
    for order in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let request =
            format!("POST /count HTTP/1.1\r\nHost: a\r\n{order}\r\n5\r\nhello\r\n0\r\n\r\n");
        let answer = with_another_behind(&server, &request);
        assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer) == "5", "{answer}");
    }
}

#[test]
fn chunks_that_are_not_chunks_end_the_connection() {
    let server = TestServer::start();
    let head = "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        " \r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = with_another_behind(&server, &format!("{head}{chunks}"));
        assert!(answer.starts_with("HTTP/1.1 500 "), "{chunks:?}: {answer}");
    }
}

/// RFC 9112 section 2.2 lets a lone line feed end a line. It then means the same to every reader.
#[test]
fn a_lone_line_feed_ends_a_line_of_the_head() {
    let server = TestServer::start();
    let answer = server.raw("GET /lf HTTP/1.1\nHost: a\nConnection: close\n\n");
    assert!(answer.ends_with("hello /lf"), "{answer}");
}

#[test]
fn host_is_required_once() {
    let server = TestServer::start();
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ] {
        let answer = with_another_behind(&server, head);
        assert!(answer.starts_with("HTTP/1.1 400 ") && body(&answer).contains("Host"), "{answer}");
    }
    assert!(server.raw("GET /old HTTP/1.0\r\n\r\n").ends_with("hello /old"));
}

#[test]
fn what_is_not_http_is_answered_400() {
    let server = TestServer::start();
    for bytes in [
        "hello\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "PRI * HTTP/2.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    ] {
        let answer = server.raw(bytes);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
        assert!(body(&answer).contains("not valid HTTP"), "{bytes:?}: {answer}");
        assert!(answer.contains("date: "), "{answer}");
    }
    server.wait("nothing left", |stats| stats.connections_open == 0);
}

#[test]
fn what_is_too_large_is_named() {
    let server = TestServer::with(|config| {
        config.limits.max_header_bytes = 16 * 1024;
        config.limits.max_body_bytes = 1000;
    });
    let long = "a".repeat(20_000);
    let get = |headers: &str| server.raw(format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));

    let answer = get(&format!("X: {long}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("max_header_bytes"), "{answer}");
    let answer = get(&"X: y\r\n".repeat(100));
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("max_headers"), "{answer}");
    // With Host and Connection these are the hundred that are allowed.
    let answer = get(&format!("Connection: close\r\n{}", "X: y\r\n".repeat(98)));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let target = "a".repeat(9_000);
    let answer = server.raw(format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 414 ") && answer.contains("max_uri_bytes"), "{answer}");

    let post = |framing: &str, body: &str| {
        server.raw(format!("POST /count HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"))
    };
    // By its announcement: no handler runs, and the body is not waited for.
    let answer = post("Content-Length: 1001", "");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("max_body_bytes"), "{answer}");
    assert!(!server.seen.has("/count"));
    let answer = post("Content-Length: 1001\r\nExpect: 100-continue", "");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // While it streams: the handler's 500 becomes what was really wrong.
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let answer = post("Transfer-Encoding: chunked", &chunk);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("max_body_bytes"), "{answer}");
    let whole = format!("Content-Length: 1000\r\nConnection: close\r\n\r\n{}", "x".repeat(1000));
    let answer = server.raw(format!("POST /count HTTP/1.1\r\nHost: a\r\n{whole}"));
    assert!(answer.ends_with("\r\n\r\n1000"), "{answer}");
}

/// The client sends much more than the server reads, and still reads the refusal.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = TestServer::with(|config| config.limits.max_body_bytes = 1000);
    let mut client = Client::connect(server.addr);
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client.send(vec![b'x'; 300_000]);
    assert!(client.rest().starts_with("HTTP/1.1 413 "));
}

#[test]
fn websockets_and_tunnels_are_refused_clearly() {
    let server = TestServer::start();
    let answer = server.raw(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    assert!(
        body(&answer).contains("WebSocket") && body(&answer).contains("server-sent"),
        "{answer}"
    );
    let answer = server.raw("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("not a proxy"), "{answer}");
    let answer = server.raw(
        "GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello /h2c"), "{answer}");
}

#[test]
fn a_handler_that_fails_is_answered_500_and_the_server_goes_on() {
    let server = TestServer::start();
    assert!(server.get("/panic").starts_with("HTTP/1.1 500 "));
    let answer = server.get("/early-hints");
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("103"), "{answer}");
    let answer = server.get("/bad");
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("the handler's own"),
        "{answer}"
    );
    assert!(server.get("/x").ends_with("hello /x"));
}
