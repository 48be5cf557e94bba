//! TLS: certificates from files, taken anew when the files change, one for all hosts or one each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(1);

/// Certificates and their keys, for TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 by ALPN. Cheap to clone;
/// all clones change together when the files change.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    hosts: Arc<Hosts>,
}

/// The two files of a certificate, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, and then its issuers'.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Which certificate is shown to whom.
#[derive(Debug, Default)]
struct Hosts {
    /// Every pair of files once.
    pairs: Vec<Arc<Pair>>,
    exact: HashMap<Box<str>, Arc<Pair>>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Arc<Pair>>,
    /// For clients that name no host, or none of these.
    any: Option<Arc<Pair>>,
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
    /// What a certificate is for is not a host name.
    #[error(
        "`{host}` is no host name to have a certificate for; write one like `example.org`, or \
         `*.example.org` for all names below it"
    )]
    Host {
        /// The name as it was given.
        host: String,
    },
    /// A host has two certificates.
    #[error("{host} has two certificates; leave one of them out")]
    HostRepeated {
        /// The name.
        host: String,
    },
    /// There is no certificate at all.
    #[error("no certificate was given")]
    None,
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up: {source}")]
    Setup {
        /// What it said.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a chain of certificates and its key, both PEM files, for every host.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::for_hosts([], Some(CertificateFiles { cert: cert.into(), key: key.into() }))
    }

    /// Reads certificates that are each for a host: `example.org`, or `*.example.org` for all names
    /// below it, of which the longest counts. The `default` is for clients that name another host,
    /// or none; without it, these are refused.
    ///
    /// # Errors
    /// Names the file, or the host, and what is wrong with it.
    pub fn for_hosts<'h>(
        hosts: impl IntoIterator<Item = (&'h str, CertificateFiles)>,
        default: Option<CertificateFiles>,
    ) -> Result<Self, TlsError> {
        let mut made = Hosts::default();
        if let Some(files) = default {
            made.any = Some(made.pair(files)?);
        }
        for (host, files) in hosts {
            made.add(host, files)?;
        }
        if made.pairs.is_empty() {
            return Err(TlsError::None);
        }
        let hosts = Arc::new(made);
        let mut config =
            rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|source| TlsError::Setup { source })?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&hosts) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), hosts })
    }

    /// Reads files again that changed since they were last read, and says whether a new certificate
    /// is in use now. On an error the old one stays in use, and the same files are not tried again;
    /// those of other hosts are read all the same. New connections only are affected.
    ///
    /// # Errors
    /// Names the first file that is wrong, and what is wrong with it.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let (mut changed, mut wrong) = (false, None);
        for pair in &self.hosts.pairs {
            match pair.reload() {
                Ok(new) => changed |= new,
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        wrong.map_or(Ok(changed), Err)
    }

    /// Reloads when files change, for ever. Two files are not written at one moment, so a change
    /// counts once it has been the same for two looks.
    pub(crate) async fn watch(self) {
        let mut before = vec![None; self.hosts.pairs.len()];
        loop {
            tokio::time::sleep(POLL).await;
            let hosts = Arc::clone(&self.hosts);
            // Files may lie on a slow disk: not on a worker's thread.
            let looked = tokio::task::spawn_blocking(move || {
                for (pair, before) in hosts.pairs.iter().zip(&mut before) {
                    let now = fingerprint(&pair.cert_path, &pair.key_path);
                    if before.replace(now) == Some(now) {
                        pair.renew();
                    }
                }
                before
            });
            before = match looked.await {
                Ok(before) => before,
                Err(_) => return,
            };
        }
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await
    }
}

impl Hosts {
    fn pair(&mut self, files: CertificateFiles) -> Result<Arc<Pair>, TlsError> {
        let same = |pair: &&Arc<Pair>| pair.cert_path == files.cert && pair.key_path == files.key;
        if let Some(pair) = self.pairs.iter().find(same) {
            return Ok(Arc::clone(pair));
        }
        let pair = Arc::new(Pair::load(files)?);
        self.pairs.push(Arc::clone(&pair));
        Ok(pair)
    }

    fn add(&mut self, host: &str, files: CertificateFiles) -> Result<(), TlsError> {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let (name, below) = match name.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        // What clients name is a DNS name, and never an address (RFC 6066 section 3).
        if !matches!(ServerName::try_from(name), Ok(ServerName::DnsName(_))) {
            return Err(TlsError::Host { host: host.to_owned() });
        }
        let pair = self.pair(files)?;
        let names = if below { &mut self.wildcard } else { &mut self.exact };
        match names.insert(name.into(), pair) {
            None => Ok(()),
            Some(_) => Err(TlsError::HostRepeated { host: host.to_owned() }),
        }
    }

    /// `host` in lower case, as rustls gives it.
    fn find(&self, host: Option<&str>) -> Option<&Arc<Pair>> {
        let named = host.and_then(|host| {
            let host = host.strip_suffix('.').unwrap_or(host);
            self.exact.get(host).or_else(|| {
                let mut below = host;
                std::iter::from_fn(|| {
                    below = below.split_once('.')?.1;
                    Some(below)
                })
                .find_map(|name| self.wildcard.get(name))
            })
        });
        named.or(self.any.as_ref())
    }
}

impl ResolvesServerCert for Hosts {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.find(hello.server_name())?;
        Some(Arc::clone(&pair.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Pair {
    fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        let CertificateFiles { cert: cert_path, key: key_path } = files;
        // Before reading: a change while reading is then seen by the next look.
        let read = RwLock::new(fingerprint(&cert_path, &key_path));
        let current = RwLock::new(Arc::new(read_pair(&cert_path, &key_path)?));
        Ok(Self { cert_path, key_path, current, read })
    }

    fn reload(&self) -> Result<bool, TlsError> {
        let now = fingerprint(&self.cert_path, &self.key_path);
        if now == *self.read.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(false);
        }
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = now;
        let new = Arc::new(read_pair(&self.cert_path, &self.key_path)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    /// Reloads, and says in the log what came of it.
    fn renew(&self) {
        match self.reload() {
            Ok(false) => {}
            Ok(true) => {
                let cert = self.cert_path.display();
                tracing::info!(%cert, "a new TLS certificate is in use");
            }
            Err(error) => {
                tracing::error!(%error, "TLS files changed; the old certificate stays in use");
            }
        }
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

#[cfg(test)]
mod tests;
