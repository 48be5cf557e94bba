//! Clients that are slow, silent, or do not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Client, TestServer, body, wait};

const SHORT: Duration = Duration::from_millis(200);
/// Of connections that have something to say first: a busy machine may take a while to say it.
const IDLE: Duration = Duration::from_secs(3);

#[test]
fn a_head_that_trickles_in_is_answered_408() {
    let server = TestServer::with(|config| config.limits.header_read_timeout = SHORT);
    let mut client = Client::connect(server.addr);
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\n");
    // More bytes do not put it off.
    let mut slow = client.stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut slow, b"X: y\r\n").is_ok()
            && begun.elapsed() < SHORT * 3
        {
            std::thread::sleep(SHORT / 10);
        }
    });
    let answer = client.rest();
    assert!(begun.elapsed() >= SHORT);
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("header_read_timeout"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"));
    trickle.join().unwrap();
    server.wait("the connection's end", |stats| stats.connections_open == 0 && stats.timeouts == 1);
}

#[test]
fn the_second_head_of_a_connection_is_timed_too() {
    let server = TestServer::with(|config| config.limits.header_read_timeout = SHORT);
    let mut client = Client::connect(server.addr);
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("hello /1");
    client.send("GET /2 HTTP/1.1\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
}

#[test]
fn silent_connections_are_closed_without_a_word() {
    let server = TestServer::with(|config| config.limits.idle_timeout = IDLE);
    let fresh = Client::connect(server.addr);
    let mut used = Client::connect(server.addr);
    used.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    used.until("hello /1");
    assert_eq!(fresh.rest(), "");
    assert_eq!(used.rest(), "");
    server.wait("the ends", |stats| stats.connections_open == 0 && stats.timeouts == 2);
}

/// Idle time does not run while a request is in progress.
#[test]
fn a_slow_handler_is_not_an_idle_connection() {
    let server = TestServer::with(|config| {
        config.limits.idle_timeout = IDLE;
        config.limits.header_read_timeout = IDLE;
    });
    let mut client = Client::connect(server.addr);
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let other = Client::connect(server.addr);
    assert_eq!(other.rest(), "", "a whole idle time has passed");
    server.seen.gate.add_permits(1);
    assert!(client.rest().contains("worker "));
}

#[test]
fn a_body_that_stops_coming_is_answered_408() {
    let server = TestServer::with(|config| config.limits.body_read_timeout = SHORT);
    let answer = server.raw("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(body(&answer).contains("body_read_timeout"), "{answer}");
    server.wait("the connection's end", |stats| stats.connections_open == 0);
}

#[test]
fn a_client_that_does_not_read_is_cut_and_its_response_dropped() {
    let server = TestServer::with(|config| config.limits.write_timeout = SHORT);
    let mut client = Client::connect(server.addr);
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("\r\n\r\n");
    server.wait("the cut", |stats| stats.connections_open == 0);
    wait("the body's end", || Arc::strong_count(&server.seen.endless) == 1, String::new);
    assert_eq!(server.stats().timeouts, 1);
    assert!(server.get("/x").ends_with("hello /x"));
}

/// Slow is not stalled: a client that takes a little in time may take as long as it needs.
#[test]
fn a_client_that_reads_slowly_gets_everything() {
    let limit = Duration::from_secs(2);
    let server = TestServer::with(|config| config.limits.write_timeout = limit);
    let mut client = Client::connect(server.addr);
    client.send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.until("\r\n\r\n");
    let begun = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        let read = std::io::Read::read(&mut client.stream, &mut buffer).unwrap();
        if read == 0 {
            break;
        }
        total += read;
        // Slow for long enough; the rest as fast as it comes.
        if begun.elapsed() <= limit * 2 {
            std::thread::sleep(limit / 10);
        }
    }
    assert!(total > 8 * 1024 * 1024 - 64 * 1024, "{total}");
    assert!(begun.elapsed() > limit * 2, "too fast to show anything");
}
