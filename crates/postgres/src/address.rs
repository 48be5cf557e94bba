//! Where a server is, and who one is there.

use std::fmt;

use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// A server's address, with user, password, database and whether TLS is wanted.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) config: Config,
    pub(crate) hosts: Vec<(String, u16)>,
}

/// An address that makes no sense. It does not show the address, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error(
        "is no address of PostgreSQL ({0}); it is like `postgres://user:password@host:5432/database?sslmode=require`"
    )]
    Syntax(String),
    /// It names no host.
    #[error("names no host")]
    NoHost,
    /// It names no user.
    #[error("names no user")]
    NoUser,
    /// It names a Unix socket.
    #[error("names a Unix socket, which is not supported: name a host")]
    UnixSocket,
    /// It has another number of ports than of hosts.
    #[error("has another number of ports than of hosts")]
    Ports,
}

impl Address {
    /// Reads `postgres://…` or `host=… user=…`.
    ///
    /// # Errors
    /// When it cannot be read, or says too little.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // `verify-full` is what `require` means here: certificates are always checked.
        let text = text
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            // The source says what is wrong; the text is in neither.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            AddressError::Syntax(source.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_user().is_none_or(str::is_empty) {
            return Err(AddressError::NoUser);
        }
        if !config.get_hostaddrs().is_empty() && config.get_hosts().is_empty() {
            return Err(AddressError::NoHost);
        }
        let ports = config.get_ports();
        let mut hosts = Vec::new();
        for (at, host) in config.get_hosts().iter().enumerate() {
            let name = match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(_) => return Err(AddressError::UnixSocket),
            };
            let port = match ports {
                [] => 5432,
                [one] => *one,
                all => *all.get(at).ok_or(AddressError::Ports)?,
            };
            hosts.push((name, port));
        }
        if hosts.is_empty() {
            return Err(AddressError::NoHost);
        }
        Ok(Self { config, hosts })
    }

    /// The hosts that are tried, in turn, with their ports.
    pub fn hosts(&self) -> &[(String, u16)] {
        &self.hosts
    }

    /// The database.
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname().or(self.config.get_user())
    }

    /// The same server, and another database of it.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    /// Whether it says that there is to be no TLS.
    pub fn refuses_tls(&self) -> bool {
        !self.wants_tls()
    }

    /// The same, with TLS or not at all.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.config.ssl_mode(SslMode::Require);
        self
    }

    pub(crate) fn wants_tls(&self) -> bool {
        self.config.get_ssl_mode() != SslMode::Disable
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
