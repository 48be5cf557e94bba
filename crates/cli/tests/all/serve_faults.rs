//! Bad files, bad guests and bad clients: each gets a clear answer, and the others never notice.

use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{
    BOTH, Connection, RUNTIME, Raw, Version, empty, get, get_over, in_time, raw, read, request,
    wait,
};
use crate::serve_limits::wait_for_rest;
use crate::server::{Server, at, refusal};
use crate::support::{PATIENCE, eventually, guest, reef};

const KITS: [&str; 2] = ["p2-http-kit", "p3-http-kit"];

fn refused(args: &[&str], parts: &[&str]) {
    let (said, status) = refusal(args);
    assert_ne!(status, 0);
    for part in parts {
        assert!(said.contains(part), "{args:?}: no {part:?} in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn path(name: &str) -> String {
    guest(name).display().to_string()
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_listens() {
    refused(&[&path("p2-lib")], &["p2-lib does not answer HTTP", "library", "reef run --invoke"]);
    refused(&[&path("p2-cli")], &["p2-cli does not answer HTTP", "command", "reef run"]);
    refused(&[&path("p3-cli")], &["p3-cli does not answer HTTP", "command"]);
    refused(&["/no/such.wasm"], &["/no/such.wasm", "no file"]);
    refused(&["/tmp"], &["/tmp is a folder"]);
    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    refused(&[&file("text.wasm", b"just some words\n")], &["text.wasm", "not WebAssembly"]);
    refused(&[&file("empty.wasm", b"")], &["empty.wasm"]);
    let whole = fs::read(guest("p2-http-kit")).unwrap();
    refused(&[&file("half.wasm", &whole[..whole.len() / 2])], &["half.wasm"]);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 3;
    flipped[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
    let (said, _) = refusal_or_service(&file("flipped.wasm", &flipped));
    assert!(!said.contains("panicked"), "{said}");
}

/// A damaged file may be sound enough to be compiled; then the server is ended at once.
fn refusal_or_service(file: &str) -> (String, bool) {
    let mut command = reef();
    command.args(["serve", "--addr", "127.0.0.1:0", file]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let mut stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        use std::io::Read as _;
        let mut bytes = vec![0; 4096];
        let count = stderr.read(&mut bytes).unwrap_or(0);
        let _ = send.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
    });
    let said = receive.recv_timeout(PATIENCE).unwrap();
    let _ = child.kill();
    let status = child.wait().unwrap();
    (said, status.code().is_some())
}

#[test]
fn two_workloads_at_one_route_are_refused_by_name() {
    let (one, two) = (at("/a/...", &guest("p2-http-kit")), at("/a/...", &guest("p3-http-kit")));
    refused(&[&one, &two], &["p2-http-kit", "p3-http-kit", "/a/..."]);
    let odd = at("/a/.../b", &guest("p2-http-kit"));
    refused(&[&odd], &["/a/.../b"]);
}

#[test]
fn an_address_in_use_and_missing_tls_files_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = reef().args(["serve", "--addr", &addr, &path("p2-http-kit")]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&addr) && said.contains("in use"), "{said}");
    assert_eq!(output.status.code(), Some(125));

    let hello = path("p2-hello-http");
    let tls = ["--tls-cert", "/no/cert.pem", "--tls-key", "/no/key.pem", &hello];
    refused(&tls, &["/no/cert.pem", "No such file"]);
    assert_eq!(refusal(tls).0.matches("No such file").count(), 1, "said once");
    refused(&["--tls-cert", "/no/cert.pem", &hello], &["--tls-key"]);
    let script = guest("wagi-env").display().to_string();
    let swapped = ["--tls-cert", &script, "--tls-key", &script, &hello];
    refused(&swapped, &["wagi-env.wasm", "certificate"]);
}

/// The text form of a guest, changed.
fn changed(folder: &Path, name: &str, change: impl FnOnce(String) -> String) -> PathBuf {
    let output = reef().arg("inspect").arg("--wat").arg(guest(name)).output().unwrap();
    assert!(output.status.success());
    let path = folder.join(format!("{name}.wat"));
    fs::write(&path, change(String::from_utf8(output.stdout).unwrap())).unwrap();
    path
}

#[test]
fn a_component_that_lacks_imports_is_refused_and_each_is_named() {
    let folder = TempDir::new().unwrap();
    let file = changed(folder.path(), "p2-hello-http", |text| {
        let end = text.rfind(')').unwrap();
        let more = r#"(import "acme:warehouse/stock@1.2.3" (instance (export "count" (func))))"#;
        format!("{}{more})\n", &text[..end])
    });
    let (said, status) = refusal([&file]);
    assert_ne!(status, 0);
    assert!(said.contains("acme:warehouse/stock@1.2.3"), "{said}");
    let module = folder.path().join("module.wat");
    fs::write(
        &module,
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (import "env" "mystery" (func))
            (memory (export "memory") 1)
            (func (export "_start")))"#,
    )
    .unwrap();
    let (said, status) = refusal([&module]);
    assert_ne!(status, 0);
    assert!(said.contains("env") && said.contains("mystery"), "{said}");
}

#[test]
fn start_functions_that_never_end_meet_the_deadline() {
    let folder = TempDir::new().unwrap();
    for name in ["p2-hello-http", "p3-hello-http"] {
        let file = changed(folder.path(), name, |text| {
            let main = text.find("\n  (core module $main").expect("a core module");
            let end = main + text[main..].find("\n  )\n").unwrap();
            let spin = "(func $forever (loop br 0)) (start $forever)";
            format!("{}\n{spin}{}", &text[..end], &text[end..])
        });
        let server = Server::start([
            "--deadline".into(),
            "500ms".into(),
            at("/spin/...", &file),
            at("/...", &guest("p3-http-kit")),
        ]);
        for version in BOTH {
            assert_eq!(get_over(version, server.addr, "/spin/").status, 504, "{name}");
            assert_eq!(get_over(version, server.addr, "/").status, 200);
        }
        wait_for_rest(&server);
    }
    let module = wagi(folder.path(), "spin", "", "(func $forever (loop br 0)) (start $forever)");
    let server = Server::start(["--deadline".into(), "500ms".into(), module.display().to_string()]);
    assert_eq!(get(server.addr, "/").status, 504);
    wait_for_rest(&server);
}

/// A command module that has this in its `_start`, and this beside it.
fn wagi(folder: &Path, name: &str, start: &str, more: &str) -> PathBuf {
    let path = folder.join(format!("{name}.wat"));
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (table $table 1 funcref)
            (data (i32.const 64) "content-type: text/plain\n\nsurvived\n")
            {more}
            (func (export "_start")
                {start}
                (i32.store (i32.const 0) (i32.const 64))
                (i32.store (i32.const 4) (i32.const 35))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn memory_and_table_bombs_are_held_to_the_limits() {
    let folder = TempDir::new().unwrap();
    let grow_memory = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))";
    let grow_table = "(loop (br_if 0 (i32.ne (table.grow $table (ref.null func) (i32.const 10000)) (i32.const -1))))";
    let files = [
        at("/memory", &wagi(folder.path(), "memory", grow_memory, "")),
        at("/table", &wagi(folder.path(), "table", grow_table, "")),
        at("/deep", &wagi(folder.path(), "deep", "(call $deep)", "(func $deep (call $deep))")),
        // More at the start than is ever allowed.
        at("/large", &large(folder.path())),
        at("/...", &guest("p3-http-kit")),
    ];
    let mut args = vec!["--memory".to_owned(), "64MiB".to_owned()];
    args.extend(files);
    let server = Server::start(args);
    let before = server.resident();
    for _ in 0..20 {
        for path in ["/memory", "/table"] {
            let reply = get(server.addr, path);
            assert_eq!((reply.status, &*reply.text()), (200, "survived\n"), "{path}");
        }
        assert_eq!(get(server.addr, "/deep").status, 500);
        assert_eq!(get(server.addr, "/large").status, 503);
    }
    assert_eq!(get(server.addr, "/").status, 200);
    let peak = server.metric("reef_instance_memory_peak_bytes", "\"memory\"");
    assert!((60e6..=68e6).contains(&peak), "{peak}");
    eventually("the memory back", || {
        (server.metric("reef_guest_memory_bytes", "\"memory\"") == 0.0).then_some(())
    });
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 256 << 20, "{} MiB more than before", grown >> 20);
    server.wait_for_log(&["large", "--memory"]);
    server.wait_for_log(&["deep", "stack"]);
}

fn large(folder: &Path) -> PathBuf {
    let path = folder.join("large.wat");
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
        (memory (export "memory") 4096)
        (func (export "_start")))"#;
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_guest_that_fails_costs_its_own_request_only() {
    for (kit, failures) in [
        (
            "p2-http-kit",
            &[("/trap", 500), ("/panic", 500), ("/stack", 500), ("/no-response", 502)][..],
        ),
        ("p3-http-kit", &[("/trap", 500), ("/panic", 500), ("/stack", 500), ("/error", 502)]),
    ] {
        let server = Server::guest(kit, &[]);
        for version in BOTH {
            wait(async {
                let mut connection = Connection::open(server.addr, version).await;
                for (path, status) in failures {
                    let reply = connection.get(path).await.unwrap();
                    assert_eq!(reply.status, *status, "{kit} {path}: {reply:?}");
                    // Nothing of the host or the guest is shown to the client.
                    assert!(!reply.text().contains("wasm"), "{}", reply.text());
                    assert_eq!(connection.get("/").await.unwrap().status, 200, "after {path}");
                }
            });
        }
        assert_eq!(server.metric("reef_traps_total", ""), 6.0, "{kit}");
        // The log has what the client is not told.
        server.wait_for_log(&["unreachable"]);
        server.wait_for_log(&["stack"]);
    }
}

#[test]
fn a_trap_in_a_streamed_body_breaks_it_off() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        let said =
            raw(server.addr, "GET /trap-mid-body HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        // Either the failure came soon enough for a status, or the body has no end.
        assert!(!said.contains("\r\n0\r\n"), "{kit}: {said}");
        if said.starts_with("HTTP/1.1 200 ") {
            assert!(said.contains("transfer-encoding: chunked"), "{said}");
        } else {
            assert!(said.starts_with("HTTP/1.1 50"), "{said}");
        }
        for version in BOTH {
            wait(async {
                let mut connection = Connection::open(server.addr, version).await;
                let asked = connection.send(request("GET", "/trap-mid-body", empty())).await;
                let response = asked.unwrap();
                if response.status() != 200 {
                    assert!(response.status().is_server_error());
                    return;
                }
                let mut body = response.into_body();
                let mut came = Vec::new();
                let ended = loop {
                    match read(&mut body, 1).await {
                        Ok(bytes) if bytes.is_empty() => break Ok(()),
                        Ok(bytes) => came.extend(bytes),
                        Err(error) => break Err(error),
                    }
                };
                assert!(ended.is_err(), "{kit}, {version:?}: a clean end after {came:?}");
                assert_eq!(came, b"the first half\n");
                if version == Version::H2 {
                    assert_eq!(
                        connection.get("/").await.unwrap().status,
                        200,
                        "other streams go on"
                    );
                }
            });
        }
        assert_eq!(get(server.addr, "/").status, 200);
        assert_eq!(server.metric("reef_traps_total", ""), 3.0, "{kit}");
    }
}

#[test]
fn a_trap_breaks_off_what_shares_the_instance_and_nothing_else() {
    // One instance, one request in the middle of its body, another that traps.
    let server = Server::guest("p3-http-kit", &["--workers", "1"]);
    let (send, body) = crate::client::fed();
    send.send(hyper::body::Frame::data("x".into())).unwrap();
    let (_first, mut body) = wait(async {
        let mut first = Connection::open(server.addr, Version::H1).await;
        let mut body = first.send(request("POST", "/echo", body)).await.unwrap().into_body();
        assert_eq!(read(&mut body, 1).await.unwrap(), b"x");
        (first, body)
    });
    let trapped = get(server.addr, "/trap").status;
    let shared = server.metric("reef_instances_created_total", "") == 1.0;
    // In a shared instance nobody can say whose fault it was.
    assert_eq!(trapped, if shared { 503 } else { 500 });
    assert_eq!(server.metric("reef_traps_total", ""), 1.0);
    drop(send);
    let ended = wait(read(&mut body, usize::MAX));
    assert_eq!(ended.is_err(), shared, "broken off with its instance: {ended:?}");
    assert_eq!(get(server.addr, "/").status, 200);
}

/// Requests that come while the first instance is made wait for it; those that it cannot begin, since
/// the one before them traps or computes, get another.
#[test]
fn requests_that_wait_for_an_instance_do_not_share_its_fate() {
    let kit = at("kit.test/...", &guest("p3-http-kit"));
    let other = at("/other", &guest("p3-hello-http"));
    let of = |first: &str, more: &[&str]| {
        let flags = ["--workers", "1", "--deadline", "5s", "--concurrent", "8", &other, &kit];
        let server = Server::start([more, &flags].concat());
        let said = server.burst("kit.test", &[&[first][..], &["/"; 7]].concat());
        let created = server.metric("reef_instances_created_total", "");
        for said in &said[1..] {
            let whole = said.starts_with("HTTP/1.1 200 ") && said.ends_with("http kit, WASI 0.3\n");
            assert!(whole, "behind {first}: {said}");
        }
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
        (said[0][..12].to_owned(), created)
    };
    // On a busy machine an instance may seem to compute, but not each time.
    let shared = (0..10).any(|_| {
        let (said, created) = of("/", &[]);
        assert_eq!(said, "HTTP/1.1 200");
        created < 8.0
    });
    assert!(shared, "an instance for each request");
    assert_eq!(of("/trap", &[]), ("HTTP/1.1 500".to_owned(), 8.0));
    assert_eq!(of("/spin", &[]), ("HTTP/1.1 504".to_owned(), 8.0));
    // One that serves no more than two in its life is not waited for by more.
    let (said, created) = of("/", &["--reuse", "2"]);
    assert!(said == "HTTP/1.1 200" && (4.0..=8.0).contains(&created), "{said}, {created}");
}

#[test]
fn messages_with_two_readings_are_refused_and_nothing_behind_them_is_read() {
    let server = Server::guest("p3-http-kit", &[]);
    let inner = "GET /count HTTP/1.1\r\nHost: a\r\n\r\n";
    for (what, status) in [
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400"),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", "400"),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "501",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "501"),
        ("NONSENSE\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01", "400"),
    ] {
        let said = raw(server.addr, format!("{what}{inner}"));
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what:?}: {said}");
        assert_eq!(answers(&said), 1, "{what:?}: {said}");
    }
    // Both framings: the coding counts, and the connection ends with the answer.
    let both = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let said = raw(server.addr, format!("{both}{inner}"));
    assert_eq!(answers(&said), 1, "{said}");
    // A chunk that does not end where it says.
    let chunk =
        "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n";
    let said = raw(server.addr, format!("{chunk}{inner}"));
    assert!(answers(&said) <= 1 && !said.contains("body: 5"), "{said}");
    assert_eq!(get(server.addr, "/").status, 200);
}

fn answers(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count()
}

#[test]
fn slow_and_half_closed_clients_are_served_or_told() {
    let server = Server::guest("p3-http-kit", &[]);
    // Nothing more to say is not nothing more to hear.
    for path in ["/sleep?ms=300", "/big?mb=1"] {
        let mut client = Raw::connect(server.addr);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert!(client.rest().starts_with("HTTP/1.1 200 "), "{path}");
    }
    // A body that stops short is no body.
    let mut client = Raw::connect(server.addr);
    client.send("POST /pipe HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nshort");
    client.stream.shutdown(Shutdown::Write).unwrap();
    let said = client.rest();
    assert!(!said.ends_with("\r\n0\r\n\r\n"), "{said}");
    // One header byte now and then: until the time for a head is up.
    let mut client = Raw::connect(server.addr);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let stream = client.stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        use std::io::Write as _;
        while (&stream).write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    assert!(client.rest().starts_with("HTTP/1.1 408 "));
    dripping.join().unwrap();
    // Gone in the middle of everything.
    for bytes in [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
    ] {
        let mut client = Raw::connect(server.addr);
        client.send(bytes);
    }
    server.wait_for_metric("reef_http_connections_open", |open| open == 0.0);
    assert_eq!(get(server.addr, "/").status, 200);
}

#[test]
fn ten_thousand_idle_connections_are_held_and_others_answered() {
    const WANTED: u64 = 10_000;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let allowed = files.maximum.unwrap_or(u64::MAX);
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: files.maximum, maximum: files.maximum },
    );
    // Half on either side of what both processes may open, where that is less.
    let count = WANTED.min(allowed.saturating_sub(512) * 7 / 8);
    if count < WANTED {
        eprintln!("{count} connections: no more than {allowed} open files are allowed here");
    }
    let server = Server::guest("p3-http-kit", &["--idle-timeout", "10m"]);
    let before = server.resident();
    let mut idle = Vec::new();
    for n in 0..count {
        let mut client = TcpStream::connect(server.addr).unwrap();
        // Some have asked before, some are in the middle of a head.
        if n % 10 == 0 {
            use std::io::Write as _;
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        idle.push(client);
    }
    server.wait_for_metric("reef_http_connections_open", |open| open >= count as f64);
    wait(async {
        for version in BOTH {
            let mut connection = Connection::open(server.addr, version).await;
            for _ in 0..500 {
                assert_eq!(connection.get("/").await.unwrap().status, 200);
            }
        }
    });
    let each = server.resident().saturating_sub(before) / count;
    assert!(each < 32 << 10, "{each} bytes a connection");
    drop(idle);
    server.wait_for_metric("reef_http_connections_open", |open| open == 0.0);
    assert_eq!(get(server.addr, "/").status, 200);
}

#[test]
fn a_storm_leaves_nothing_behind() {
    for kit in KITS {
        let flags = ["--deadline", "300ms", "--memory", "64MiB", "--instance-idle", "1s"];
        let mut server = Server::guest(kit, &flags);
        let storm = |rounds: usize| {
            let clients: Vec<_> = (0..8)
                .map(|client| {
                    let addr = server.addr;
                    RUNTIME.spawn(async move {
                        for round in 0..rounds {
                            let path = [
                                "/trap",
                                "/panic",
                                "/stack",
                                "/alloc?mb=1000",
                                "/trap-mid-body",
                                "/spin",
                                "/never",
                                "/big?mb=4",
                            ][(client + round) % 8];
                            let version = BOTH[round % 2];
                            let mut connection = Connection::open(addr, version).await;
                            if (client + round) % 3 == 0 {
                                // Leaves before the answer.
                                let some = Duration::from_millis(20);
                                let _ = tokio::time::timeout(some, connection.get(path)).await;
                            } else if let Ok(response) =
                                connection.send(request("GET", path, empty())).await
                            {
                                let _ = in_time(crate::client::Reply::of(response)).await;
                            }
                        }
                    })
                })
                .collect();
            for client in clients {
                RUNTIME.block_on(client).unwrap();
            }
            server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
            server.wait_for_metric("reef_guest_memory_bytes", |bytes| bytes == 0.0);
            server.resident()
        };
        let once = storm(24);
        let again = storm(48);
        let grown = again.saturating_sub(once);
        assert!(
            grown < 64 << 20,
            "{kit}: {} MiB after one storm, {} MiB more after two",
            once >> 20,
            grown >> 20
        );
        assert!(server.is_up());
        wait(async {
            for version in BOTH {
                let mut connection = Connection::open(server.addr, version).await;
                let mut late = 0;
                for _ in 0..1000 {
                    match connection.get("/").await.unwrap().status {
                        // A busy machine may take longer than the deadline now and then.
                        504 => late += 1,
                        status => assert_eq!(status, 200),
                    }
                }
                assert!(late < 20, "{kit}: {late} came too late");
            }
        });
    }
}
