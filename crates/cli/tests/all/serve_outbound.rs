//! Requests that guests send: only where a grant lets them, for a bounded time, over connections
//! that are used again.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Instant;

use crate::client::{BOTH, get_over};
use crate::origin::{Behaviour, Origin};
use crate::server::Server;
use crate::support::PATIENCE;

const KITS: [&str; 2] = ["p2-http-kit", "p3-http-kit"];

fn outbound(url: &str) -> String {
    format!("/outbound?url={}", url.replace('&', "%26"))
}

fn granted(kit: &str, addr: SocketAddr, more: &[&str]) -> Server {
    let mut flags = vec!["--egress".to_owned(), addr.to_string()];
    flags.extend(more.iter().map(ToString::to_string));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Server::guest(kit, &flags)
}

#[test]
fn a_guest_reaches_what_was_granted_and_nothing_else() {
    let (friend, stranger) = (Origin::start(Behaviour::Answer), Origin::start(Behaviour::Answer));
    for kit in KITS {
        let server = granted(kit, friend.addr, &[]);
        for version in BOTH {
            let reply = get_over(version, server.addr, &outbound(&friend.url("/x?y=1")));
            assert_eq!((reply.status, &*reply.text()), (200, "GET /x?y=1"), "{kit}");
            let refused = get_over(version, server.addr, &outbound(&stranger.url("/")));
            assert_eq!(refused.status, 502, "{kit}: {refused:?}");
            assert!(refused.text().contains("HttpRequestDenied"), "{kit}: {}", refused.text());
        }
        // Who was refused what, and the flag that would allow it.
        server.wait_for_log(&[kit, &format!("--egress {}", stranger.addr)]);
    }
    assert_eq!(stranger.connections(), 0, "not even a connection");

    let server = Server::guest("p3-http-kit", &[]);
    let refused = server.get(&outbound(&friend.url("/")));
    assert!(refused.text().contains("HttpRequestDenied"), "nothing is granted by default");
}

#[test]
fn connections_to_an_origin_are_used_again() {
    for kit in KITS {
        let origin = Origin::start(Behaviour::Answer);
        let server = granted(kit, origin.addr, &["--workers", "1"]);
        for n in 0..20 {
            let reply = server.get(&outbound(&origin.url(&format!("/{n}"))));
            assert_eq!(reply.text(), format!("GET /{n}"), "{kit}");
        }
        assert!(origin.connections() <= 2, "{kit}: {} connections", origin.connections());
    }
}

#[test]
fn an_origin_that_is_not_there_or_never_answers_is_given_up() {
    let (_kept, closed) = Origin::closed();
    let silent = Origin::start(Behaviour::Silent);
    for kit in KITS {
        let server = granted(kit, closed, &[]);
        let reply = server.get(&outbound(&format!("http://{closed}/")));
        assert_eq!(reply.status, 502, "{kit}: {reply:?}");
        assert!(reply.text().contains("Connection"), "{kit}: {}", reply.text());
        // The request's own deadline holds while it waits for another.
        let server = granted(kit, silent.addr, &["--deadline", "1s"]);
        let start = Instant::now();
        let reply = server.get(&outbound(&silent.url("/")));
        assert_eq!(reply.status, 504, "{kit}: {reply:?}");
        assert!(start.elapsed() < PATIENCE / 2);
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
        assert_eq!(server.get("/").status, 200);
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_on_as_whole() {
    for kit in KITS {
        let origin = Origin::start(Behaviour::BreakOff);
        let server = granted(kit, origin.addr, &[]);
        let reply = crate::client::wait(async {
            let mut connection =
                crate::client::Connection::open(server.addr, crate::client::Version::H1).await;
            connection.get(&outbound(&origin.url("/"))).await
        });
        match reply {
            Ok(reply) => assert!(
                kit == "p2-http-kit" || reply.status >= 500,
                "a guest that hands the body on as it is: {reply:?}"
            ),
            Err(error) => assert!(!error.is_timeout(), "{error}"),
        }
        assert_eq!(server.get("/").status, 200);
    }
}

/// Who gets half of a body is not told that this was all.
#[test]
fn a_request_whose_guest_ends_in_the_middle_of_it_is_not_passed_on_as_whole() {
    for kit in KITS {
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = origin.local_addr().unwrap();
        let got = thread::spawn(move || [(); 3].map(|()| half(&origin)));
        let server = granted(kit, addr, &["--deadline", "2s"]);
        // It ends once it is answered, of which there is more to come; or it waits for an answer until its time is up.
        for then in ["trap", "spin", "never"] {
            let status =
                server.get(&format!("/upload?then={then}&url=http://{addr}/{then}")).status;
            assert!(status >= 500, "{kit} {then}: {status}");
        }
        for got in got.join().unwrap() {
            assert!(got.starts_with("POST /"), "{kit}: {got}");
            assert!(got.ends_with("\r\nhalf of it\r\n"), "{kit}: not as if it were whole: {got}");
        }
    }
}

/// What comes until the connection ends; an answer begins as soon as half of the body is there, but to `/never`.
fn half(origin: &TcpListener) -> String {
    let (mut connection, _) = origin.accept().unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut got, mut some) = (Vec::new(), [0; 1024]);
    loop {
        match connection.read(&mut some) {
            Ok(0) => break,
            Ok(read) => got.extend_from_slice(&some[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}, after {}", String::from_utf8_lossy(&got)),
        }
        if got.ends_with(b"half of it\r\n") && !got.starts_with(b"POST /never") {
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
            connection.write_all(answer.as_bytes()).unwrap();
        }
    }
    String::from_utf8(got).unwrap()
}
