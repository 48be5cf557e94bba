//! Connections to real servers: who is let in, and what comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{path::Path, time::Duration};

use reef_capability::{Failure, Settings};
use reef_nats::Connection;
use reef_servers::{Nats, Server};
use tokio::runtime::Handle;

fn connection(url: &str, more: &[(&str, &str)]) -> Connection {
    let all = [&[("url", url)], more].concat();
    let settings: Settings = all.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Connection::new(&settings, Path::new("/"), "test", Handle::current()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_connects_when_it_is_asked_and_comes_back() {
    let mut server = Server::nats(Nats::Newest).unwrap();
    let one = connection(&server.url(), &[]);
    server.kill();
    assert!(matches!(one.client().await, Err(Failure::Unavailable { maybe_done: false, .. })));
    server.start_again().unwrap();
    let first = one.jetstream().await.unwrap();
    first.query_account().await.unwrap();
    for _ in 0..2 {
        server.kill();
        server.start_again().unwrap();
        let again = async {
            loop {
                if let Ok(context) = one.jetstream().await
                    && context.query_account().await.is_ok()
                {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in() {
    let users = "jetstream: enabled\nauthorization: {users: [{user: reef, password: \"hunter2\"}, {user: odd, password: \"a:b@c\"}]}";
    let server = Server::nats_with(Nats::Newest, users).unwrap();
    let url = server.url();
    connection(&url, &[("user", "reef"), ("password", "hunter2")]).jetstream().await.unwrap();
    let with_user = url.replace("//", "//reef:hunter2@");
    connection(&with_user, &[]).client().await.unwrap();
    let odd = url.replace("//", "//odd:a%3Ab%40c@");
    connection(&odd, &[]).client().await.unwrap();
    for wrong in [&[][..], &[("user", "reef"), ("password", "hunter3")], &[("token", "hunter3")]] {
        let refused = connection(&url, wrong).client().await.unwrap_err();
        assert!(matches!(refused, Failure::Denied(_)), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter"), "{refused:?}");
    }

    let server = Server::nats_with(Nats::Oldest, "authorization: {token: hunter2}").unwrap();
    connection(&server.url(), &[("token", "hunter2")]).client().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_lacks_is_named() {
    let server = Server::nats_with(Nats::Newest, "max_payload: 1MB").unwrap();
    let one = connection(&server.url(), &[]);
    one.client().await.unwrap();
    let lacking = one.jetstream().await.err().unwrap();
    assert!(
        matches!(&lacking, Failure::Unsupported(why) if why.contains("no JetStream")),
        "{lacking:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_named() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    // Servers of that age are not to be had: this one says that it is one, and no more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.9.10","go":"x","host":"127.0.0.1","port":1,"max_payload":1048576,"proto":1,"headers":true,"jetstream":true}"#;
            stream.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "PING" {
                    let _ = write.write_all(b"PONG\r\n").await;
                }
            }
        }
    });
    let old = connection(&url, &[]).jetstream().await.err().unwrap();
    assert_eq!(
        old,
        Failure::Unsupported("the NATS server is 2.9.10, and has to be 2.10 or newer".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_a_failure_within_the_deadline() {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            open.push(stream);
        }
    });
    let begun = std::time::Instant::now();
    assert!(matches!(connection(&url, &[]).client().await, Err(Failure::Unavailable { .. })));
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked_against_the_given_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config =
        format!("tls: {{cert_file: '{}', key_file: '{}'}}", certificate.display(), key.display());
    let server = Server::nats_with(Nats::Newest, &config).unwrap();
    let trusted = [("tls-roots", certificate.to_str().unwrap())];
    connection(&server.url(), &trusted).client().await.unwrap();
    let stranger = connection(&server.url(), &[("tls", "true")]).client().await;
    let stranger = stranger.unwrap_err();
    assert!(matches!(stranger, Failure::Unavailable { .. }), "{stranger:?}");
    assert!(stranger.to_string().contains("`tls-roots`"), "{stranger}");
}
