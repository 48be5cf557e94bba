//! HTTP/1.1 as it should be.

use std::net::Shutdown;

use crate::support::{Client, TestServer, body, wait};

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    client.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /count HTTP/1.1\r\nHost: a\r\n\
         Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let answers = client.rest();
    let bodies: Vec<_> = answers.split("HTTP/1.1 200 OK\r\n").skip(1).map(body).collect();
    assert_eq!(bodies, ["hello /1", "3", "hello /3"]);
    let stats = server.stats();
    assert_eq!((stats.requests, stats.responses[1], stats.connections_accepted), (3, 3, 1));
}

#[test]
fn a_body_streams_both_ways_with_its_trailers() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nfirst\r\n",
    );
    // The first part is back before the second is sent.
    client.until("5\r\nfirst\r\n");
    client.send("6\r\nsecond\r\n");
    client.until("6\r\nsecond\r\n");
    client.send("0\r\nX-Sum: 11\r\n\r\n");
    client.until("0\r\nx-sum: 11\r\n\r\n");
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("hello /next");
}

#[test]
fn continue_is_sent_when_the_body_is_wanted() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    client.send(
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    client.until("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    client.until("\r\n\r\n4");
}

#[test]
fn head_and_no_content_have_no_body() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    client.send("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.until("\r\n\r\n");
    assert!(head.contains("content-length: 8\r\n") && head.contains("date: "), "{head}");
    let none = client.until("\r\n\r\n");
    assert!(none.starts_with("HTTP/1.1 204 ") && !none.contains("content-length"), "{none}");
    client.send("GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.until("hello /after").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_client_that_has_closed_its_sending_side_is_answered() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    wait("the handler", || server.seen.has("/gate"), String::new);
    server.seen.gate.add_permits(1);
    assert!(client.rest().contains("worker "));
    server.wait("the connection's end", |stats| stats.connections_open == 0);
}

/// While the handler is silent, before its head and in the middle of its body.
#[test]
fn a_client_that_resets_the_connection_gives_its_request_up() {
    let server = TestServer::start();
    for path in ["/gate", "/pieces"] {
        // Alone, with a request behind it that is not read yet, and half closed before.
        for (behind, half_closed) in [("", false), ("GET /behind HTTP/1.1\r\n", false), ("", true)]
        {
            let mut client = Client::connect(server.addr);
            if path == "/pieces" {
                server.seen.gate.add_permits(1);
            }
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n{behind}"));
            if half_closed {
                client.stream.shutdown(Shutdown::Write).unwrap();
            }
            if path == "/pieces" {
                client.until("piece");
            }
            server.wait("the request", |stats| stats.requests_in_flight == 1);
            client.reset();
            server.wait("its end", |stats| {
                stats.requests_in_flight == 0 && stats.connections_open == 0
            });
        }
    }
    assert_eq!(server.seen.gate.available_permits(), 0);
}

/// One that closes in both directions looks half closed, until an answer draws its reset.
#[test]
fn a_client_that_closed_is_given_up_at_the_first_bytes_it_does_not_take() {
    let server = TestServer::start();
    let mut client = Client::connect(server.addr);
    server.seen.gate.add_permits(1);
    client.send("GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("piece\r\n");
    drop(client);
    server.wait("the request", |stats| stats.requests_in_flight == 1);
    // One more piece, and silence after it.
    server.seen.gate.add_permits(1);
    server.wait("its end", |stats| stats.requests_in_flight == 0 && stats.connections_open == 0);
    assert_eq!(server.seen.gate.available_permits(), 0);
}

#[test]
fn a_client_that_leaves_inside_a_request_leaves_nothing_behind() {
    let server = TestServer::start();
    for bytes in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHo",
        "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    ] {
        let mut client = Client::connect(server.addr);
        client.send(bytes);
        client.stream.shutdown(Shutdown::Write).unwrap();
        let answer = client.rest();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 500 "), "{bytes:?}: {answer}");
    }
    server.wait("all gone", |stats| stats.connections_open == 0 && stats.requests_in_flight == 0);
    assert_eq!(server.workers.requests(0) + server.workers.requests(1), 0);
}

#[test]
fn two_servers_share_the_workers() {
    let server = TestServer::start();
    let admin = TestServer::of(
        reef_http::HandlerFn(|_, peer: reef_http::Peer| async move {
            crate::support::text(http::StatusCode::OK, format!("admin for {}", peer.remote.ip()))
        }),
        std::sync::Arc::clone(&server.seen),
        server.workers.clone(),
        |_| {},
    );
    assert!(admin.get("/").ends_with("admin for 127.0.0.1"));
    assert!(server.get("/x").ends_with("hello /x"));
    assert_eq!((server.stats().requests, admin.stats().requests), (1, 1));
}
