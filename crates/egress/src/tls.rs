//! TLS: whom a connection trusts.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::error::chain;

/// The machine's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` where set), read at the first
/// use in this process.
static NATIVE_ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();

/// A TLS configuration for servers that do not speak HTTP, which trusts the machine's roots.
///
/// # Errors
/// When the machine has none. The text is for people.
pub async fn tls_client() -> Result<Arc<ClientConfig>, String> {
    trusting(&[], &[]).await
}

/// A TLS configuration for HTTP that trusts the machine's roots and `extra`. The error is for people.
pub(crate) async fn client_config(
    extra: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, String> {
    trusting(extra, &[b"h2", b"http/1.1"]).await
}

async fn trusting(
    extra: &[CertificateDer<'static>],
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, String> {
    let native = NATIVE_ROOTS
        .get_or_init(|| async {
            // Hundreds of files on some systems: not on a thread that serves requests.
            let read = tokio::task::spawn_blocking(|| {
                let mut roots = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "a root certificate cannot be read");
                }
                roots.add_parsable_certificates(found.certs);
                roots
            });
            Arc::new(read.await.unwrap_or_else(|_| RootCertStore::empty()))
        })
        .await;

    let mut roots = Arc::clone(native);
    if !extra.is_empty() {
        let store = Arc::make_mut(&mut roots);
        for certificate in extra {
            store.add(certificate.clone()).map_err(|error| {
                format!("an additional root certificate is not valid: {}", chain(&error))
            })?;
        }
    }
    if roots.is_empty() {
        return Err("this machine has no root certificates; install them (package \
                    `ca-certificates`) or set `SSL_CERT_FILE`"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| chain(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
