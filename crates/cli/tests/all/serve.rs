//! What `reef serve` serves, and how it speaks HTTP.

use std::ffi::OsString;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::Frame;

use crate::client::{
    BOTH, Connection, Raw, Reply, Version, ask, empty, fed, full, get_over, raw, read, request,
    wait,
};
use crate::server::{Server, at, refusal};
use crate::support::{eventually, guest};

/// The same routes, once for WASI 0.2 and once for 0.3.
const KITS: [&str; 2] = ["p2-http-kit", "p3-http-kit"];

#[test]
fn every_kind_that_answers_http_is_detected() {
    // The kits import `wasi:cli` as well, as everything built with Rust's standard library does.
    for (name, said) in [
        ("p2-hello-http", "ello"),
        ("p3-hello-http", "ello"),
        ("p2-http-kit", "http kit, WASI 0.2"),
        ("p3-http-kit", "http kit, WASI 0.3"),
        ("wagi-env", "env REQUEST_METHOD=GET"),
        ("wagi-script", "Who are you?"),
        ("hello-service", "<"),
    ] {
        let server = Server::guest(name, &[]);
        for version in BOTH {
            let reply = get_over(version, server.addr, "/");
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            assert!(reply.text().contains(said), "{name}: {}", reply.text());
        }
        server.wait_for_log(&["Serving", name]);
    }
}

#[test]
fn the_example_service_streams_its_countdown() {
    let server = Server::guest("hello-service", &[]);
    let hello = server.get("/api/hello?name=Ada");
    assert_eq!(hello.text(), "{\"hello\":\"Ada\",\"wasi\":\"0.3\"}\n");
    assert_eq!(hello.header("content-type"), "application/json");
    wait(async {
        let mut connection = Connection::open(server.addr, Version::H1).await;
        let response = connection.send(request("GET", "/countdown", empty())).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(read(&mut body, 1).await.unwrap(), b"5\n", "the first line comes alone");
        assert_eq!(read(&mut body, 100).await.unwrap(), b"4\n3\n2\n1\ndone\n");
    });
}

#[test]
fn requests_reach_the_guest_as_they_are_and_answers_the_client() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        for version in BOTH {
            let mut asked = request("PATCH", "/headers?a=1&b=%20c", empty());
            asked.headers_mut().insert("x-tag", "one".parse().unwrap());
            asked.headers_mut().append("x-tag", "two".parse().unwrap());
            let seen = ask(version, server.addr, asked).text();
            for line in [
                "method: PATCH\n",
                "path: /headers?a=1&b=%20c\n",
                "scheme: Some(Scheme::H",
                "authority: reef.test\n",
                "header x-tag: one\n",
                "header x-tag: two\n",
            ] {
                assert!(seen.contains(line), "{kit}, {version:?}: no {line:?} in {seen}");
            }
            for (code, text) in [(201, "as asked\n"), (404, "as asked\n"), (599, "as asked\n")] {
                let reply = get_over(version, server.addr, &format!("/status?code={code}"));
                assert_eq!((reply.status, &*reply.text()), (code, text), "{kit}, {version:?}");
            }
            assert_eq!(get_over(version, server.addr, "/nowhere").status, 404);
            let head = ask(version, server.addr, request("HEAD", "/", empty()));
            assert_eq!((head.status, head.body.len()), (200, 0), "{kit}, {version:?}: {head:?}");
        }
    }
}

#[test]
fn a_connection_is_used_again() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        for version in BOTH {
            wait(async {
                let mut connection = Connection::open(server.addr, version).await;
                for _ in 0..50 {
                    assert_eq!(connection.get("/").await.unwrap().status, 200);
                }
            });
        }
        assert_eq!(server.metric("reef_http_connections_total", ""), 2.0);
        assert_eq!(server.metric("reef_requests_total", &format!("workload=\"{kit}\"")), 100.0);
    }
}

/// Sends a piece and waits for it to come back before it sends the next.
fn converse(server: &Server, path: &str, version: Version) {
    wait(async {
        let (send, body) = fed();
        let mut connection = Connection::open(server.addr, version).await;
        let mut asked = request("POST", path, body);
        asked.headers_mut().insert("content-type", "text/x-talk".parse().unwrap());
        let piece = |n: usize| Bytes::from(format!("piece {n} {}\n", "x".repeat(n * 7)));
        send.send(Frame::data(piece(0))).unwrap();
        let response = connection.send(asked).await.unwrap();
        assert_eq!(response.status(), 200, "{path}, {version:?}");
        assert_eq!(response.headers()["content-type"], "text/x-talk");
        let mut body = response.into_body();
        for n in 0..20 {
            let want = piece(n);
            let came = read(&mut body, want.len()).await.unwrap();
            assert_eq!(came, want, "{path}, {version:?}");
            send.send(Frame::data(piece(n + 1))).unwrap();
        }
        drop(send);
        assert_eq!(read(&mut body, usize::MAX).await.unwrap(), piece(20));
    });
}

#[test]
fn bodies_stream_both_ways_at_once() {
    for (name, paths) in [
        ("p2-http-kit", &["/echo"][..]),
        ("p3-http-kit", &["/echo", "/pipe"]),
        ("wagi-echo", &["/"]),
    ] {
        let server = Server::guest(name, &[]);
        for path in paths {
            for version in BOTH {
                converse(&server, path, version);
            }
        }
    }
}

#[test]
fn large_bodies_arrive_whole() {
    let bytes: Bytes = (0..8_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
    for (name, path) in [("p2-http-kit", "/echo"), ("p3-http-kit", "/echo"), ("wagi-echo", "/")] {
        let server = Server::guest(name, &[]);
        for version in BOTH {
            let reply = ask(version, server.addr, request("POST", path, full(bytes.clone())));
            assert!(reply.body == bytes, "{name}, {version:?}: {} bytes", reply.body.len());
            if name != "wagi-echo" {
                let big = get_over(version, server.addr, "/big?mb=32");
                assert_eq!(big.body.len(), 32 << 20, "{name}, {version:?}");
            }
        }
    }
}

#[test]
fn a_client_that_reads_slowly_slows_the_guest_down() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        let before = server.resident();
        for version in BOTH {
            wait(async {
                let mut connection = Connection::open(server.addr, version).await;
                let asked = request("GET", "/big?mb=512", empty());
                let mut body = connection.send(asked).await.unwrap().into_body();
                read(&mut body, 1 << 20).await.unwrap();
                // What the server holds back for this client is bounded, however long it takes.
                for _ in 0..10 {
                    let grown = server.resident().saturating_sub(before);
                    assert!(grown < 128 << 20, "{kit}, {version:?}: {} MiB", grown >> 20);
                    read(&mut body, 4 << 20).await.unwrap();
                }
            });
        }
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 0.0);
    }
}

#[test]
fn trailers_pass_both_ways() {
    for kit in KITS {
        let server = Server::guest(kit, &[]);
        for version in BOTH {
            let (send, body) = fed();
            send.send(Frame::data("12345".into())).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-proof", "sealed".parse().unwrap());
            send.send(Frame::trailers(trailers)).unwrap();
            drop(send);
            let asked = Request::builder()
                .method("POST")
                .uri("/trailers")
                .header("host", "reef.test")
                .header("te", "trailers")
                .header("trailer", "x-proof")
                .body(body)
                .unwrap();
            let reply = ask(version, server.addr, asked);
            assert_eq!(reply.status, 200);
            let text = reply.text();
            assert_eq!(text, "body: 5 bytes\ntrailer x-proof: sealed\n", "{kit}, {version:?}");
            let checksum = reply.trailers.get("x-checksum").map(|value| value.as_bytes());
            assert_eq!(checksum, Some(&b"5"[..]), "{kit}, {version:?}: {reply:?}");
        }
    }
}

#[test]
fn a_body_may_be_written_before_its_response_is_returned() {
    let server = Server::guest("p3-http-kit", &["--deadline", "10s"]);
    for version in BOTH {
        let reply = get_over(version, server.addr, "/written-first");
        assert_eq!((reply.status, reply.text().as_str()), (200, "written first\n"), "{version:?}");
        // Nobody reads the body of a response that was dropped.
        let reply = get_over(version, server.addr, "/second-thoughts");
        let said = "begun: true, refused: 131072\n";
        assert_eq!((reply.status, reply.text().as_str()), (200, said), "{version:?}");
    }
}

#[test]
fn a_websocket_is_refused_and_the_refusal_says_what_to_do() {
    let server = Server::guest("p3-http-kit", &[]);
    let said = raw(
        server.addr,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert!(said.starts_with("HTTP/1.1 501 "), "{said}");
    assert!(said.contains("WebSocket") && said.contains("server-sent events"), "{said}");
    assert_eq!(server.metric("reef_requests_total", ""), 0.0, "no guest has seen it");
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Server::guest("p3-http-kit", &[]);
    let mut client = Raw::connect(server.addr);
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
    );
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
    client.send("hello");
    let said = client.rest();
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("hello"), "{said}");
}

#[test]
fn a_wagi_handler_gets_the_cgi_environment() {
    let server = Server::start([at("/cgi/...", &guest("wagi-env"))]);
    for version in BOTH {
        let mut asked = request("POST", "/cgi/deep/er?q=a+b", full("the body"));
        asked.headers_mut().insert("content-type", "text/x-note".parse().unwrap());
        asked.headers_mut().insert("x-custom-name", "of mine".parse().unwrap());
        let seen = ask(version, server.addr, asked).text();
        for line in [
            "env GATEWAY_INTERFACE=CGI/1.1",
            "env REQUEST_METHOD=POST",
            "env SCRIPT_NAME=/cgi",
            "env PATH_INFO=/deep/er",
            "env QUERY_STRING=q=a+b",
            "env CONTENT_TYPE=text/x-note",
            "env CONTENT_LENGTH=8",
            "env HTTP_X_CUSTOM_NAME=of mine",
            "env HTTP_HOST=reef.test",
            "env SERVER_NAME=reef.test",
            "env REMOTE_ADDR=127.0.0.1",
            "body: 8 bytes: the body",
        ] {
            assert!(seen.lines().any(|one| one == line), "{version:?}: no {line:?} in {seen}");
        }
    }
}

#[test]
fn a_wagi_handler_chooses_status_headers_and_redirects() {
    let server = Server::guest("wagi-status", &[]);
    let reply = server.get("/?status=418&header=x-kind:teapot");
    assert_eq!((reply.status, reply.header("x-kind")), (418, "teapot"), "{reply:?}");
    assert_eq!(reply.text(), "answered 418\n");
    let moved = server.get("/?location=/elsewhere");
    assert_eq!((moved.status, moved.header("location")), (302, "/elsewhere"), "{moved:?}");
    // An answer is an answer, whatever the exit status; the log has it.
    assert_eq!(server.get("/?exit=3").status, 200);
    server.wait_for_log(&["exited with an error", "3"]);
    for bad in ["/?silent", "/?raw=no-header-here", "/?raw=status:+12~~"] {
        let reply = server.get(bad);
        assert_eq!(reply.status, 502, "{bad}: {reply:?}");
    }
    assert_eq!(server.get("/?status=200").status, 200);
}

#[test]
fn each_route_has_its_workload() {
    let (p2, p3) = (guest("p2-http-kit"), guest("p3-http-kit"));
    let files = [
        at("/a/...", &p2),
        at("/a/b/...", &p3),
        at("/exact", &guest("wagi-env")),
        at("other.test/...", &p3),
    ];
    let server = Server::start(files);
    assert_eq!(server.get("/a/none").status, 404, "the guest's own: it has no such route");
    let of = |host: &str, path: &str| -> Reply {
        let mut asked = request("GET", path, empty());
        asked.headers_mut().insert("host", host.parse().unwrap());
        ask(Version::H1, server.addr, asked)
    };
    assert_eq!(of("reef.test", "/a/x").text(), "no such route\n");
    assert_eq!(of("other.test", "/").text(), "http kit, WASI 0.3\n");
    server.wait_for_log(&["Serving", &format!("http://other.test:{}/", server.addr.port())]);
    assert_eq!(of("reef.test", "/exact").status, 200);
    for nothing in ["/", "/exact/more", "/ab"] {
        let reply = of("reef.test", nothing);
        assert_eq!(reply.status, 404);
        assert_eq!(reply.text(), "Nothing is served at this address.\n", "{nothing}");
    }
    let requests = |name: &str| server.metric("reef_requests_total", &format!("\"{name}\""));
    of("reef.test", "/a/b/c");
    // The file that is served twice is two workloads.
    let names = ["p2-http-kit", "p3-http-kit", "p3-http-kit-2", "wagi-env"];
    assert_eq!(names.map(requests), [2.0, 1.0, 1.0, 1.0]);
}

/// An instance answers so many requests and no more, one after the other.
///
/// One that has not come to rest when the next request is there is left alone, however busy the machine is: requests
/// go on until one has answered as many as it may.
#[track_caller]
fn each_instance_answers(most: usize, name: &str, flags: &[&str]) {
    let server = Server::guest(name, &[&["--workers", "1"][..], flags].concat());
    // How many requests were answered by an instance's first, second, ... answer.
    let mut answers = vec![0; most];
    let mut asked = 0;
    eventually("an instance that answers as many as it may", || {
        asked += 1;
        // On the same connection the next request is often there before the instance has had its turn.
        let counted: usize = server.get("/count").text().trim().parse().unwrap();
        assert!(counted <= most, "{name} {flags:?}: an instance's answer number {counted}");
        answers[counted - 1] += 1;
        (asked >= 6 && answers[most - 1] > 0).then_some(())
    });
    assert!(answers.is_sorted_by(|fewer, more| fewer >= more), "{name} {flags:?}: {answers:?}");
    let created = server.metric("reef_instances_created_total", "");
    let reused = server.metric("reef_instances_reused_total", "");
    assert_eq!((created, created + reused), (f64::from(answers[0]), f64::from(asked)));
}

#[test]
fn instances_are_fresh_for_0_2_and_reused_for_0_3() {
    each_instance_answers(1, "p2-http-kit", &[]);
    each_instance_answers(3, "p2-http-kit", &["--reuse", "3"]);
    each_instance_answers(2, "p3-http-kit", &["--reuse", "2"]);
    each_instance_answers(1, "p3-http-kit", &["--reuse", "1"]);
    // One of the two says nothing about the other.
    each_instance_answers(1, "p2-http-kit", &["--concurrent", "8"]);
    // Without either it goes on.
    let server = Server::guest("p3-http-kit", &["--workers", "1"]);
    eventually("an instance's sixth answer", || {
        (server.get("/count").text() == "6\n").then_some(())
    });
}

/// How many instances eight requests at once need, each begun when the one before is in progress.
fn instances_for_eight(name: &str, flags: &[&str]) -> f64 {
    let mut all = vec!["--workers", "1", "--deadline", "5m"];
    all.extend(flags);
    let server = Server::guest(name, &all);
    let mut open = Vec::new();
    for count in 1..=8 {
        let mut client = Raw::connect(server.addr);
        client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        open.push(client);
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == f64::from(count));
    }
    // In progress is a request from before it is given to an instance.
    eventually("an instance for each", || {
        let created = server.metric("reef_instances_created_total", "");
        let reused = server.metric("reef_instances_reused_total", "");
        (created + reused >= 8.0).then_some(created)
    })
}

#[test]
fn an_instance_of_0_3_takes_as_many_requests_at_once_as_configured() {
    // One that is in the middle of something when a request comes is left alone: on a busy machine
    // there may be more instances than are needed.
    assert!(instances_for_eight("p3-http-kit", &[]) < 8.0);
    let four = instances_for_eight("p3-http-kit", &["--concurrent", "4"]);
    assert!((2.0..8.0).contains(&four), "{four}");
    assert_eq!(instances_for_eight("p3-http-kit", &["--concurrent", "1"]), 8.0);
    // WASI 0.2 has no such thing: one request at a time, whatever was asked for.
    assert_eq!(instances_for_eight("p2-http-kit", &["--reuse", "8", "--concurrent", "8"]), 8.0);
}

/// The guest works for an answer until the last of it is delivered, not until its head is out.
#[test]
fn a_request_takes_its_place_in_an_instance_until_its_body_is_delivered() {
    let begin = async |connection: &mut Connection| {
        let (send, body) = fed();
        send.send(Frame::data("x".into())).unwrap();
        let response = connection.send(request("POST", "/echo", body)).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(read(&mut body, 1).await.unwrap(), b"x");
        (send, body)
    };
    let server = Server::guest("p3-http-kit", &["--workers", "1", "--concurrent", "2"]);
    let open = wait(async {
        let mut open = Vec::new();
        for _ in 0..6 {
            let mut connection = Connection::open(server.addr, Version::H1).await;
            open.push((begin(&mut connection).await, connection));
        }
        open
    });
    let created = server.metric("reef_instances_created_total", "");
    assert!((3.0..=6.0).contains(&created), "{created}");
    drop(open);
    // And then the place is free again, as soon as the instance has had its turn.
    let server = Server::guest("p3-http-kit", &["--workers", "1", "--concurrent", "1"]);
    eventually("an instance that has room again", || {
        wait(async {
            let mut connection = Connection::open(server.addr, Version::H1).await;
            let (send, mut body) = begin(&mut connection).await;
            drop(send);
            assert_eq!(read(&mut body, 1).await.unwrap(), b"");
        });
        (server.metric("reef_instances_reused_total", "") >= 5.0).then_some(())
    });
}

#[test]
fn instances_without_work_are_ended() {
    let server = Server::guest("p3-http-kit", &["--instance-idle", "1s"]);
    assert_eq!(server.get("/count").text(), "1\n");
    server.wait_for_metric("reef_guest_memory_bytes", |bytes| bytes == 0.0);
    assert_eq!(server.get("/count").text(), "1\n");
}

#[test]
fn grants_reach_a_served_guest_and_nothing_else_does() {
    for kit in KITS {
        let mut command = crate::server::command(["--env", "GRANTED=yes"]);
        command.arg(guest(kit)).env("SECRET", "no");
        let server = Server::spawn(command);
        assert_eq!(server.get("/env").text(), "env GRANTED=yes\n", "{kit}");
    }
}

#[test]
fn sigterm_lets_requests_finish_and_takes_no_new_ones() {
    for kit in KITS {
        let mut server = Server::guest(kit, &[]);
        let (addr, admin) = (server.addr, server.admin);
        assert_eq!(crate::client::get(admin, "/readyz").status, 200);
        // In progress for as long as their bodies are not at an end.
        let in_flight = BOTH.map(|version| {
            let (send, body) = fed();
            let asked = request("POST", "/echo", body);
            (send, std::thread::spawn(move || ask(version, addr, asked)))
        });
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 2.0);
        server.signal("TERM");
        eventually("the listener's end", || {
            std::net::TcpStream::connect(addr).is_err().then_some(())
        });
        // Load balancers are told, and can still see that the process lives.
        let ready = crate::client::get(admin, "/readyz");
        assert_eq!(ready.status, 503, "{ready:?}");
        assert_eq!(crate::client::get(admin, "/healthz").status, 200);
        for (send, client) in in_flight {
            send.send(Frame::data("awake\n".into())).unwrap();
            drop(send);
            let reply = client.join().unwrap();
            assert_eq!((reply.status, &*reply.text()), (200, "awake\n"), "{kit}");
        }
        assert_eq!(server.ended().code(), Some(0));
        server.wait_for_log(&["Stopped", "2"]);
    }
}

#[test]
fn a_second_signal_stops_at_once_and_so_does_the_end_of_the_drain() {
    for (flags, second) in [(&["--drain", "10m"], true), (&["--drain", "500ms"], false)] {
        let mut server = Server::guest("p3-http-kit", flags);
        let mut client = Raw::connect(server.addr);
        client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        server.wait_for_metric("reef_requests_in_flight", |requests| requests == 1.0);
        server.signal("TERM");
        server.wait_for_log(&["Stopping"]);
        if second {
            server.signal("TERM");
        }
        assert_eq!(server.ended().code(), Some(1), "what was cut shows in the exit status");
    }
}

#[test]
fn sigint_drains_as_well() {
    let mut server = Server::guest("p3-hello-http", &[]);
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
}

/// Middleware adds its header to whatever stands behind it, of 0.3 and 0.2; a failure behind it is a
/// failure there, and the middleware goes on.
#[test]
fn middleware_stands_in_front_of_components() {
    let middleware = guest("p3-middleware");
    for name in ["p3-http-kit", "p2-http-kit"] {
        let mut flags = vec![guest(name).into_os_string()];
        flags.extend(["--middleware".into(), middleware.clone().into_os_string()]);
        let server = Server::start(flags);
        let reply = server.get("/");
        assert!(reply.text().starts_with("http kit"), "{name}: {}", reply.text());
        assert_eq!(reply.header("x-passed-through"), "middleware", "{name}");
        let echoed =
            ask(Version::H1, server.addr, request("POST", "/echo", full("through and back")));
        assert_eq!(echoed.text(), "through and back", "{name}");
        let trapped = server.get("/trap");
        assert_eq!(trapped.status, 500, "{name}");
        assert_eq!(trapped.header("x-passed-through"), "middleware", "{name}");
        assert_eq!(server.get("/").status, 200, "{name}");
        let behind = server.metric("reef_requests_total", &format!("\"{name}\""));
        assert_eq!(behind, 4.0, "{name}: both are metered");
    }
}

/// One of it stands at each route, and metrics tell them apart.
#[test]
fn middleware_at_several_routes_has_a_name_at_each() {
    let kit = guest("p3-http-kit");
    let mut flags = [at("/a/...", &kit), at("/...", &kit)].map(OsString::from).to_vec();
    flags.extend(["--middleware".into(), guest("p3-middleware").into_os_string()]);
    let server = Server::start(flags);
    assert_eq!(server.get("/").header("x-passed-through"), "middleware");
    assert_eq!(server.get("/a").header("x-passed-through"), "middleware");
    for name in ["p3-middleware", "p3-middleware-2", "p3-http-kit", "p3-http-kit-2"] {
        let requests = server.metric("reef_requests_total", &format!("workload=\"{name}\""));
        assert_eq!(requests, 1.0, "{name}");
    }
}

#[test]
fn a_cgi_script_is_told_what_follows_a_route_with_a_parameter() {
    let server = Server::start([at("/users/:id/...", &guest("wagi-env"))]);
    let env = server.get("/users/7/posts/1").text();
    for line in [
        "env SCRIPT_NAME=/users/7\n",
        "env PATH_INFO=/posts/1\n",
        "env X_MATCHED_ROUTE=/users/:id/...\n",
    ] {
        assert!(env.contains(line), "{line:?} is not in\n{env}");
    }
}

#[test]
fn what_is_no_middleware_or_has_nothing_behind_it_is_refused() {
    let alone = refusal([guest("p3-middleware")]);
    assert!(alone.0.contains("--middleware"), "{}", alone.0);
    let (kit, flag) = (guest("p2-http-kit"), PathBuf::from("--middleware"));
    let wrong = refusal([kit.clone(), flag.clone(), kit.clone()]);
    assert!(wrong.0.contains("wasi:http/middleware"), "{}", wrong.0);
    let wagi = refusal([guest("wagi-env"), flag, guest("p3-middleware")]);
    assert!(wagi.0.contains("cannot stand in front of wagi-env"), "{}", wagi.0);
    for (said, status) in [alone, wrong, wagi] {
        assert_eq!(status, 125, "{said}");
    }
}
