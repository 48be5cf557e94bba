#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::{Connection, Head, Length};

const LIMIT: Duration = Duration::from_secs(10);

/// Answers one connection's requests with these bytes, in these pieces.
fn server(answers: Vec<Vec<&'static [u8]>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for pieces in answers {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            for piece in pieces {
                stream.write_all(piece).unwrap();
            }
        }
    });
    address
}

#[test]
fn answers_come_in_any_pieces_over_one_connection() {
    let address = server(vec![
        vec![b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 6\r\n\r\nhel", b"lo\n"],
        vec![
            b"HTTP/1.1 504 Late\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r",
            b"\n1\r\nc\r\n0\r\n",
            b"x-trailer: 1\r\n\r\n",
        ],
        vec![b"HTTP/1.1 204 Nothing\r\ncontent-length: 0\r\n\r\n"],
    ]);
    let mut connection = Connection::open(address, LIMIT).unwrap();
    let first = connection.get("/").unwrap();
    assert_eq!((first.status, &*first.body), (200, &b"hello\n"[..]));
    assert!(first.first_byte <= first.whole);
    let second = connection.get("/").unwrap();
    assert_eq!((second.status, &*second.body), (504, &b"abc"[..]));
    assert_eq!(connection.get("/").unwrap().status, 204);
}

#[test]
fn silence_and_a_closed_connection_are_errors() {
    let address = server(vec![vec![b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhel"]]);
    let mut connection = Connection::open(address, LIMIT).unwrap();
    assert!(connection.get("/").is_err());

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limit = Duration::from_millis(20);
    let mut connection = Connection::open(silent.local_addr().unwrap(), limit).unwrap();
    let error = connection.get("/").unwrap_err().to_string();
    assert!(error.contains("no answer within"), "{error}");
}

#[test]
fn a_head_is_whole_or_not_there_yet() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(Head::parse(&head[..end]).unwrap(), None);
    }
    let whole = Head { status: 200, length: Length::Known(3), bytes: head.len() };
    assert_eq!(Head::parse(head).unwrap(), Some(whole));
    assert!(Head::parse(b"nonsense\r\n\r\n").is_err());
}
