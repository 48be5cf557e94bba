//! Names to addresses that may be connected to.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use tokio::net::TcpStream;

use crate::{Egress, Resolve as _, SystemResolver};

/// Which addresses a host may be reached at.
#[async_trait]
pub trait Reach: Send + Sync + 'static {
    /// The addresses to try, in turn.
    ///
    /// # Errors
    /// When there is none, or none that is allowed: the text says what would allow it.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String>;
}

/// The way to a server: to wherever its name leads, or as something [`Reach`]es it.
#[derive(Clone, Default)]
pub struct Way(Option<Arc<dyn Reach>>);

/// Everywhere: for addresses that the operator wrote.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anywhere;

/// Where a workload was granted to connect: for addresses that a guest chose.
#[derive(Clone, Debug)]
pub struct Granted {
    workload: Arc<str>,
    egress: Egress,
    scheme: &'static str,
}

impl Granted {
    /// What a workload was granted, for connections of a scheme.
    pub fn new(workload: Arc<str>, egress: Egress, scheme: &'static str) -> Self {
        Self { workload, egress, scheme }
    }

    /// Whether a host may be connected to at all, whatever address it has.
    ///
    /// # Errors
    /// When it may not: the text says what would allow it.
    pub fn check(&self, host: &str, port: u16) -> Result<(), String> {
        let name = bracketed(host);
        if self.egress.permits_host(Some(self.scheme), &name, port) {
            return Ok(());
        }
        Err(self.egress.refusal(&self.workload, &name, port).to_string())
    }
}

#[async_trait]
impl Reach for Anywhere {
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        resolve(host, port).await
    }
}

#[async_trait]
impl Reach for Granted {
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        self.check(host, port)?;
        let (name, scheme) = (bracketed(host), Some(self.scheme));
        let found = resolve(host, port).await?;
        let mut refused = None;
        let allowed: Vec<_> = found
            .into_iter()
            .filter(|address| {
                let allowed = self.egress.permits_at(scheme, &name, *address);
                if !allowed {
                    refused = Some(*address);
                }
                allowed
            })
            .collect();
        match refused {
            Some(address) if allowed.is_empty() => {
                Err(self.egress.refusal_at(&self.workload, &name, address).to_string())
            }
            _ => Ok(allowed),
        }
    }
}

impl Way {
    /// As something reaches it.
    pub fn through(reach: Arc<dyn Reach>) -> Self {
        Self(Some(reach))
    }

    /// Connects to the first of the server's addresses that takes connections.
    ///
    /// # Errors
    /// When none does, or none may be connected to.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let Some(reach) = &self.0 else { return TcpStream::connect((host, port)).await };
        let addresses = reach.addresses(host, port).await;
        let addresses =
            addresses.map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))?;
        TcpStream::connect(&addresses[..]).await
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl Eq for Way {}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("restricted", &self.0.is_some()).finish()
    }
}

/// An IPv6 address in a database's URL may come without its brackets.
fn bracketed(host: &str) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let found = SystemResolver::shared().lookup(&name).await.map_err(|error| error.to_string())?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}
