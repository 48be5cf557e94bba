//! What reaches the server and the guest: headers, TLS and protocol versions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::Write;
use std::sync::Arc;

use http::{Request, Version};
use http_body_util::{BodyExt, Empty, Full};
use reef_egress::{Client, SendError, Timeouts};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use support::{Server, client, client_with, fetch, get, send, text};

type Signed = rcgen::CertifiedKey<rcgen::KeyPair>;

/// Answers with the version, the authority and the headers that arrived.
async fn mirror(tls: Option<Arc<rustls::ServerConfig>>) -> Server {
    Server::start(tls, |request| async move {
        let mut lines = vec![format!("{:?} {}", request.version(), request.uri())];
        for (name, value) in request.headers() {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
        lines.sort();
        let mut answer = text(&lines.join("\n"));
        let headers = answer.headers_mut();
        headers.insert("x-kept", "1".parse().unwrap());
        if request.version() == Version::HTTP_11 {
            headers.insert("keep-alive", "timeout=5".parse().unwrap());
            headers.insert("x-hop", "1".parse().unwrap());
            headers.insert("connection", "x-hop".parse().unwrap());
        }
        answer
    })
    .await
}

async fn sent(client: &Client, request: http::request::Builder) -> Vec<String> {
    let request = request.body(Empty::new()).unwrap();
    let response = client.send(request, Timeouts::default()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_guest_cannot_set_what_belongs_to_the_connection() {
    let server = mirror(None).await;
    let client = client(&[&server.grant()]);
    let request = Request::get(server.url("/p?q"))
        .header("host", "other.example")
        .header("connection", "x-hop, close")
        .header("x-hop", "1")
        .header("transfer-encoding", "chunked")
        .header("upgrade", "websocket")
        .header("te", "trailers")
        .header("x-kept", "1");
    assert_eq!(
        sent(&client, request).await,
        [
            "HTTP/1.1 /p?q".to_owned(),
            format!("host: {}", server.addr),
            "te: trailers".to_owned(),
            "x-kept: 1".to_owned()
        ]
    );
}

#[tokio::test]
async fn headers_of_the_connection_do_not_reach_the_guest() {
    let server = mirror(None).await;
    let response = send(&client(&[&server.grant()]), &server.url("/")).await.unwrap();
    let headers = response.headers();
    assert!(headers.contains_key("x-kept"));
    for dropped in ["connection", "keep-alive", "x-hop", "transfer-encoding"] {
        assert!(!headers.contains_key(dropped), "{dropped}");
    }
}

#[tokio::test]
async fn framing_that_contradicts_itself_is_not_sent() {
    let server = Server::hello().await;
    let client = client(&[&server.grant()]);
    for lengths in [&["5", "6"][..], &["5", "5"], &["+5"], &[""], &["5, 5"]] {
        let mut request = Request::post(server.url("/"));
        for length in lengths {
            request = request.header("content-length", *length);
        }
        let request = request.body(Full::from("hello")).unwrap();
        let error = client.send(request, Timeouts::default()).await.unwrap_err();
        assert!(matches!(error, SendError::ProtocolError(_)), "{error:?}");
    }
    let request = Request::connect(server.url("/")).body(Empty::new()).unwrap();
    let error = client.send(request, Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, SendError::ProtocolError(_)), "{error:?}");
    assert_eq!(server.connections(), 0);
}

/// A certificate for `localhost`, and a server that has it.
fn localhost_tls(protocols: &[&str]) -> (CertificateDer<'static>, Arc<rustls::ServerConfig>) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (signed.cert.der().clone(), server_tls(&signed, protocols))
}

fn server_tls(signed: &Signed, protocols: &[&str]) -> Arc<rustls::ServerConfig> {
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn the_server_chooses_http2_or_http1() {
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&[], "HTTP/1.1")] {
        let (root, tls) = localhost_tls(protocols);
        let server = mirror(Some(tls)).await;
        let url = format!("https://localhost:{}/", server.addr.port());
        let client =
            client_with(&[url.trim_end_matches('/')], |config| config.tls.extra_roots = vec![root]);
        for _ in 0..3 {
            let lines = sent(&client, Request::get(&url)).await;
            assert!(lines[0].starts_with(version), "{lines:?}");
        }
        assert_eq!(server.connections(), 1, "one connection for all");
    }
}

#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let (root, tls) = localhost_tls(&["h2"]);
    let server = mirror(Some(tls)).await;
    let url = format!("https://localhost:{}/", server.addr.port());
    let client = client_with(&[url.trim_end_matches('/')], |config| {
        config.tls.extra_roots = vec![root];
        config.max_connections = 1;
    });
    fetch(&client, &url).await.unwrap();
    let answers = futures::future::join_all((0..32).map(|_| fetch(&client, &url))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_not_theirs_is_refused() {
    let (root, tls) = localhost_tls(&[]);
    let server = mirror(Some(tls)).await;
    let port = server.addr.port();
    let (other, _) = localhost_tls(&[]);
    let grant = format!("localhost:{port}");
    for (trusted, host) in [(other, "localhost"), (root, "127.0.0.1")] {
        let client = client_with(&[&grant], |config| config.tls.extra_roots = vec![trusted]);
        let url = format!("https://{host}:{port}/");
        let error = client.send(get(&url), Timeouts::default()).await.unwrap_err();
        assert!(matches!(error, SendError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

/// The environment of a process is read once: the client is in a process of its own, this test again.
#[tokio::test]
async fn the_roots_of_ssl_cert_file_are_trusted() {
    const URL: &str = "REEF_EGRESS_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let client = client_with(&[url.trim_end_matches('/')], |_| {});
        fetch(&client, &url).await.unwrap();
        return;
    }
    let localhost = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = mirror(Some(server_tls(&localhost, &[]))).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(localhost.cert.pem().as_bytes()).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "the_roots_of_ssl_cert_file_are_trusted"])
        .env("SSL_CERT_FILE", file.path())
        .env_remove("SSL_CERT_DIR")
        .env(URL, format!("https://localhost:{}/", server.addr.port()));
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.connections(), 1);
}
