//! `https://…`, and `http://…` from this machine.

use std::time::Duration;

use reef_artifact::Digest;

use crate::{
    Kit,
    server::{Reply, Server, moved, ok, status},
};

const WASM: &[u8] = b"\0asm\x01\0\0\0";
/// The patience with a server that says nothing on purpose; with others there is the usual one.
const STALL: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_has_a_digest_is_fetched_once() {
    let (kit, server) = (Kit::new(), Server::start(|_| ok(WASM)).await);
    let digest = Digest::of(WASM);
    let url = format!("{}#sha256={}", server.url("/a.wasm"), digest.hex());
    for _ in 0..2 {
        let fetched = kit.fetch(&url, None).await.unwrap();
        assert_eq!((fetched.digest, &*fetched.bytes), (digest, WASM));
    }
    assert_eq!(kit.told.taken(), ["begin a.wasm Some(8)", "done 8"]);
    assert_eq!(server.asked(), ["/a.wasm"]);

    // What is damaged is fetched again.
    kit.damage(&digest);
    assert_eq!(kit.fetch(&url, None).await.unwrap().bytes, WASM);
    assert_eq!(server.asked(), ["/a.wasm"]);
    // By its digest alone, it needs nobody.
    server.end().await;
    assert_eq!(kit.fetch(&url, None).await.unwrap().bytes, WASM);
}

#[tokio::test]
async fn what_has_none_is_asked_for_each_time_and_sent_when_it_changed() {
    let server = Server::start(|request| {
        let known = request.headers.get("if-none-match").map(String::as_str);
        let (etag, body) =
            if request.before < 2 { ("\"1\"", WASM) } else { ("\"2\"", &b"new"[..]) };
        match known {
            Some(known) if known == etag => Reply::Full(304, Vec::new(), Vec::new()),
            _ => Reply::Full(200, vec![("etag", etag.to_owned())], body.to_vec()),
        }
    })
    .await;
    let kit = Kit::new();
    let url = server.url("/a.wasm");
    for (bytes, told) in [
        (WASM, &["begin a.wasm Some(8)", "done 8"][..]),
        (WASM, &[]),
        (b"new", &["begin a.wasm Some(3)", "done 3"]),
    ] {
        assert_eq!(kit.fetch(&url, None).await.unwrap().bytes, bytes);
        assert_eq!(kit.told.taken(), told);
    }
    // With nobody to ask, it is what it was last, and that is said.
    server.end().await;
    assert_eq!(kit.fetch(&url, None).await.unwrap().bytes, b"new");
    let told = kit.told.taken();
    assert!(told[0].starts_with(&format!("stale {}", Digest::of(b"new"))), "{told:?}");
    assert!(told[0].contains("refused the connection"), "{told:?}");
    // Nothing else is.
    let other = format!("sha256:{}", "00".repeat(32));
    let error = kit.fetch(&url, Some(&other)).await.unwrap_err().to_string();
    assert!(error.contains("refused the connection"), "{error}");
}

#[tokio::test]
async fn another_digest_is_refused_and_both_are_said() {
    let (kit, server) = (Kit::new(), Server::start(|_| ok(b"something else")).await);
    let digest = Digest::of(WASM).to_string();
    let error = kit.fetch(&server.url("/a.wasm"), Some(&digest)).await.unwrap_err().to_string();
    assert!(error.contains(&digest), "{error}");
    assert!(error.contains(&Digest::of(b"something else").to_string()), "{error}");
    // It would not be otherwise a moment later.
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let mut kit = Kit::new();
    let usual = kit.config.stall;
    let server = Server::start(|request| match (&*request.path, request.before) {
        ("/500", 0) => status(500),
        ("/429", 0) => Reply::Full(429, vec![("retry-after", "0".into())], Vec::new()),
        ("/cut", 0) => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\0asm".into()),
        ("/none", 0) => Reply::Raw(Vec::new()),
        ("/nonsense", 0) => Reply::Raw(b"what?\r\n\r\n".into()),
        ("/stall", 0) => Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n\0asm".into()),
        ("/silent", 0) => Reply::Stall(Vec::new()),
        _ => ok(WASM),
    })
    .await;
    for path in ["/500", "/429", "/cut", "/none", "/nonsense", "/stall", "/silent"] {
        kit.config.stall = if matches!(path, "/stall" | "/silent") { STALL } else { usual };
        let fetched = kit.fetch(&server.url(path), None).await;
        assert_eq!(fetched.unwrap().bytes, WASM, "{path}");
        assert_eq!(server.asked(), [path, path]);
    }
}

#[tokio::test]
async fn what_does_not_pass_ends_and_says_what_happened() {
    let mut kit = Kit::new();
    kit.config.largest = 64 << 10;
    kit.config.tries = 2;
    let usual = kit.config.stall;
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n").into_bytes();
    let server = Server::start(move |request| match &*request.path {
        "/500" => status(500),
        "/401" => status(401),
        "/404" => status(404),
        "/204" => status(204),
        "/slow" => Reply::Stall(head("content-length: 8\r\n")),
        "/cut" => Reply::Raw([&head("content-length: 8\r\n")[..], b"\0asm"].concat()),
        "/endless" => Reply::Endless(head("")),
        "/large" => Reply::Raw(head("content-length: 9999999\r\n")),
        "/packed" => Reply::Full(200, vec![("content-encoding", "gzip".into())], WASM.into()),
        other => panic!("{other}"),
    })
    .await;
    for (path, tries, part) in [
        ("/500", 2, "500 Internal Server Error: try again later"),
        ("/401", 1, "401 Unauthorized: Reef logs in to OCI registries only"),
        ("/404", 1, "has no http://"),
        ("/204", 1, "204 No Content"),
        ("/slow", 2, "stalled for 2s"),
        ("/cut", 2, "the connection was closed"),
        ("/endless", 1, "is larger than 64KiB"),
        ("/large", 1, "is larger than 64KiB"),
        ("/packed", 1, "content-encoding gzip"),
    ] {
        kit.config.stall = if path == "/slow" { STALL } else { usual };
        let error = kit.fetch(&server.url(path), None).await.unwrap_err().to_string();
        assert!(error.contains(part), "{path}: {error}");
        assert!(error.contains(path), "{error}");
        assert_eq!(server.asked().len(), tries, "{path}");
    }
    // The whole has a deadline, too.
    kit.config.whole = Duration::from_millis(100);
    let error = kit.fetch(&server.url("/slow"), None).await.unwrap_err().to_string();
    assert!(error.contains("100ms"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_so_far() {
    let kit = Kit::new();
    let other = Server::start(|_| ok(WASM)).await;
    let elsewhere = other.url("/there.wasm");
    let server = Server::start(move |request| match &*request.path {
        "/a/relative" => moved("../there"),
        "/elsewhere" => moved(&elsewhere),
        "/loop" => moved("/loop"),
        "/nowhere" => moved("http://"),
        "/secret" => moved("http://me:hush@localhost/"),
        // A reserved address: nothing is sent to it, as that would not be encrypted.
        "/plain" => moved("http://192.0.2.1/a.wasm"),
        "/file" => moved("file:///etc/passwd"),
        _ => ok(WASM),
    })
    .await;
    for path in ["/a/relative", "/elsewhere"] {
        assert_eq!(kit.fetch(&server.url(path), None).await.unwrap().bytes, WASM, "{path}");
    }
    for (path, part) in [
        ("/loop", "sends on more than 5 times"),
        ("/nowhere", "sends on to what is no address"),
        ("/secret", "sends on to what is no address"),
        ("/plain", "--insecure-registry 192.0.2.1"),
        ("/file", "sends on to what is no address"),
    ] {
        let error = kit.fetch(&server.url(path), None).await.unwrap_err().to_string();
        assert!(error.contains(part), "{path}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_sent_unencrypted_to_another_machine_unless_it_is_named() {
    let mut kit = Kit::new();
    kit.config.connect = Duration::from_millis(50);
    kit.config.tries = 1;
    let error = kit.fetch("http://192.0.2.1/a.wasm", None).await.unwrap_err().to_string();
    assert!(error.contains("is not encrypted") && error.contains("https"), "{error}");
    for named in ["192.0.2.1", "192.0.2.1:80"] {
        kit.config.insecure = vec![named.to_owned()];
        let error = kit.fetch("http://192.0.2.1/a.wasm", None).await.unwrap_err().to_string();
        assert!(!error.contains("is not encrypted"), "{error}");
    }
}
