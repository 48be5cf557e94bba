//! Requests that guests send over TLS: whom a workload trusts, and as whom it comes.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reef_servers::{Certificates, Clients, Server};
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

/// For a server that lets in only who has a certificate of its own authority; `ca.pem`, `client.pem` and `client.key`
/// are put into the folder.
pub(crate) fn demanding_config(folder: &Path) -> ServerConfig {
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
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.0.der().clone()], key)
        .unwrap()
}

/// A server that answers whom it lets in.
fn demanding(folder: &Path) -> SocketAddr {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(demanding_config(folder)));
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

#[test]
fn a_link_over_tls_that_is_not_trusted_says_which_it_is_and_what_it_lacks() {
    let redis = Server::redis_over_tls(Clients::Certified).unwrap();
    let (url, Certificates { ca, cert, key }) = (redis.url(), redis.certificates());
    let manifest = |tls: &str| {
        format!(
            "name = 'shop'\n[[workload]]\nname = 'kv'\nsource = 'kv.wasm'\ntrigger.http.route = '/...'\n\
             link = [{{ import = 'fermyon:spin', name = 'cache', capability = 'key-value', \
             config = {{ backend = 'redis', url = '{url}', retries = '0'{tls} }} }}]\n\
             [variables.key]\nsecret = true\n"
        )
    };
    let dir = folder(&[("kv.wasm", "p2-spin-key-value")], &manifest(""));
    for (name, file) in [("ca.pem", &ca), ("client.pem", &cert)] {
        fs::copy(file, dir.path().join(name)).unwrap();
    }
    let key = format!("key={}", fs::read_to_string(key).unwrap());
    let host = Host::with(dir, &["--var", &key]);
    let get = || host.server.get("/spin2/get/cache/k").text();
    assert!(get().contains("Error"), "{}", get());
    let said = host.server.wait_for_log(&["`tls-roots`"]);
    assert_eq!(said["workload"], "shop/kv", "{said}");
    assert_eq!(said["link"], "cache", "{said}");

    // A secret by reference, files by their names.
    let all = ", tls-roots = 'ca.pem', tls-cert = 'client.pem', tls-key = '{{ key }}'";
    host.write("reef.toml", &manifest(all));
    host.told(&["apply", "--var", &key]);
    assert_eq!(get(), "None");
    // Another authority in the same file is another one to trust.
    fs::copy(host.path("client.pem"), host.path("ca.pem")).unwrap();
    host.told(&["apply", "--var", &key]);
    assert!(get().contains("Error"), "{}", get());
}

#[test]
fn triggers_trust_and_come_as_their_workload_does() {
    let (redis, mqtt) = (
        Server::redis_over_tls(Clients::Certified).unwrap(),
        Server::mosquitto_over_tls(Clients::Certified).unwrap(),
    );
    let workload = |name: &str, server: &Server, trigger: &str| {
        let Certificates { ca, cert, key } = server.certificates();
        format!(
            "[[workload]]\nname = '{name}'\nsource = 'cat.wasm'\n\
             tls = {{ roots = '{}', cert = '{}', key = '{}' }}\n\
             trigger.{name} = {{ address = '{}', {trigger} }}\n",
            ca.display(),
            cert.display(),
            key.display(),
            server.url()
        )
    };
    let workloads =
        [workload("redis", &redis, "channel = 'news'"), workload("mqtt", &mqtt, "topic = 'news'")];
    let manifest = format!("name = 'shop'\n{}", workloads.concat());
    let host = Host::start(folder(&[("cat.wasm", "p1-cat")], &manifest));
    for name in ["shop/redis", "shop/mqtt"] {
        host.server.wait_for_log(&["Messages come from now on.", name]);
    }
}
