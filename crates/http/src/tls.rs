//! TLS: certificates from files, taken anew when the files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(1);

/// A certificate and its key, for TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 by ALPN. Cheap to clone;
/// all clones change together when the files change.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    pair: Arc<Pair>,
}

#[derive(Debug)]
struct Pair {
    cert_path: PathBuf,
    key_path: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// The state of the files that was last read, good or bad.
    read: RwLock<Fingerprint>,
}

/// What changes when a file is written or replaced.
type Fingerprint = [Option<(SystemTime, u64, u64)>; 2];

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("could not read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The certificate file holds no certificate.
    #[error(
        "{path} holds no certificate; it must be PEM with `-----BEGIN CERTIFICATE-----`, the \
         server's own certificate first and then its issuers'", path = path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file holds no private key.
    #[error(
        "{path} holds no private key; it must be PEM with `-----BEGIN PRIVATE KEY-----` and \
         without a passphrase", path = path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A file is not valid PEM.
    #[error("{path} is not valid PEM: {reason}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is of a kind or form that cannot sign.
    #[error("the private key in {path} cannot be used: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The key is not the certificate's.
    #[error(
        "the private key in {key} does not belong to the first certificate in {cert}; the server's \
         own certificate must come first, and both files must be of one issue",
        key = key.display(), cert = cert.display()
    )]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The first certificate cannot be parsed.
    #[error("the first certificate in {path} cannot be used: {source}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up: {source}")]
    Setup {
        /// What it said.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a chain of certificates and its key, both PEM files.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (cert_path, key_path) = (cert.into(), key.into());
        // Before reading: a change while reading is then seen by the next look.
        let read = fingerprint(&cert_path, &key_path);
        let current = read_pair(&cert_path, &key_path)?;
        let pair = Arc::new(Pair {
            cert_path,
            key_path,
            current: RwLock::new(Arc::new(current)),
            read: RwLock::new(read),
        });
        let mut config =
            rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|source| TlsError::Setup { source })?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&pair) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), pair })
    }

    /// Reads the files again if they changed since they were last read, and says whether a new
    /// pair is in use now. On an error the old pair stays in use, and the same files are not tried
    /// again. New connections only are affected.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pair = &*self.pair;
        let now = fingerprint(&pair.cert_path, &pair.key_path);
        if now == *pair.read.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(false);
        }
        *pair.read.write().unwrap_or_else(PoisonError::into_inner) = now;
        let new = Arc::new(read_pair(&pair.cert_path, &pair.key_path)?);
        *pair.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    /// Reloads when the files change, for ever. Two files are not written at one moment, so a
    /// change counts once it has been the same for two looks.
    pub(crate) async fn watch(self) {
        let pair = Arc::clone(&self.pair);
        let look = move || fingerprint(&pair.cert_path, &pair.key_path);
        let mut before = None;
        loop {
            tokio::time::sleep(POLL).await;
            // Files may lie on a slow disk: not on a worker's thread.
            let Ok(now) = tokio::task::spawn_blocking(look.clone()).await else { return };
            if before.replace(now) != Some(now) {
                continue;
            }
            let tls = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
                return;
            };
            let cert = self.pair.cert_path.display();
            match reloaded {
                Ok(false) => {}
                Ok(true) => tracing::info!(%cert, "a new TLS certificate is in use"),
                Err(error) => {
                    tracing::error!(%error, "the TLS files changed; the old certificate stays in use");
                }
            }
        }
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn fingerprint(cert: &Path, key: &Path) -> Fingerprint {
    [cert, key].map(|path| {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    })
}

fn read_pair(cert_path: &Path, key_path: &Path) -> Result<CertifiedKey, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
    };
    let invalid = |path: &Path, error: pem::Error| TlsError::Pem {
        path: path.into(),
        reason: error.to_string(),
    };
    let certs = CertificateDer::pem_slice_iter(&read(cert_path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(cert_path, error))?;
    if certs.is_empty() {
        return Err(TlsError::NoCertificate { path: cert_path.into() });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key_path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: key_path.into() },
        error => invalid(key_path, error),
    })?;
    let signing = ring::sign::any_supported_type(&key)
        .map_err(|source| TlsError::Key { path: key_path.into(), source })?;
    let pair = CertifiedKey::new(certs, signing);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { cert: cert_path.into(), key: key_path.into() })
        }
        Err(source) => Err(TlsError::Certificate { path: cert_path.into(), source }),
    }
}
