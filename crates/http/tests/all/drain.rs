//! The end of a server.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use reef_http::DrainReport;

use crate::support::{Client, TestServer, wait};

#[test]
fn requests_in_progress_are_finished_and_new_ones_refused() {
    let mut server = TestServer::start();
    let mut busy = Client::connect(server.addr);
    busy.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut idle = Client::connect(server.addr);
    idle.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.until("hello /1");
    let fresh = Client::connect(server.addr);
    wait("the handler", || server.seen.has("/gate"), String::new);

    server.begin_drain();
    assert_eq!(idle.rest(), "", "closed at once");
    assert_eq!(fresh.rest(), "", "closed at once");
    wait("no listener", || TcpStream::connect(server.addr).is_err(), String::new);
    server.seen.gate.add_permits(1);
    let answer = busy.rest();
    assert!(answer.contains("connection: close\r\n") && answer.contains("worker "), "{answer}");
    assert_eq!(server.drained(), DrainReport { completed: 1, cut: 0 });
}

#[test]
fn what_does_not_finish_is_cut_at_the_deadline() {
    let mut server = TestServer::with(|config| config.drain_timeout = Duration::from_millis(200));
    let mut stuck = Client::connect(server.addr);
    stuck.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut streaming = Client::connect(server.addr);
    streaming.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    streaming.until("\r\n\r\n");
    wait("the handler", || server.seen.has("/gate"), String::new);
    let begun = Instant::now();
    assert_eq!(server.drained(), DrainReport { completed: 0, cut: 2 });
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(stuck.rest(), "");
    server.wait("the end of both", |stats| {
        (stats.connections_open, stats.requests_in_flight) == (0, 0)
    });
    assert!(server.workers.shutdown(Duration::from_secs(10)));
}

#[test]
fn an_idle_server_drains_at_once() {
    let mut server = TestServer::with(|config| config.drain_timeout = Duration::from_secs(600));
    let _idle: Vec<_> = (0..50).map(|_| Client::connect(server.addr)).collect();
    server.wait("the connections", |stats| stats.connections_open == 50);
    let begun = Instant::now();
    assert_eq!(server.drained(), DrainReport::default());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn an_address_in_use_says_what_to_do() {
    let server = TestServer::start();
    let config = reef_http::ServerConfig::new(server.addr);
    let error = reef_http::Server::bind(config, &server.workers).unwrap_err().to_string();
    assert!(error.contains(&server.addr.to_string()) && error.contains("in use"), "{error}");
    let config = reef_http::ServerConfig::new("192.0.2.1:0".parse().unwrap());
    let error = reef_http::Server::bind(config, &server.workers).unwrap_err().to_string();
    assert!(error.contains("not an address of this machine"), "{error}");
}
