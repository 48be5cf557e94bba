//! Certificates for servers with TLS, and for their clients.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// Whom a server with TLS lets in, beside what it asks of everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Who has no certificate, too.
    Any,
    /// Who has a certificate of the server's authority.
    Certified,
}

/// Files in PEM, for clients of a server with TLS.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate. No machine trusts it by itself.
    pub ca: PathBuf,
    /// A client's certificate of that authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What a server is started with.
pub(crate) struct Own {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    pub(crate) fn of(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name);
        Self { ca: file("ca.pem"), cert: file("client.pem"), key: file("client.key") }
    }
}

impl Own {
    pub(crate) fn of(folder: &Path) -> Self {
        Self { cert: folder.join("server.pem"), key: folder.join("server.key") }
    }
}

/// Makes all of them: the server's is for `localhost` and 127.0.0.1.
pub(crate) fn issue(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    // Without a name of its own, every certificate looks as if it were its own authority.
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let (own, clients) = (Own::of(folder), Certificates::of(folder));
    fs::write(&clients.ca, authority.pem())?;
    for (name, cert, key) in [("localhost", own.cert, own.key), ("reef", clients.cert, clients.key)]
    {
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        fs::write(cert, params.signed_by(&pair, &authority)?.pem())?;
        private(&key, &pair.serialize_pem())?;
    }
    Ok(())
}

/// A file for its owner alone: PostgreSQL refuses a key that others may read.
fn private(path: &Path, text: &str) -> Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
