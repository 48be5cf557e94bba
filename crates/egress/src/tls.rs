//! TLS: whom a connection trusts, and as whom it comes.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use crate::error::chain as chain_of;

/// The machine's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` where set), read at the first
/// use in this process.
static NATIVE_ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();

/// A TLS configuration for servers that do not speak HTTP, which trusts the machine's roots.
///
/// # Errors
/// When the machine has none. The text is for people.
pub async fn tls_client() -> Result<Arc<ClientConfig>, String> {
    trusting(&Tls::default(), &[]).await
}

/// A TLS configuration for HTTP. The error is for people.
pub(crate) async fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    trusting(tls, &[b"h2", b"http/1.1"]).await
}

/// Whom a client trusts, and as whom it comes. By default the machine's roots, and as nobody.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Trusted beside the machine's root certificates.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Trusted in place of the machine's.
    pub only_roots: Option<Vec<CertificateDer<'static>>>,
    /// Shown to servers that ask who is there.
    pub identity: Option<Identity>,
}

/// A client's certificate and its key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// The certificate, with those that lead to its root, and its key: text as `PEM` files have it.
    ///
    /// # Errors
    /// What is wrong with either, or that one does not belong to the other. The text is for people.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(cert).map_err(IdentityError::Cert)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| IdentityError::Key(chain_of(&error)))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider)
            .map(|certified| Self(Arc::new(certified)))
            .map_err(|error| IdentityError::Key(chain_of(&error)))
    }
}

/// Which of the two texts of an [`Identity`] cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("{0}")]
    Cert(String),
    #[error("{0}")]
    Key(String),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The certificates in a `PEM` text: at least one.
///
/// # Errors
/// When one cannot be read, or there is none. The text is for people.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| chain_of(&error))?;
    if all.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(all)
}

async fn native_roots() -> Arc<RootCertStore> {
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
    Arc::clone(native)
}

async fn trusting(tls: &Tls, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
    let (mut roots, extra) = match &tls.only_roots {
        Some(only) => (Arc::new(RootCertStore::empty()), only),
        None => (native_roots().await, &tls.extra_roots),
    };
    if !extra.is_empty() {
        let store = Arc::make_mut(&mut roots);
        for certificate in extra {
            store.add(certificate.clone()).map_err(|error| {
                format!("an additional root certificate is not valid: {}", chain_of(&error))
            })?;
        }
    }
    if roots.is_empty() {
        return Err("this machine has no root certificates; install them (package \
                    `ca-certificates`) or set `SSL_CERT_FILE`"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| chain_of(&error))?
        .with_root_certificates(roots);
    let mut config = match &tls.identity {
        Some(Identity(key)) => {
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))))
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}
