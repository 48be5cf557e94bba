//! TLS: both versions of HTTP by ALPN, and certificates that change while the server runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{BOTH, Connection, Reply, Version, in_time, raw, wait};
use crate::server::Server;
use crate::support::eventually;

/// A certificate and its key in files, as `--tls-cert` and `--tls-key` take them.
struct Files {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let der = issue(folder.path());
        Self { folder, der }
    }

    fn flags(&self) -> [String; 4] {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        ["--tls-cert".into(), path("cert.pem"), "--tls-key".into(), path("key.pem")]
    }

    /// Replaces both files with a certificate of another issue.
    fn replace(&mut self) {
        self.der = issue(self.folder.path());
    }
}

fn issue(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["reef.test".to_owned()]).unwrap();
    // As tools do it: written aside, then moved into place.
    let place = |name: &str, text: String| {
        let aside: PathBuf = folder.join(format!("{name}.new"));
        fs::write(&aside, text).unwrap();
        fs::rename(aside, folder.join(name)).unwrap();
    };
    place("key.pem", made.signing_key.serialize_pem());
    place("cert.pem", made.cert.pem());
    made.cert.der().clone()
}

async fn connect(
    addr: SocketAddr,
    trusted: &CertificateDer<'static>,
    version: Version,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = match version {
        Version::H1 => vec![b"http/1.1".to_vec()],
        // Offers both: the server prefers HTTP/2.
        Version::H2 => vec![b"http/1.1".to_vec(), b"h2".to_vec()],
    };
    let stream = tokio::net::TcpStream::connect(addr).await?;
    let name = ServerName::try_from("reef.test").unwrap();
    in_time(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

fn get(
    addr: SocketAddr,
    trusted: &CertificateDer<'static>,
    version: Version,
    path: &str,
) -> Option<Reply> {
    wait(async {
        let stream = connect(addr, trusted, version).await.ok()?;
        let agreed: &[u8] = match version {
            Version::H1 => b"http/1.1",
            Version::H2 => b"h2",
        };
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
        Some(Connection::over(stream, version).await.get(path).await.unwrap())
    })
}

fn serve(kit: &str, files: &Files) -> Server {
    let mut args = files.flags().to_vec();
    args.push(crate::support::guest(kit).display().to_string());
    Server::start(args)
}

#[test]
fn both_versions_are_spoken_by_alpn_and_the_guest_sees_https() {
    for kit in ["p2-http-kit", "p3-http-kit"] {
        let files = Files::new();
        let server = serve(kit, &files);
        server.wait_for_log(&["https://127.0.0.1:"]);
        for version in BOTH {
            let seen = get(server.addr, &files.der, version, "/headers").unwrap().text();
            assert!(seen.contains("scheme: Some(Scheme::Https)"), "{kit}, {version:?}: {seen}");
            assert!(seen.contains("authority: reef.test\n"), "{seen}");
        }
    }
    let files = Files::new();
    let server = serve("wagi-env", &files);
    let seen = get(server.addr, &files.der, Version::H2, "/").unwrap().text();
    assert!(seen.contains("env X_FULL_URL=https://reef.test:"), "{seen}");
}

#[test]
fn a_client_that_speaks_no_tls_or_trusts_another_is_refused() {
    let (files, other) = (Files::new(), Files::new());
    let server = serve("p3-http-kit", &files);
    let said = raw(server.addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!said.contains("http kit"), "{said}");
    assert!(get(server.addr, &other.der, Version::H2, "/").is_none());
    server.wait_for_metric("reef_http_tls_failures_total", |count| count == 2.0);
    assert_eq!(get(server.addr, &files.der, Version::H2, "/").unwrap().status, 200);
}

#[test]
fn a_new_certificate_is_used_when_the_files_change() {
    let mut files = Files::new();
    let server = serve("p3-http-kit", &files);
    let old = files.der.clone();
    let mut kept = wait(async {
        let stream = connect(server.addr, &old, Version::H2).await.unwrap();
        Connection::over(stream, Version::H2).await
    });
    // Found by looking at the files.
    files.replace();
    eventually("the new certificate", || get(server.addr, &files.der, Version::H2, "/"));
    assert!(get(server.addr, &old, Version::H2, "/").is_none());
    // Told by a signal.
    files.replace();
    server.signal("HUP");
    eventually("the next certificate", || get(server.addr, &files.der, Version::H1, "/"));
    assert_eq!(wait(kept.get("/")).unwrap().status, 200, "open connections go on");
    // A file that is no certificate changes nothing, and is complained about.
    fs::write(files.folder.path().join("cert.pem"), "nothing").unwrap();
    server.signal("HUP");
    server.wait_for_log(&["old certificate stays in use", "cert.pem"]);
    assert_eq!(get(server.addr, &files.der, Version::H2, "/").unwrap().status, 200);
}
