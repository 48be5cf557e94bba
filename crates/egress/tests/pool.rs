//! Connections are reused, bounded, and given up when others need them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use futures::future::join_all;
use http_body_util::BodyExt;
use reef_egress::{SendError, Timeouts};
use support::{Server, client, client_with, fetch, get, send, text, until};
use tokio::sync::Semaphore;

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::hello().await;
    let client = client(&[&server.grant()]);
    for _ in 0..10 {
        assert_eq!(fetch(&client.clone(), &server.url("/")).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn idle_connections_give_way_to_busy_ones() {
    let servers = [Server::hello().await, Server::hello().await, Server::hello().await];
    let grants: Vec<_> = servers.iter().map(Server::grant).collect();
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let client = client_with(&grants, |config| config.max_connections = 1);
    for _ in 0..2 {
        for server in &servers {
            assert_eq!(fetch(&client, &server.url("/")).await.unwrap(), "hello");
        }
    }
}

/// Whatever is closed to make room, no request notices.
#[tokio::test]
async fn many_hosts_share_few_connections() {
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(Server::start(None, |_| async { text(&"x".repeat(300_000)) }).await);
    }
    let grants: Vec<_> = servers.iter().map(Server::grant).collect();
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let client = client_with(&grants, |config| config.max_connections = 2);
    let answers = join_all((0..12).map(async |task| {
        for round in 0..5 {
            let body = fetch(&client, &servers[(task + round) % 4].url("/")).await?;
            assert_eq!(body.len(), 300_000);
        }
        Ok::<_, SendError>(())
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn more_requests_than_connections_wait_for_their_turn() {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let server = {
        let (most, now) = (Arc::clone(&most), Arc::clone(&now));
        Server::start(None, move |_| {
            let (most, now) = (Arc::clone(&most), Arc::clone(&now));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                text("hello")
            }
        })
        .await
    };
    let client = client_with(&[&server.grant()], |config| config.max_connections = 4);
    let url = server.url("/");
    let answers = join_all((0..64).map(|_| fetch(&client, &url))).await;
    assert!(answers.iter().all(|answer| answer.as_deref() == Ok("hello")), "{answers:?}");
    assert!(server.connections() <= 4 && most.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn too_many_connections_are_an_error_after_the_connect_deadline() {
    let gate = Arc::new(Semaphore::new(1));
    let waiting = Arc::new(AtomicUsize::new(0));
    let server = {
        let (gate, waiting) = (Arc::clone(&gate), Arc::clone(&waiting));
        Server::start(None, move |_| {
            let (gate, waiting) = (Arc::clone(&gate), Arc::clone(&waiting));
            async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                text("late")
            }
        })
        .await
    };
    let client = client_with(&[&server.grant()], |config| config.max_connections = 1);
    let url = server.url("/");
    assert_eq!(fetch(&client, &url).await.unwrap(), "late");
    // On the same connection again: being in use is what saves it, not being new.
    let second = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { fetch(&client, &url).await }
    });
    until("the second request", || waiting.load(Ordering::SeqCst) == 2).await;

    let connect = Duration::from_millis(150);
    let timeouts = Timeouts { connect, ..Timeouts::default() };
    let error = client.send(get(&url), timeouts).await.unwrap_err();
    assert_eq!(
        error,
        SendError::TooManyConnections { workload: "shop".to_owned(), limit: 1, after: connect }
    );
    gate.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap(), "late");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_body_that_is_dropped_frees_its_connection() {
    let server = Server::start(None, |_| async { text(&"x".repeat(8 << 20)) }).await;
    let client = client_with(&[&server.grant()], |config| config.max_connections = 1);
    for _ in 0..3 {
        let mut body = send(&client, &server.url("/")).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().unwrap().is_data());
        drop(body);
    }
}

/// Every thread has a runtime of its own, as in a server with a thread per core.
#[test]
fn a_client_serves_several_current_thread_runtimes_at_once() {
    const THREADS: usize = 4;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (send_addr, addr) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let server = Server::hello().await;
            send_addr.send((server.grant(), server.url("/"))).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (grant, url) = addr.recv().unwrap();
    let client = client(&[&grant]);
    let done = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (client, url, done) = (client.clone(), url.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                runtime().block_on(async {
                    for _ in 0..50 {
                        let round = join_all((0..4).map(|_| fetch(&client, &url))).await;
                        assert!(round.iter().all(|got| got.as_deref() == Ok("hello")), "{round:?}");
                    }
                    // Other runtimes use this one's connections: it has to live, and be polled, until
                    // they are done.
                    tokio::task::spawn_blocking(move || done.wait()).await.unwrap();
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
