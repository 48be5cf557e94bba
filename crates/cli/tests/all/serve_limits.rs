//! Limits of `reef serve`: time, memory, processor, queue, connections; and what neighbours feel.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::Frame;

use crate::client::{
    BOTH, Connection, RUNTIME, Raw, Version, ask, fed, full, get, get_over, raw, request, wait,
};
use crate::server::{Server, at};
use crate::support::{PATIENCE, guest};

const KITS: [&str; 2] = ["p2-http-kit", "p3-http-kit"];

#[test]
fn a_deadline_ends_whatever_the_guest_is_doing() {
    for kit in KITS {
        let server = Server::guest(kit, &["--deadline", "500ms"]);
        for version in BOTH {
            // Computing, waiting in the host for long, and waiting for ever.
            for path in ["/spin", "/burn?ms=600000", "/sleep?ms=600000", "/never"] {
                let start = Instant::now();
                let reply = get_over(version, server.addr, path);
                assert_eq!(reply.status, 504, "{kit} {path}: {reply:?}");
                assert!(start.elapsed() >= Duration::from_millis(500), "{kit} {path}");
                assert_eq!(get_over(version, server.addr, "/").status, 200, "{kit} after {path}");
            }
        }
        assert_eq!(server.metric("reef_deadlines_exceeded_total", ""), 8.0);
        server.wait_for_log(&[kit, "--deadline", "500"]);
    }
}

#[test]
fn a_deadline_ends_a_wagi_handler() {
    let server = Server::guest("wagi-env", &["--deadline", "500ms"]);
    wait(async {
        let (_send, body) = fed();
        let mut connection = Connection::open(server.addr, Version::H1).await;
        let response = connection.send(request("POST", "/", body)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(crate::client::read(&mut response.into_body(), usize::MAX).await.is_err());
    });
    // Not an answer: refused at once, and what the guest still does is ended with it.
    let server = Server::guest("p1-spin", &["--deadline", "10m"]);
    assert_eq!(server.get("/").status, 502);
    wait_for_rest(&server);
    let server = Server::guest("wagi-echo", &["--deadline", "500ms"]);
    wait(async {
        // The head comes at once; the guest then waits for a body that does not come.
        let (send, body) = fed();
        let mut connection = Connection::open(server.addr, Version::H1).await;
        send.send(Frame::data("piece\n".into())).unwrap();
        let response = connection.send(request("POST", "/", body)).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        assert_eq!(crate::client::read(&mut body, 6).await.unwrap(), b"piece\n");
        let ended = crate::client::read(&mut body, 1).await;
        assert!(ended.is_err(), "broken off, not ended: {ended:?}");
    });
    server.wait_for_metric("reef_deadlines_exceeded_total", |count| count == 1.0);
}

#[test]
fn a_deadline_does_not_cut_an_answer_that_keeps_coming() {
    for kit in KITS {
        let server = Server::guest(kit, &["--deadline", "4s"]);
        wait(async {
            let (send, body) = fed();
            let mut connection = Connection::open(server.addr, Version::H1).await;
            send.send(Frame::data("x".into())).unwrap();
            let mut body =
                connection.send(request("POST", "/echo", body)).await.unwrap().into_body();
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(9) {
                assert_eq!(crate::client::read(&mut body, 1).await.unwrap(), b"x", "{kit}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                send.send(Frame::data("x".into())).unwrap();
            }
        });
    }
}

#[test]
fn memory_over_the_limit_is_refused_and_the_message_names_the_flag() {
    for kit in KITS {
        let server = Server::guest(kit, &["--memory", "32MiB"]);
        let all = get(server.addr, "/alloc?mb=8");
        assert_eq!(all.text(), "8 MiB\n", "{kit}");
        // The guest sees the refusal and goes on with what it got.
        let some = get(server.addr, "/alloc?mb=1000").text();
        let got: u32 = some.trim_end_matches(" MiB\n").parse().unwrap();
        assert!((16..32).contains(&got), "{kit}: {some}");
        let peak = server.metric("reef_instance_memory_peak_bytes", "");
        assert!((16e6..=33.6e6).contains(&peak), "{kit}: {peak}");
        assert_eq!(get(server.addr, "/").status, 200);
    }
    let server = Server::guest("p2-http-kit", &["--memory", "64KiB"]);
    assert_eq!(get(server.addr, "/").status, 503);
    server.wait_for_log(&["p2-http-kit", "--memory", "64"]);
}

#[test]
fn a_share_of_the_processor_bounds_what_guests_use() {
    for kit in KITS {
        let server = Server::guest(kit, &["--cpu", "0.5", "--deadline", "4s"]);
        let start = Instant::now();
        loop {
            let spinning: Vec<_> = (0..2).map(|_| asking(&server, "/spin")).collect();
            for one in spinning {
                assert_eq!(one.join().unwrap(), 504);
            }
            let used = server.metric("reef_guest_cpu_seconds_total", "");
            let most = 0.5 * start.elapsed().as_secs_f64() + 0.5;
            assert!(used <= most, "{kit}: {used} s of at most {most} s");
            // And it is not kept from working, however much else the machine does.
            if used > 0.2 {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{kit}: {used} s");
        }
        assert_eq!(get(server.addr, "/").status, 200);
    }
}

fn asking(server: &Server, path: &'static str) -> JoinHandle<u16> {
    let addr = server.addr;
    thread::spawn(move || get(addr, path).status)
}

/// A request in progress until it is let go.
fn held(server: &Server) -> Raw {
    let mut client = Raw::connect(server.addr);
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
    client.send(format!("{head}x"));
    client
}

fn let_go(mut client: Raw) {
    client.send("yz");
    let said = client.rest();
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[test]
fn what_does_not_fit_in_the_queue_is_told_to_come_back() {
    for kit in KITS {
        let flags = ["--max-requests", "1", "--max-queue", "1", "--queue-timeout", "10s"];
        let server = Server::guest(kit, &flags);
        let first = held(&server);
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
        let addr = server.addr;
        let second = thread::spawn(move || get(addr, "/"));
        server.wait_for_metric("reef_requests_queued", |requests| requests == 1.0);
        // No room to wait in: at once.
        let third = get(server.addr, "/");
        assert_eq!((third.status, third.header("retry-after")), (503, "1"), "{third:?}");
        assert!(third.text().contains("max_queue"), "{}", third.text());
        // Room to wait in, but not for so long.
        let second = second.join().unwrap();
        assert_eq!((second.status, second.header("retry-after")), (503, "10"), "{second:?}");
        assert!(second.text().contains("max_wait"), "{}", second.text());
        // A queue that moves in time loses nobody.
        let_go(first);
        let waiting = asking(&server, "/sleep?ms=100");
        assert_eq!(waiting.join().unwrap(), 200);
        assert_eq!(server.metric("reef_requests_refused_total", ""), 2.0);
    }
}

#[test]
fn a_queue_that_moves_in_time_loses_nobody() {
    let flags = ["--max-requests", "2", "--max-queue", "30", "--queue-timeout", "60s"];
    let server = Server::guest("p3-http-kit", &flags);
    let first = [held(&server), held(&server)];
    server.wait_for_metric("reef_requests_in_flight", |requests| requests == 2.0);
    let all: Vec<_> = (0..30).map(|_| asking(&server, "/sleep?ms=50")).collect();
    server.wait_for_metric("reef_requests_queued", |requests| requests == 30.0);
    first.into_iter().for_each(let_go);
    for one in all {
        assert_eq!(one.join().unwrap(), 200);
    }
    assert!(server.metric("reef_queue_duration_seconds_sum", "") > 0.0, "they waited");
    assert_eq!(server.metric("reef_requests_refused_total", ""), 0.0);
}

#[test]
fn a_client_that_leaves_the_queue_makes_room() {
    let flags = ["--max-requests", "1", "--max-queue", "1", "--queue-timeout", "60s"];
    let server = Server::guest("p3-http-kit", &flags);
    let first = held(&server);
    server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
    let mut impatient = Raw::connect(server.addr);
    impatient.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_for_metric("reef_requests_queued", |requests| requests == 1.0);
    drop(impatient);
    let_go(first);
    server.wait_for_metric("reef_requests_queued", |requests| requests == 0.0);
    assert_eq!(get(server.addr, "/").status, 200);
}

#[test]
fn a_client_that_resets_its_connection_makes_room() {
    for kit in KITS {
        let flags = ["--max-requests", "1", "--max-queue", "1", "--queue-timeout", "10m"];
        let server = Server::guest(kit, &[&flags[..], &["--deadline", "10m"]].concat());
        let mut first = Raw::connect(server.addr);
        first.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
        let mut impatient = Raw::connect(server.addr);
        impatient.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_metric("reef_requests_queued", |requests| requests == 1.0);
        impatient.reset();
        server.wait_for_metric("reef_requests_queued", |requests| requests == 0.0);
        let waiting = asking(&server, "/");
        server.wait_for_metric("reef_requests_queued", |requests| requests == 1.0);
        first.reset();
        assert_eq!(waiting.join().unwrap(), 200, "{kit}");
    }
}

#[test]
fn headers_targets_and_bodies_over_the_limit_are_refused() {
    let server = Server::guest("p3-http-kit", &["--max-header", "16KiB", "--max-body", "1MiB"]);
    let long = "x".repeat(20 << 10);
    for (what, status) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: 1\r\n".repeat(200)), "431"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 << 10)), "414"),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n".into(), "413"),
    ] {
        let said = raw(server.addr, what);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {said}");
    }
    wait(async {
        let mut asked = request("GET", "/", crate::client::empty());
        asked.headers_mut().insert("x-long", long.parse().unwrap());
        let mut connection = Connection::open(server.addr, Version::H2).await;
        // Refused by a status or by ending the stream, as HTTP/2 has it.
        match connection.ask(asked).await {
            Ok(reply) => assert_eq!(reply.status, 431),
            Err(error) => assert!(!error.is_timeout(), "{error:?}"),
        }
        assert_eq!(connection.get("/").await.unwrap().status, 200, "the connection goes on");
    });
    assert_eq!(server.metric("reef_requests_total", ""), 1.0, "no guest has seen any");
    for version in BOTH {
        let whole = ask(version, server.addr, request("POST", "/echo", full(vec![1; 1 << 20])));
        assert_eq!((whole.status, whole.body.len()), (200, 1 << 20));
        let over =
            ask(version, server.addr, request("POST", "/echo", full(vec![1; (1 << 20) + 1])));
        assert_eq!(over.status, 413, "{version:?}");
    }
    // A body that does not say its length is stopped where it passes the limit.
    wait(async {
        let (send, body) = fed();
        let mut connection = Connection::open(server.addr, Version::H1).await;
        let piece = Bytes::from(vec![1; 512 << 10]);
        for _ in 0..4 {
            send.send(Frame::data(piece.clone())).unwrap();
        }
        drop(send);
        let ended = connection.ask(request("POST", "/trailers", body)).await;
        let text = ended.map(|reply| (reply.status, reply.text()));
        assert!(!matches!(&text, Ok((200, text)) if text.contains("2097152")), "{text:?}");
    });
}

#[test]
fn connections_over_the_limit_are_told_and_idle_ones_closed() {
    let server = Server::guest("p3-http-kit", &["--max-connections", "4", "--idle-timeout", "10s"]);
    let mut idle: Vec<_> = (0..4).map(|_| Raw::connect(server.addr)).collect();
    for client in &mut idle {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.until("http kit, WASI 0.3\n");
    }
    let said = raw(server.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after"), "{said}");
    for client in idle {
        // Reads to the end: fails if it is not closed.
        client.rest();
    }
    server.wait_for_metric("reef_http_connections_open", |open| open < 2.0);
    assert_eq!(get(server.addr, "/").status, 200);
    assert_eq!(server.metric("reef_http_connections_refused_total", ""), 1.0);
}

/// Clients that ask for `/spin` again and again until they are told to stop.
struct Spinners {
    stop: tokio::sync::watch::Sender<bool>,
    clients: Vec<tokio::task::JoinHandle<u32>>,
}

impl Spinners {
    fn start(server: &Server, path: &'static str, version: Version) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let clients = (0..4).map(|_| {
            let (addr, mut stopped) = (server.addr, stopped.clone());
            RUNTIME.spawn(async move {
                let mut answers = 0;
                let spin = async {
                    let mut connection = Connection::open(addr, version).await;
                    loop {
                        let reply = connection.get(path).await.unwrap();
                        assert!([503, 504].contains(&reply.status), "{reply:?}");
                        answers += 1;
                    }
                };
                tokio::select! {
                    () = spin => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
                answers
            })
        });
        Self { stop, clients: clients.collect() }
    }

    fn end(self) -> u32 {
        self.stop.send_replace(true);
        self.clients.into_iter().map(|client| wait(client).unwrap()).sum()
    }
}

/// Sequential light requests, all of which must succeed.
fn light(server: &Server, version: Version, path: &str, want: &str, count: u32) {
    wait(async {
        let mut connection = Connection::open(server.addr, version).await;
        for n in 0..count {
            let reply = connection.get(path).await.unwrap();
            assert_eq!((reply.status, &*reply.text()), (200, want), "request {n}");
        }
    });
}

#[test]
fn requests_that_spin_leave_the_others_of_their_component_alone() {
    for (kit, want) in
        [("p2-http-kit", "http kit, WASI 0.2\n"), ("p3-http-kit", "http kit, WASI 0.3\n")]
    {
        for version in BOTH {
            let server = Server::guest(kit, &["--deadline", "2s"]);
            let spinners = Spinners::start(&server, "/spin", version);
            server.wait_for_metric("reef_requests_in_flight", |requests| requests >= 4.0);
            for version in BOTH {
                light(&server, version, "/", want, 200);
            }
            server.wait_for_metric("reef_deadlines_exceeded_total", |count| count >= 4.0);
            light(&server, version, "/", want, 200);
            assert!(spinners.end() >= 4);
        }
    }
}

#[test]
fn requests_that_spin_leave_other_workloads_alone() {
    let files = [
        at("/two/...", &guest("p2-http-kit")),
        at("/three/...", &guest("p3-hello-http")),
        at("/cgi/...", &guest("wagi-status")),
        at("/spin", &guest("p3-http-kit")),
    ];
    let mut args = vec!["--deadline".to_owned(), "2s".to_owned()];
    args.extend(files);
    let server = Server::start(args);
    let spinners = Spinners::start(&server, "/spin", Version::H1);
    server.wait_for_metric("reef_requests_in_flight", |requests| requests >= 4.0);
    wait(async {
        let mut connection = Connection::open(server.addr, Version::H1).await;
        for _ in 0..200 {
            for (path, status) in [("/two/x", 404), ("/three/x", 200), ("/cgi/?status=201", 201)] {
                assert_eq!(connection.get(path).await.unwrap().status, status, "{path}");
            }
        }
    });
    spinners.end();
}

#[test]
fn a_request_that_spins_in_a_shared_instance_breaks_no_innocent_one() {
    // One worker: everything would go to the one instance that spins.
    let flags = ["--workers", "1", "--deadline", "5s"];
    let server = Server::guest("p3-http-kit", &flags);
    light(&server, Version::H1, "/", "http kit, WASI 0.3\n", 10);
    for _ in 0..3 {
        let spinning = asking(&server, "/spin");
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
        light(&server, Version::H1, "/", "http kit, WASI 0.3\n", 50);
        assert_eq!(spinning.join().unwrap(), 504);
        light(&server, Version::H1, "/", "http kit, WASI 0.3\n", 50);
    }
    assert_eq!(server.metric("reef_responses_total", "class=\"5xx\""), 3.0);
}

#[test]
fn work_for_a_client_that_is_gone_is_ended() {
    for kit in KITS {
        let server = Server::guest(kit, &["--deadline", "10m", "--instance-idle", "1s"]);
        for path in ["/spin", "/never", "/big?mb=100000"] {
            // HTTP/2 resets the stream and keeps the connection.
            wait(async {
                let mut connection = Connection::open(server.addr, Version::H2).await;
                let asked = connection.get(path);
                assert!(tokio::time::timeout(Duration::from_millis(500), asked).await.is_err());
                // Told on the same connection: the stream's end has come before this.
                assert_eq!(connection.get("/").await.unwrap().status, 200, "{kit} {path}");
            });
            server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
        }
        // HTTP/1 has only the connection, and one that is closed in one direction may still be read
        // from in the other: the server learns of it when it writes.
        let mut client = Raw::connect(server.addr);
        client.send("GET /big?mb=100000 HTTP/1.1\r\nHost: a\r\n\r\n");
        client.until("xxxx");
        drop(client);
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
        // A reset is certain, and seen while the guest says nothing: before its answer and within.
        for asked in [
            "GET /spin HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
        ] {
            let mut client = Raw::connect(server.addr);
            client.send(asked);
            server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
            if asked.ends_with("ab") {
                client.until("ab");
            }
            client.reset();
            server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
        }
        // Nothing goes on in secret: neither the guests' time nor their memory.
        wait_for_rest(&server);
        server.wait_for_metric("reef_guest_memory_bytes", |bytes| bytes == 0.0);
        assert_eq!(get(server.addr, "/").status, 200);
    }
}

/// Waits until guests use no processor time any more.
pub(crate) fn wait_for_rest(server: &Server) {
    let until = Instant::now() + PATIENCE;
    let used = || server.metric("reef_guest_cpu_seconds_total", "");
    let mut before = used();
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = used();
        if now - before < 0.01 {
            return;
        }
        assert!(Instant::now() < until, "a guest computes on: {now} s");
        before = now;
    }
}
