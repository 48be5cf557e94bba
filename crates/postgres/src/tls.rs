//! TLS to a server: whom it trusts.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsError {
    /// What was given as an authority's certificate is none.
    #[error("the authority's certificate cannot be read: {0}")]
    Authority(String),
    /// The machine trusts nobody.
    #[error("{0}, or give the authority's certificate")]
    NoRoots(String),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Trusts the machine's roots, or instead those in `authority`, as PEM.
pub(crate) async fn client(authority: Option<&str>) -> Result<ClientConfig, TlsError> {
    let Some(pem) = authority else {
        let shared = reef_egress::tls_client().await.map_err(TlsError::NoRoots)?;
        return Ok(Arc::unwrap_or_clone(shared));
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| TlsError::Authority(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Authority(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Authority("it holds no certificate in PEM".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
