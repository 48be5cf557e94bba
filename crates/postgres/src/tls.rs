//! TLS to a server: whom it trusts.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Certificates that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// What was given as an authority's certificate is none.
    #[error("the authority's certificate cannot be read: {0}")]
    Authority(String),
    /// The machine trusts nobody.
    #[error(
        "this machine has no root certificates: install them (package `ca-certificates`), set `SSL_CERT_FILE`, or give \
         the authority's certificate"
    )]
    NoRoots,
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The machine's roots, read once. It reads files.
fn native() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// Trusts the machine's roots, or instead those in `authority`, as PEM.
pub(crate) fn client(authority: Option<&str>) -> Result<ClientConfig, TlsError> {
    let roots = match authority {
        None => native().clone(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate =
                    certificate.map_err(|error| TlsError::Authority(error.to_string()))?;
                roots.add(certificate).map_err(|error| TlsError::Authority(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(TlsError::Authority("it holds no certificate in PEM".to_owned()));
            }
            roots
        }
    };
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
