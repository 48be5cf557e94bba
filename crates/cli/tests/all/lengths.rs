//! A guest that says one length and prints another is never taken at its word.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    client::{self, BOTH, Connection, Raw, Version, empty, request, wait},
    server::{Server, at},
};

/// A command that prints these pieces, each a moment after the other.
fn printing(folder: &Path, name: &str, pieces: &[&str]) -> String {
    let (mut data, mut calls, mut start) = (String::new(), String::new(), 256);
    for (index, piece) in pieces.iter().enumerate() {
        let bytes = piece.bytes().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "\\{byte:02x}");
            all
        });
        let length = piece.len();
        let _ = write!(data, r#"(data (i32.const {start}) "{bytes}")"#);
        if index > 0 {
            calls.push_str(
                "(drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 160)))",
            );
        }
        let _ = write!(
            calls,
            "(i32.store (i32.const 0) (i32.const {start})) (i32.store (i32.const 4) (i32.const {length}))
             (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
        );
        start += length;
    }
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            {data}
            (func (export "_start")
                ;; a subscription to the monotonic clock, 300 ms from now
                (i32.store (i32.const 80) (i32.const 1))
                (i64.store (i32.const 88) (i64.const 300000000))
                {calls}))"#
    );
    let path = folder.join(format!("{name}.wat"));
    fs::write(&path, text).unwrap();
    at(&format!("/{name}"), &path)
}

#[test]
fn a_length_that_is_not_that_of_the_body_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let head = |length: &str| format!("Content-Type: text/plain\nContent-Length: {length}\n\n");
    let of = |name: &str, length: &str, bodies: &[&str]| {
        let mut pieces = vec![head(length) + bodies[0]];
        pieces.extend(bodies[1..].iter().map(|&body| body.to_owned()));
        printing(folder.path(), name, &pieces.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let server = Server::start([
        of("less", "2", &["short"]),
        of("more", "9999", &["short"]),
        of("none", "5", &[""]),
        of("right", "5", &["short"]),
        of("late-less", "7", &["late ", "short"]),
        of("late-more", "9999", &["late ", "short"]),
        of("late-right", "10", &["late ", "short"]),
        printing(
            folder.path(),
            "chunked",
            &["Content-Type: text/plain\nTransfer-Encoding: chunked\nContent-Length: 2\n\nshort"],
        ),
    ]);
    for path in ["/less", "/more", "/none", "/chunked"] {
        // The next answer on the connection begins where this one ends.
        let mut client = Raw::connect(server.addr);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /right HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ));
        let said = client.rest();
        assert!(said.starts_with("HTTP/1.1 502 "), "{path}: {said}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 2, "{path}: {said}");
        assert!(said.contains("HTTP/1.1 200 OK") && said.ends_with("\r\n\r\nshort"), "{said}");
        let over_2 = client::get_over(Version::H2, server.addr, path);
        assert_eq!(over_2.status, 502, "{path}");
    }
    server.wait_for_log(&["its Content-Length is 9999, and its body has 5 bytes"]);
    server.wait_for_log(&["its Content-Length is 2, and its body has more bytes than that"]);
    for version in BOTH {
        for (path, wanted) in [("/right", "short"), ("/late-right", "late short")] {
            let reply = client::get_over(version, server.addr, path);
            assert_eq!((reply.text().as_str(), reply.status), (wanted, 200), "{version:?}");
            assert_eq!(reply.header("content-length"), wanted.len().to_string());
        }
        // The head is gone: what remains is to break off.
        for path in ["/late-less", "/late-more"] {
            wait(async {
                let mut connection = Connection::open(server.addr, version).await;
                let reply = connection.ask(request("GET", path, empty())).await;
                assert!(reply.is_err(), "{version:?} {path}: {reply:?}");
            });
        }
        // What is said of a body that is not sent is nobody's end.
        let reply = client::ask(version, server.addr, request("HEAD", "/none", empty()));
        assert_eq!((reply.status, reply.header("content-length")), (200, "5"));
        let reply = client::ask(version, server.addr, request("HEAD", "/less", empty()));
        assert_eq!(reply.status, 502, "{version:?}");
    }
    server.wait_for_log(&["A response is cut", "late-more", "has 10 bytes"]);
    server.wait_for_log(&["A response is cut", "late-less", "more bytes than that"]);
}
