//! TLS: whom a connection trusts, and as whom it comes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::error::chain as chain_of;

/// The machine's root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` where set), read at the first
/// use in this process.
static NATIVE_ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Whom a client trusts, and as whom it comes. By default the machine's roots, and as nobody. There is no
/// way to trust everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
pub struct Identity(Arc<Shown>);

struct Shown {
    certified: Arc<CertifiedKey>,
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Which of the texts of a [`Tls`] cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The roots.
    #[error("{0}")]
    Roots(String),
    /// The client's certificate.
    #[error("{0}")]
    Cert(String),
    /// Its key.
    #[error("{0}")]
    Key(String),
}

/// Makes what a [`Tls`] says of use when it is first needed, for connections that begin encrypted and for those
/// that become so. Cheap to clone; clones share the sessions that servers let them resume.
#[derive(Clone, Default)]
pub struct TlsClient(Arc<Made>);

#[derive(Default)]
struct Made {
    tls: Tls,
    config: OnceCell<Arc<ClientConfig>>,
}

/// Trusts whom the library would with these roots, which are read when the first server shows who it is: many
/// connections never need them.
#[derive(Debug)]
struct Verifier {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    made: OnceLock<Result<Arc<WebPkiServerVerifier>, String>>,
}

// === impl Tls ===

impl Tls {
    /// What the texts of `PEM` files say: certificates to trust in place of the machine's, and a client's
    /// certificate (with those that lead to its root) with its key.
    ///
    /// # Errors
    /// What is wrong with which of them, or that the key is another certificate's.
    pub fn from_pem(
        roots: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, PemError> {
        let roots = roots.map(|text| {
            let roots = certificates(text).map_err(PemError::Roots)?;
            // What is no certificate at all is told now, and not when it is first needed.
            store(RootCertStore::empty(), &roots).map_err(PemError::Roots)?;
            Ok(roots)
        });
        let identity = identity.map(|(cert, key)| Identity::from_pem(cert, key));
        Ok(Self {
            extra_roots: Vec::new(),
            only_roots: roots.transpose()?,
            identity: identity.transpose()?,
        })
    }

    /// The certificates that it trusts: none where the machine has none. The error is for people.
    async fn roots(&self) -> Result<Arc<RootCertStore>, String> {
        if self.only_roots.is_none() && NATIVE_ROOTS.get().is_none() {
            // Hundreds of files on some systems: not on a thread that serves requests.
            let read = tokio::task::spawn_blocking(|| drop(native_roots()));
            read.await.map_err(|_| "the host is ending".to_owned())?;
        }
        self.roots_now()
    }

    /// The same at once: reads what was not read yet.
    fn roots_now(&self) -> Result<Arc<RootCertStore>, String> {
        let (known, more) = match &self.only_roots {
            Some(only) => (Arc::new(RootCertStore::empty()), only),
            None => (native_roots(), &self.extra_roots),
        };
        Ok(if more.is_empty() { known } else { store(Arc::unwrap_or_clone(known), more)?.into() })
    }

    /// A configuration for HTTP. The error is for people.
    pub(crate) async fn http_config(&self) -> Result<Arc<ClientConfig>, String> {
        trusting(self.roots().await?)?;
        self.config(&[b"h2", b"http/1.1"])
    }

    fn config(&self, protocols: &[&[u8]]) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (tls, made) = (self.clone(), OnceLock::new());
        let verifier = Arc::new(Verifier { tls, provider: Arc::clone(&provider), made });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| chain_of(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(Identity(shown)) => {
                let key = SingleCertAndKey::from(Arc::clone(&shown.certified));
                config.with_client_cert_resolver(Arc::new(key))
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

// === impl Verifier ===

impl Verifier {
    fn verifier(&self) -> Result<&WebPkiServerVerifier, TlsError> {
        let made = self.made.get_or_init(|| {
            let roots = trusting(self.tls.roots_now()?)?;
            let provider = Arc::clone(&self.provider);
            let made = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            made.map_err(|error| chain_of(&error))
        });
        made.as_deref().map_err(|why| TlsError::General(why.clone()))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.verifier()?.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier()?.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier()?.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

// === impl Identity ===

impl Identity {
    fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, PemError> {
        let chain = certificates(cert).map_err(PemError::Cert)?;
        let wrong = |error: &(dyn std::error::Error + 'static)| PemError::Key(chain_of(error));
        let read = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(&error))?;
        let provider = rustls::crypto::ring::default_provider();
        let certified =
            CertifiedKey::from_der(chain, read, &provider).map_err(|error| wrong(&error))?;
        let (cert, key) = (cert.to_vec(), Zeroizing::new(key.to_vec()));
        Ok(Self(Arc::new(Shown { certified: Arc::new(certified), cert, key })))
    }

    /// The certificate and the key, as they were given: for libraries that take nothing else.
    pub fn pem(&self) -> (&[u8], &[u8]) {
        (&self.0.cert, &self.0.key)
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        // The key belongs to the certificate.
        self.0.certified.cert == other.0.certified.cert
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

// === impl TlsClient ===

impl TlsClient {
    /// A client that trusts and comes as `tls` says.
    pub fn new(tls: Tls) -> Self {
        Self(Arc::new(Made { tls, ..Made::default() }))
    }

    /// What it was made of.
    pub fn tls(&self) -> &Tls {
        &self.0.tls
    }

    /// The configuration, which offers no protocol by ALPN.
    ///
    /// # Errors
    /// When there is nobody to trust. The text is for people.
    pub async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        trusting(self.0.tls.roots().await?)?;
        self.config_in_case().await
    }

    /// The same for who needs one before it is known whether there will be TLS: whom it trusts is found out when a
    /// server shows who it is.
    ///
    /// # Errors
    /// When the library refuses to make one. The text is for people.
    pub async fn config_in_case(&self) -> Result<Arc<ClientConfig>, String> {
        let made = self.0.config.get_or_try_init(|| async { self.0.tls.config(&[]) });
        made.await.cloned()
    }
}

impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        self.0.tls == other.0.tls
    }
}

impl Eq for TlsClient {}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsClient").field(&self.0.tls).finish()
    }
}

/// The certificates in a `PEM` text: at least one. The error is for people.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| chain_of(&error))?;
    if all.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(all)
}

/// The same certificates, if there are any.
fn trusting(roots: Arc<RootCertStore>) -> Result<Arc<RootCertStore>, String> {
    if roots.is_empty() {
        return Err("this machine has no root certificates; install them (package \
                    `ca-certificates`) or set `SSL_CERT_FILE`"
            .to_owned());
    }
    Ok(roots)
}

fn store(
    mut roots: RootCertStore,
    more: &[CertificateDer<'static>],
) -> Result<RootCertStore, String> {
    for certificate in more {
        let added = roots.add(certificate.clone());
        added.map_err(|error| format!("a root certificate is not valid: {}", chain_of(&error)))?;
    }
    Ok(roots)
}

fn native_roots() -> Arc<RootCertStore> {
    let native = NATIVE_ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a root certificate cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    });
    Arc::clone(native)
}
