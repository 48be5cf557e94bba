//! Names to addresses.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Most addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// A look-up under way. `Sync` as well as `Send`, as hosts of guests ask for.
pub type Lookup = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, LookupError>> + Send + Sync>>;

/// A name without addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("cannot resolve {name}: {reason}")]
    Failed { name: String, reason: String },
    #[error("cannot resolve {name}: no answer within {after:?}")]
    Timeout { name: String, after: Duration },
}

/// Something that resolves names.
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// Looks up a host name (lower case, no final dot), and ends within a bounded time.
    fn lookup(&self, name: &str) -> Lookup;
}

/// The machine's own resolver (`getaddrinfo`): hosts file, search domains, name servers.
///
/// It blocks a thread for as long as it takes, so at most a fixed number run at once; a look-up that
/// nobody waits for any more keeps its place until it ends.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    places: Arc<Semaphore>,
    deadline: Duration,
}

impl SystemResolver {
    /// At most `concurrent` look-ups at once; each waits at most `deadline`, for its turn included.
    pub fn new(concurrent: usize, deadline: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(concurrent)), deadline }
    }

    /// The resolver that all of a process's workloads share: 32 at once, 5 s.
    pub fn shared() -> Self {
        static SHARED: LazyLock<SystemResolver> =
            LazyLock::new(|| SystemResolver::new(32, Duration::from_secs(5)));
        SHARED.clone()
    }
}

impl Resolve for SystemResolver {
    fn lookup(&self, name: &str) -> Lookup {
        let Self { places, deadline } = self.clone();
        let name = name.to_owned();
        Box::pin(async move {
            let failed = |reason: String| LookupError::Failed { name: name.clone(), reason };
            let answer = tokio::time::timeout(deadline, async {
                let place =
                    places.acquire_owned().await.map_err(|error| failed(error.to_string()))?;
                let query = name.clone();
                // A task, so that the place is held until the blocking call is over.
                let task = tokio::spawn(async move {
                    let found = tokio::net::lookup_host((query, 0)).await;
                    drop(place);
                    found.map(|found| found.map(|addr| addr.ip()).collect::<Vec<_>>())
                });
                let found = task.await.map_err(|error| failed(error.to_string()))?;
                found.map_err(|error| failed(error.to_string()))
            });
            let found = answer
                .await
                .map_err(|_| LookupError::Timeout { name: name.clone(), after: deadline })??;

            let mut addresses = Vec::with_capacity(found.len().min(MAX_ADDRESSES));
            for address in found {
                if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                return Err(failed("the name has no addresses".to_owned()));
            }
            Ok(addresses)
        })
    }
}
