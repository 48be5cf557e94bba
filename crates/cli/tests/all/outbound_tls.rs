//! Requests that guests send over TLS: whom a workload trusts, and as whom it comes.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    client::RUNTIME,
    host::{Host, folder},
    process::finish,
    support::reef,
};

const GUEST: &[(&str, &str)] = &[("kit.wasm", "p2-http-kit")];

/// A server that answers only who has a certificate of its own authority; `ca.pem`, `client.pem` and `client.key` are
/// put into the folder.
fn demanding(folder: &Path) -> SocketAddr {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let (server, client) = (issue("localhost"), issue("client"));
    for (file, text) in [
        ("ca.pem", authority.pem()),
        ("client.pem", client.0.pem()),
        ("client.key", client.1.serialize_pem()),
        ("other.key", server.1.serialize_pem()),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server.1.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.0.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer =
                    "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nwelcome";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    addr
}

fn manifest(addr: SocketAddr, tls: &str) -> String {
    let port = addr.port();
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\ntrigger.http.route = '/...'\n\
         egress = ['https://localhost:{port}']\n{tls}\n"
    )
}

#[test]
fn a_workload_trusts_the_roots_and_shows_the_certificate_that_it_was_given() {
    let dir = folder(GUEST, "");
    let addr = demanding(dir.path());
    let whole = "tls = { roots = 'ca.pem', cert = 'client.pem', key = 'client.key' }";
    fs::write(dir.path().join("reef.toml"), manifest(addr, whole)).unwrap();
    let host = Host::start(dir);
    let path = format!("/outbound?url=https://localhost:{}/", addr.port());
    assert_eq!(host.server.get(&path).text(), "welcome");
    // Known, but nobody: the server does not answer. Unknown to the workload: it does not ask.
    for tls in ["tls = { roots = 'ca.pem' }", ""] {
        host.write("reef.toml", &manifest(addr, tls));
        host.told(&["apply"]);
        let refused = host.server.get(&path);
        assert_eq!(refused.status, 502, "{tls}: {refused:?}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_runs() {
    let dir = folder(GUEST, "");
    let addr = demanding(dir.path());
    for (tls, says) in [
        ("tls = { roots = 'nowhere.pem' }", "nowhere.pem"),
        (
            "tls = { roots = 'client.key' }",
            "client.key cannot be used for TLS: there is no certificate in it",
        ),
        ("tls = { cert = 'client.pem', key = 'ca.pem' }", "ca.pem cannot be used for TLS"),
        ("tls = { cert = 'client.pem', key = 'other.key' }", "other.key cannot be used for TLS"),
        ("tls = { cert = 'client.pem' }", "`key` is missing"),
        ("tls = { key = 'client.key' }", "`cert` is missing"),
    ] {
        fs::write(dir.path().join("reef.toml"), manifest(addr, tls)).unwrap();
        let mut up = reef();
        up.args(["up", "--addr", "127.0.0.1:0", "--no-data"]).current_dir(dir.path());
        let ended = finish(up, b"");
        assert_ne!(ended.status(), 0, "{tls}");
        assert!(ended.stderr.contains(says), "{tls}: {}", ended.stderr);
    }
}
