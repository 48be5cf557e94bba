//! What a workload was granted, asked before every connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reef_grants::{Destination, Host, Target, is_public};

#[cfg(test)]
mod tests;

/// The destinations granted to a workload; nothing else may be connected to. Cheap to clone.
///
/// Two questions have to be answered with yes for a connection by name: [`Egress::permits_host`]
/// for the name, and, for each address it resolves to, whether that is public, granted itself, or
/// loopback for `localhost`. For a connection by address, [`Egress::permits_addr`] alone decides.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    destinations: Arc<[Destination]>,
}

impl Egress {
    pub fn new(destinations: Vec<Destination>) -> Self {
        Self { destinations: destinations.into() }
    }

    /// What was granted, in the order given.
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Whether a connection to `host`, as the workload names it (IPv6 in brackets), is granted.
    /// `scheme` is that of the URL; `None` for a raw socket.
    pub fn permits_host(&self, scheme: Option<&str>, host: &str, port: u16) -> bool {
        Target::parse(host).is_ok_and(|target| self.permits(scheme, &target, port))
    }

    /// Whether a raw socket may talk to `addr`: it is granted as an address, or is public and every
    /// public host is granted. For addresses behind granted names ask [`Sockets`](crate::Sockets).
    pub fn permits_addr(&self, addr: SocketAddr) -> bool {
        self.permits(None, &Target::Address(addr.ip().to_canonical()), addr.port())
    }

    /// Whether a host that [may be connected to](Self::permits_host) may be reached at `addr`, one of the addresses
    /// that it resolves to.
    pub fn permits_at(&self, scheme: Option<&str>, host: &str, addr: SocketAddr) -> bool {
        Target::parse(host).is_ok_and(|target| self.admits(scheme, &target, addr))
    }

    /// The refusal of a granted `host` for an address that it resolves to.
    pub fn refusal_at(&self, workload: &str, host: &str, addr: SocketAddr) -> Refusal {
        match Target::parse(host) {
            Ok(target) => Refusal::private(workload, &target, addr),
            Err(_) => self.refusal(workload, host, addr.port()),
        }
    }

    pub(crate) fn permits(&self, scheme: Option<&str>, target: &Target, port: u16) -> bool {
        self.destinations.iter().any(|granted| granted.grants(scheme, target, port))
    }

    /// Whether a permitted `target` may be reached at this address.
    pub(crate) fn admits(&self, scheme: Option<&str>, target: &Target, addr: SocketAddr) -> bool {
        let ip = addr.ip().to_canonical();
        is_public(ip)
            || (target.is_localhost() && ip.is_loopback())
            || self
                .destinations
                .iter()
                .any(|granted| granted.grants_address(scheme, ip, addr.port()))
    }

    /// The names granted for raw sockets at `port`, wildcards excepted.
    pub(crate) fn names(&self, port: u16) -> impl Iterator<Item = &str> {
        self.destinations.iter().filter_map(move |granted| match granted.host() {
            Host::Name(name) => {
                granted.grants(None, &Target::Name(name.clone()), port).then_some(name.as_str())
            }
            _ => None,
        })
    }

    /// The refusal of a connection to `host`, however it was asked for.
    pub fn refusal(&self, workload: &str, host: &str, port: u16) -> Refusal {
        Refusal { workload: workload.to_owned(), host: host.to_owned(), port, private: None }
    }
}

/// A connection that no grant covers: says which workload asked for what, and what would allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    workload: String,
    host: String,
    port: u16,
    private: Option<IpAddr>,
}

impl Refusal {
    /// The refusal of a granted name for the private address it resolves to.
    pub(crate) fn private(workload: &str, host: &Target, addr: SocketAddr) -> Self {
        Self {
            workload: workload.to_owned(),
            host: host.to_string(),
            port: addr.port(),
            private: Some(addr.ip().to_canonical()),
        }
    }

    pub fn workload(&self) -> &str {
        &self.workload
    }

    /// The host as the workload asked for it.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The least that would have to be granted; `None` where the host is no valid one.
    pub fn grant(&self) -> Option<Destination> {
        let target = match self.private {
            Some(address) => Target::Address(address),
            // A bare IPv6 address, as a socket has it, is meant as well as one in brackets.
            None => match self.host.parse::<IpAddr>() {
                Ok(address) => Target::Address(address.to_canonical()),
                Err(_) => Target::parse(&self.host).ok()?,
            },
        };
        Some(Destination::exact(None, target, self.port))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, host, port, private } = self;
        let host = host.escape_debug();
        match (private, self.grant()) {
            (Some(address), Some(grant)) => write!(
                f,
                "workload `{workload}` may not connect to {host}:{port}: the name resolves to \
                 {address}, which is not a public address and has to be granted itself; allow it \
                 with `--egress {grant}`"
            ),
            (None, Some(grant)) => write!(
                f,
                "workload `{workload}` may not connect to {grant}: it was not granted; allow it \
                 with `--egress {grant}`"
            ),
            (_, None) => {
                write!(
                    f,
                    "workload `{workload}` may not connect to \"{host}\": it is not a valid host"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}
