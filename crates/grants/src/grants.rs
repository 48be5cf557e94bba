//! What a workload may do.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use crate::destination::Destination;

/// Everything that was granted to one workload. The default is nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Its configuration.
    pub config: Vec<(String, String)>,
    /// Where it may connect.
    pub egress: Vec<Destination>,
    /// Where it may listen.
    pub listen: Vec<SocketAddr>,
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
