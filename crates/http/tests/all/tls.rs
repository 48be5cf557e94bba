//! TLS, ALPN and certificates that change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reef_http::{CertificateFiles, Tls, TlsError};
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, TestServer, in_time};

struct Files {
    _dir: TempDir,
    cert: PathBuf,
    key: PathBuf,
}

struct Issued {
    der: CertificateDer<'static>,
    cert: String,
    key: String,
}

fn issue() -> Issued {
    issue_for("localhost")
}

fn issue_for(host: &str) -> Issued {
    let issued = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    Issued {
        der: issued.cert.der().clone(),
        cert: issued.cert.pem(),
        key: issued.signing_key.serialize_pem(),
    }
}

fn files(issued: &Issued) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, &issued.cert).unwrap();
    std::fs::write(&key, &issued.key).unwrap();
    Files { _dir: dir, cert, key }
}

async fn connect(
    server: &TestServer,
    trusted: &Issued,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to(server, "localhost", trusted, alpn).await
}

async fn connect_to(
    server: &TestServer,
    host: &'static str,
    trusted: &Issued,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.der.clone()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let mut config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.addr).await?;
    let name = ServerName::try_from(host).unwrap();
    in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

fn serve(files: &Files) -> TestServer {
    let tls = Tls::load(&files.cert, &files.key).unwrap();
    TestServer::with(|config| config.tls = Some(tls))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_protocol_is_chosen_by_alpn() {
    let issued = issue();
    let files = files(&issued);
    let server = serve(&files);

    let stream = connect(&server, &issued, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/peer").body(Empty::<Bytes>::new()).unwrap();
    let response = in_time(sender.send_request(request)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b" true"), "{body:?}");

    for alpn in [&["http/1.1"][..], &[]] {
        let mut stream = connect(&server, &issued, alpn).await.unwrap();
        let request = b"GET /peer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        in_time(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(" true"), "{answer}");
    }
    assert!(connect(&server, &issued, &["spdy/3"]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_fail_or_stall_are_ended() {
    let issued = issue();
    let files = files(&issued);
    let tls = Tls::load(&files.cert, &files.key).unwrap();
    let server = TestServer::with(|config| {
        config.tls = Some(tls);
        config.limits.tls_handshake_timeout = Duration::from_secs(3);
    });
    let plain = tokio::task::spawn_blocking({
        let addr = server.addr;
        move || {
            let silent = Client::connect(addr);
            let mut plain = Client::connect(addr);
            plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            (plain.rest(), silent.rest())
        }
    });
    let (plain, silent) = in_time(plain).await.unwrap();
    assert!(!plain.contains("HTTP"), "{plain:?}");
    assert_eq!(silent, "");
    server.wait("both", |stats| stats.tls_failures == 2 && stats.connections_open == 0);
    connect(&server, &issued, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_seen_below_tls() {
    let issued = issue();
    let files = files(&issued);
    let server = serve(&files);
    for farewell in [false, true] {
        let mut stream = connect(&server, &issued, &["http/1.1"]).await.unwrap();
        stream.write_all(b"GET /gate HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        server.wait("the request", |stats| stats.requests_in_flight == 1);
        if farewell {
            // TLS's own way of saying that nothing more comes: whoever says so is answered.
            stream.shutdown().await.unwrap();
        }
        stream.get_ref().0.set_zero_linger().unwrap();
        drop(stream);
        server
            .wait("its end", |stats| stats.requests_in_flight == 0 && stats.connections_open == 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_taken_from_the_files() {
    let (old, new) = (issue(), issue());
    let files = files(&old);
    let server = serve(&files);
    let mut before = connect(&server, &old, &[]).await.unwrap();
    assert!(connect(&server, &new, &[]).await.is_err());
    std::fs::write(&files.cert, &new.cert).unwrap();
    std::fs::write(&files.key, &new.key).unwrap();
    in_time(async {
        while connect(&server, &new, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // The connection from before goes on.
    before.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    in_time(before.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("hello /x"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_pair_leaves_the_old_one_in_use() {
    let (old, new) = (issue(), issue());
    let files = files(&old);
    let tls = Tls::load(&files.cert, &files.key).unwrap();
    assert!(!tls.reload().unwrap(), "nothing changed");
    let server = {
        let tls = tls.clone();
        TestServer::with(|config| config.tls = Some(tls))
    };
    std::fs::write(&files.cert, &new.cert).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
    assert!(!tls.reload().unwrap(), "the same files are not tried again");
    connect(&server, &old, &[]).await.unwrap();
    std::fs::remove_file(&files.key).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Read { .. })));
    connect(&server, &old, &[]).await.unwrap();
    std::fs::write(&files.key, &new.key).unwrap();
    assert!(tls.reload().unwrap());
    connect(&server, &new, &[]).await.unwrap();
}

fn of(files: &Files) -> CertificateFiles {
    CertificateFiles { cert: files.cert.clone(), key: files.key.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_host_has_its_own_certificate() {
    let (one, below, other) = (issue_for("a.example"), issue_for("*.b.example"), issue());
    let (one_files, below_files, other_files) = (files(&one), files(&below), files(&other));
    let hosts = || [("A.example", of(&one_files)), ("*.b.example.", of(&below_files))];
    let with_default = Tls::for_hosts(hosts(), Some(of(&other_files))).unwrap();
    let server = {
        let tls = with_default.clone();
        TestServer::with(|config| config.tls = Some(tls))
    };
    connect_to(&server, "a.example", &one, &[]).await.unwrap();
    connect_to(&server, "x.b.example", &below, &[]).await.unwrap();
    connect_to(&server, "localhost", &other, &[]).await.unwrap();
    // The certificate of another host is not shown.
    assert!(connect_to(&server, "a.example", &other, &[]).await.is_err());
    assert!(connect_to(&server, "b.example", &below, &[]).await.is_err());

    // Each is renewed by itself, also while the files of another are wrong.
    let renewed = issue_for("*.b.example");
    std::fs::remove_file(&one_files.key).unwrap();
    std::fs::write(&below_files.cert, &renewed.cert).unwrap();
    std::fs::write(&below_files.key, &renewed.key).unwrap();
    let error = with_default.reload().unwrap_err().to_string();
    assert!(error.contains(one_files.key.to_str().unwrap()), "{error}");
    connect_to(&server, "x.b.example", &renewed, &[]).await.unwrap();
    connect_to(&server, "a.example", &one, &[]).await.unwrap();

    std::fs::write(&one_files.key, &one.key).unwrap();
    let strict = Tls::for_hosts(hosts(), None).unwrap();
    let server = TestServer::with(|config| config.tls = Some(strict));
    connect_to(&server, "a.example", &one, &[]).await.unwrap();
    assert!(connect_to(&server, "localhost", &other, &[]).await.is_err());
}

#[test]
fn hosts_are_named_once_and_by_name() {
    let files = files(&issue());
    for host in ["", "*", "*.", "a b", "127.0.0.1", "[::1]", "a.*.b", "a:443", "**.a"] {
        let error = Tls::for_hosts([(host, of(&files))], None).unwrap_err();
        assert!(matches!(error, TlsError::Host { .. }), "{host}: {error}");
    }
    let twice = [("a.example", of(&files)), ("A.example.", of(&files))];
    assert!(matches!(Tls::for_hosts(twice, None), Err(TlsError::HostRepeated { .. })));
    assert!(matches!(Tls::for_hosts([], None), Err(TlsError::None)));
    let missing = CertificateFiles { cert: "/none/c.pem".into(), key: "/none/k.pem".into() };
    let error = Tls::for_hosts([("a.example", missing)], Some(of(&files))).unwrap_err();
    assert!(error.to_string().contains("/none/c.pem"));
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let (one, other) = (issue(), issue());
    let files = files(&one);
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    let error = || Tls::load(&files.cert, &files.key).unwrap_err().to_string();

    write(&files.key, &other.key);
    assert!(error().contains("key.pem") && error().contains("does not belong"), "{}", error());
    write(&files.key, "");
    assert!(error().contains("key.pem holds no private key"), "{}", error());
    write(&files.key, &one.cert);
    assert!(error().contains("key.pem holds no private key"), "{}", error());
    write(&files.key, "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n");
    assert!(error().contains("key.pem is not valid PEM"), "{}", error());
    write(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    assert!(error().contains("key.pem cannot be used"), "{}", error());
    write(&files.key, &one.key);
    write(&files.cert, &one.key);
    assert!(error().contains("cert.pem holds no certificate"), "{}", error());
    write(&files.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(error().contains("cert.pem cannot be used"), "{}", error());
    std::fs::remove_file(&files.cert).unwrap();
    assert!(error().contains("could not read") && error().contains("cert.pem"), "{}", error());
}
