//! More clients than there is room for.

use std::sync::Arc;
use std::time::Duration;

use reef_http::{Admission, HandlerFn, ResponseBody, Workers, overloaded_response};

use crate::support::{Client, Seen, TestServer, text};

#[test]
fn one_connection_too_many_is_told_so() {
    let server = TestServer::with(|config| config.limits.max_connections = 2);
    let mut first = Client::connect(server.addr);
    let second = Client::connect(server.addr);
    server.wait("two connections", |stats| stats.connections_open == 2);
    let answer = server.get("/x");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: ") && answer.contains("max_connections"), "{answer}");
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    first.until("hello /1");
    drop(second);
    server.wait("room", |stats| stats.connections_open == 1);
    assert!(server.get("/x").ends_with("hello /x"));
    assert_eq!(server.stats().connections_refused, 1);
}

#[test]
fn a_full_queue_and_a_long_wait_are_answered_503() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let admission = Admission::new(1, 1, Duration::from_secs(5));
    let handler = HandlerFn({
        let (gate, admission) = (Arc::clone(&gate), admission.clone());
        move |_request, _peer| {
            let (gate, admission) = (Arc::clone(&gate), admission.clone());
            async move {
                match admission.admit().await {
                    Ok(_permit) => {
                        gate.acquire().await.unwrap().forget();
                        text(http::StatusCode::OK, "done".into())
                    }
                    Err(refused) => overloaded_response(&refused),
                }
            }
        }
    });
    let seen = Arc::new(Seen {
        paths: Default::default(),
        gate: tokio::sync::Semaphore::new(0),
        endless: Arc::new(()),
    });
    let server = TestServer::of(handler, seen, Workers::start(2, "worker").unwrap(), |_| {});
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut running = Client::connect(server.addr);
    running.send(request);
    crate::support::wait("it to run", || admission.running() == 1, String::new);
    let mut waiting = Client::connect(server.addr);
    waiting.send(request);
    crate::support::wait("it to wait", || admission.queued() == 1, String::new);
    let answer = server.get("/");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"),
        "{answer}"
    );
    assert!(answer.contains("max_queue"), "{answer}");
    let answer = waiting.rest();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("max_wait"), "{answer}");
    gate.add_permits(1);
    assert!(running.rest().ends_with("done"));
    assert_eq!((admission.running(), admission.queued()), (0, 0));
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Both ends of each connection are in this process, and other tests run beside it, so there are
/// as many as its limit of open files can hold, up to 4,000. Half of them have sent a request.
#[test]
fn thousands_of_idle_connections_leave_others_alone_and_nothing_behind() {
    let files = usize::try_from(reef_http::raise_open_files()).unwrap();
    let count = (files.saturating_sub(2_000) / 2).min(4_000);
    let server = TestServer::with(|config| config.limits.max_connections = count + 10);
    let before = (open_files(), resident_kib());
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(server.addr)).collect();
    for client in clients.iter_mut().step_by(2) {
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.until("hello /1");
    }
    server.wait("all connections", |stats| stats.connections_open == count as u64);
    let grown = resident_kib().saturating_sub(before.1);
    assert!(grown < count * 48, "{grown} KiB for {count} connections");
    let spread = (server.workers.connections(0), server.workers.connections(1));
    assert!(spread.0.abs_diff(spread.1) <= 2, "{spread:?}");
    for _ in 0..50 {
        assert!(server.get("/x").ends_with("hello /x"));
    }
    drop(clients);
    server.wait("no connections", |stats| stats.connections_open == 0);
    crate::support::wait(
        "the files back",
        || open_files() < before.0 + 200,
        || format!("{} before, {} now", before.0, open_files()),
    );
}

#[test]
fn a_response_that_is_ready_needs_no_stream() {
    let body = ResponseBody::full("x");
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(1));
}
