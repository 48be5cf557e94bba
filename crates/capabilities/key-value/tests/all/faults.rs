//! Servers that go away, say nothing, or say what makes no sense.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reef_capability::Failure;
use reef_servers::{Nats, Server};

use super::{Store, at, bytes};

/// Every use has an answer within this, be it that there is none.
const AN_ANSWER: Duration = Duration::from_secs(15);

fn servers() -> Vec<(&'static str, Server)> {
    vec![
        ("redis", Server::redis().unwrap()),
        ("nats", Server::nats(Nats::Newest).unwrap()),
        ("postgres", Server::postgres().unwrap()),
    ]
}

/// Writes one number after the other, and those that were acknowledged.
async fn write(store: Store, stop: Arc<AtomicBool>) -> Vec<u32> {
    let (mut acknowledged, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let key = number.to_string();
        let written = store.set("b", &key, bytes(&key));
        match tokio::time::timeout(AN_ANSWER, written).await.unwrap() {
            Ok(()) => acknowledged.push(number),
            Err(failure) => {
                assert!(failure.is_of_backend(), "{failure}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        number += 1;
    }
    acknowledged
}

async fn until_it_works(store: &Store) {
    let start = Instant::now();
    while let Err(failure) = store.set("b", "works", bytes("1")).await {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come back: {failure}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_and_is_found_again() {
    for (backend, mut server) in servers() {
        let store = at(backend, &server.url());
        until_it_works(&store).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            (0..4).map(|_| tokio::spawn(write(store.clone(), stop.clone()))).collect();
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(200 + fastrand::u64(..300))).await;
            tokio::task::block_in_place(|| {
                server.kill();
                server.start_again().unwrap();
            });
            until_it_works(&store).await;
        }
        stop.store(true, Ordering::Relaxed);
        let mut count = 0;
        for writer in writers {
            for number in writer.await.unwrap() {
                let value = store.get("b", &number.to_string()).await;
                assert_eq!(value, Ok(Some(bytes(&number.to_string()))), "{backend}");
                count += 1;
            }
        }
        assert!(count > 20, "{backend}: only {count} were written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_given_up_in_time_and_used_again() {
    for (backend, server) in servers() {
        let store = at(backend, &server.url());
        until_it_works(&store).await;
        server.freeze();
        let start = Instant::now();
        // The gate's limit is shorter; this is the backend's own.
        let got = tokio::time::timeout(AN_ANSWER, store.get("b", "works")).await;
        if let Ok(got) = got {
            let failure = got.unwrap_err();
            assert!(failure.is_of_backend(), "{backend}: {failure}");
        } else {
            // Its caller's limit is what ends it there.
            assert_eq!(backend, "postgres", "no answer after {:?}", start.elapsed());
        }
        server.thaw();
        until_it_works(&store).await;
        assert_eq!(store.get("b", "works").await, Ok(Some(bytes("1"))), "{backend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_failure_and_nothing_was_done() {
    // Kept, so that nobody else listens there meanwhile.
    let kept = tokio::net::TcpSocket::new_v4().unwrap();
    kept.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = kept.local_addr().unwrap().port();
    for backend in ["redis", "nats", "postgres"] {
        let store = at(backend, &url(backend, port));
        let failure = tokio::time::timeout(AN_ANSWER, store.add("b", "k", 1)).await.unwrap();
        let failure = failure.unwrap_err();
        let undone = matches!(failure, Failure::Unavailable { maybe_done: false, .. });
        assert!(undone, "{backend}: {failure:?}");
        assert!(!failure.to_string().contains("secret"), "{backend}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_a_failure_and_no_panic() {
    for backend in ["redis", "nats", "postgres"] {
        for kind in 0..4 {
            let port = nonsense(kind);
            let store = at(backend, &url(backend, port));
            let got = tokio::time::timeout(AN_ANSWER, store.get("b", "k")).await;
            let failure = got.expect("it has an answer in time").unwrap_err();
            assert!(!failure.to_string().contains("secret"), "{backend} {kind}: {failure}");
        }
    }
}

fn url(backend: &str, port: u16) -> String {
    match backend {
        "redis" => format!("redis://:secret@127.0.0.1:{port}"),
        "nats" => format!("nats://127.0.0.1:{port}"),
        _ => format!("postgres://me:secret@127.0.0.1:{port}/db?sslmode=disable"),
    }
}

/// Somebody who answers with what nobody can read, for as long as the tests run.
fn nonsense(kind: u8) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            std::thread::spawn(move || {
                let said: Vec<u8> = match kind {
                    0 => return,
                    1 => (0..4096).map(|_| fastrand::u8(..)).collect(),
                    2 => b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
                    _ => b"$99999999999\r\n+OK\r\nINFO {}\r\nR\xff\xff\xff\xff".to_vec(),
                };
                if connection.write_all(&said).is_err() {
                    return;
                }
                // It goes on listening until the other one is gone.
                let mut heard = [0; 1024];
                while connection.read(&mut heard).is_ok_and(|heard| heard > 0) {}
            });
        }
    });
    port
}
