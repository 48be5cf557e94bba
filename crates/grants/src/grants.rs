//! What a workload may do.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use crate::{ByteSize, destination::Destination};

/// Everything that was granted to one workload. The default is nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// A directory of its own.
    pub scratch: Option<ScratchGrant>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Its configuration.
    pub config: Vec<(String, String)>,
    /// Where it may connect.
    pub egress: Vec<Destination>,
    /// Where it may listen.
    pub listen: Vec<SocketAddr>,
    /// Whom it trusts over TLS, and as whom it comes.
    pub tls: Option<Tls>,
}

/// Whom a workload's requests over TLS trust, and as whom they come: each the text of a `PEM` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Root certificates, in place of the machine's.
    pub roots: Option<PemFile>,
    /// The client's certificate and its key.
    pub identity: Option<(PemFile, PemFile)>,
}

/// A file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    /// Where it is, for messages.
    pub path: PathBuf,
    /// What is in it.
    pub text: Vec<u8>,
}

impl fmt::Debug for PemFile {
    /// Without the text, which may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A directory of a workload's own, empty when it starts and gone when it ends: `SIZE[::GUEST]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScratchGrant {
    /// How much may be in it.
    pub quota: ByteSize,
    /// What the guest calls it: `/tmp` if not said.
    pub guest: String,
}

/// A directory of the host under a name of the guest: `HOST[::GUEST][:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    /// On the host.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// What it may do there.
    pub access: Access,
}

/// What may be done in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look, not touch.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// A volume of an application under a name of the guest: `NAME::GUEST[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeGrant {
    /// What the application calls it.
    pub volume: String,
    /// What the guest calls it.
    pub guest: String,
    /// What it may do there.
    pub access: Access,
}

/// An environment variable: `KEY=VALUE`, or `KEY` for the caller's own value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvGrant {
    /// Its name.
    pub key: String,
    /// Its value; `None` takes it over from the host.
    pub value: Option<String>,
}

/// A grant that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseGrantError {
    /// Not a volume.
    #[error(
        "`{0}` is no volume; write `NAME::/where/the/guest/sees/it`, with `:ro` at the end for one that it only reads"
    )]
    Volume(String),
    /// Not a scratch directory.
    #[error(
        "`{0}` is no scratch directory; write `64MiB`, or `64MiB::/var/cache` for another place than /tmp"
    )]
    Scratch(String),
    /// Not a directory grant.
    #[error(
        "`{0}` is not a directory grant; write HOST, HOST::GUEST or HOST::GUEST:ro, such as ./data::/data:ro"
    )]
    Dir(String),
    /// Not a variable.
    #[error(
        "`{0}` is not an environment variable; write KEY=VALUE, or KEY to take over the host's value"
    )]
    Env(String),
}

// === impl Grants ===

impl fmt::Debug for Grants {
    /// Without values, any of which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |all: &[(String, String)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Grants")
            .field("dirs", &self.dirs)
            .field("env", &names(&self.env))
            .field("config", &names(&self.config))
            .field("egress", &self.egress)
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .finish()
    }
}

// === impl DirGrant ===

impl FromStr for DirGrant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (paths, access) = match text.strip_suffix(":ro") {
            Some(paths) => (paths, Access::ReadOnly),
            None => (text.strip_suffix(":rw").unwrap_or(text), Access::ReadWrite),
        };
        let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
        if host.is_empty() || guest.is_empty() || guest.contains("::") {
            return Err(ParseGrantError::Dir(text.to_owned()));
        }
        Ok(Self { host: host.into(), guest: guest.to_owned(), access })
    }
}

impl fmt::Display for DirGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.host.display(), self.guest)?;
        match self.access {
            Access::ReadOnly => f.write_str(":ro"),
            Access::ReadWrite => Ok(()),
        }
    }
}

// === impl VolumeGrant ===

impl FromStr for VolumeGrant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseGrantError::Volume(text.to_owned());
        let DirGrant { host, guest, access } = text.parse().map_err(|_| refused())?;
        let volume = host.to_str().filter(|_| text.contains("::")).ok_or_else(refused)?;
        if !guest.starts_with('/') {
            return Err(refused());
        }
        Ok(Self { volume: volume.to_owned(), guest, access })
    }
}

impl fmt::Display for VolumeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, guest) = (PathBuf::from(&self.volume), self.guest.clone());
        DirGrant { host, guest, access: self.access }.fmt(f)
    }
}

// === impl ScratchGrant ===

/// What guests call their scratch directory where nobody says.
const SCRATCH: &str = "/tmp";

impl FromStr for ScratchGrant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (size, guest) = text.split_once("::").unwrap_or((text, SCRATCH));
        let refused = || ParseGrantError::Scratch(text.to_owned());
        let quota: ByteSize = size.parse().map_err(|_| refused())?;
        if !guest.starts_with('/') || guest.len() < 2 || quota.0 == 0 {
            return Err(refused());
        }
        Ok(Self { quota, guest: guest.to_owned() })
    }
}

impl fmt::Display for ScratchGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.quota)?;
        if self.guest == SCRATCH { Ok(()) } else { write!(f, "::{}", self.guest) }
    }
}

// === impl EnvGrant ===

impl FromStr for EnvGrant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() || text.contains('\0') {
            return Err(ParseGrantError::Env(text.to_owned()));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

#[cfg(test)]
mod tests;
