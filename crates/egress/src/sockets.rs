//! The rules for raw TCP and UDP sockets, which know addresses only.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::policy::Egress;
use crate::resolver::Resolve;
use reef_grants::{Host, Target, is_localhost};

/// How long the addresses of a granted name are believed.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Decides for each address whether a workload's raw sockets may talk to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sockets {
    egress: Egress,
    resolver: Arc<dyn Resolve>,
    /// One entry per granted name, so that its size is that of the grants. Who asks first looks up
    /// while the others wait at the lock.
    known: Arc<HashMap<String, Mutex<Option<Known>>>>,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Sockets {
    pub fn new(egress: Egress, resolver: Arc<dyn Resolve>) -> Self {
        let known = egress
            .destinations()
            .iter()
            .filter_map(|granted| match granted.host() {
                Host::Name(name) if !is_localhost(name) => Some((name.clone(), Mutex::new(None))),
                _ => None,
            })
            .collect();
        Self { egress, resolver, known: Arc::new(known) }
    }

    /// Whether `addr` is granted as an address, or is one of those that a granted name resolves to
    /// now (as of the last 5 s), under the rule for private addresses of [`Egress`].
    ///
    /// A name with a wildcard or a scheme grants nothing here: which names a socket is opened for
    /// cannot be seen, nor what is said through it.
    pub async fn permits_socket(&self, addr: SocketAddr) -> bool {
        if self.egress.permits_addr(addr) {
            return true;
        }
        let ip = addr.ip().to_canonical();
        let mut asked: FuturesUnordered<_> = self
            .egress
            .names(addr.port())
            .filter(|name| self.egress.admits(None, &Target::Name((*name).to_owned()), addr))
            .map(|name| self.resolves_to(name, ip))
            .collect();
        while let Some(yes) = asked.next().await {
            if yes {
                return true;
            }
        }
        false
    }

    async fn resolves_to(&self, name: &str, ip: IpAddr) -> bool {
        let Some(entry) = self.known.get(name) else { return false };
        let mut entry = entry.lock().await;
        let known = match entry.take() {
            Some(known) if known.until > Instant::now() => known,
            _ => {
                let addresses = self.resolver.lookup(name).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, "a granted name does not resolve");
                    Vec::new()
                });
                Known { addresses, until: Instant::now() + REMEMBERED }
            }
        };
        let found = known.addresses.iter().any(|address| address.to_canonical() == ip);
        *entry = Some(known);
        found
    }
}
