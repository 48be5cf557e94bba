//! A bounded number of connections, each of which is reset before somebody else has it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use mysql_async::{ClientIdentity, Conn, SslOpts, prelude::Queryable as _};
use reef_capability::Failure;
use reef_egress::{CLIENT_CERTIFICATE, Reach, Tls, explained};
use tokio::{runtime::Handle, time::timeout};

use super::Address;
use crate::{
    error::{Result, SqlError},
    session::crowded,
};

/// A connection that nobody used for so long is asked whether it is still there.
const FRESH: Duration = Duration::from_secs(5);
/// How long resetting a connection, asking for it, or ending what it does may take.
const SHORT: Duration = Duration::from_secs(2);

/// Connections to one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    inner: managed::Pool<Manager>,
    connector: Arc<Connector>,
}

/// A connection that somebody has. When it is dropped, it is reset and kept for others.
pub(super) struct Pooled {
    object: Option<Object<Manager>>,
    connector: Arc<Connector>,
}

/// How connections are made.
pub(super) struct Connector {
    pub(super) address: Address,
    /// Whom to trust and as whom to come, where the address wants TLS.
    pub(super) tls: Tls,
    pub(super) reach: Arc<dyn Reach>,
    /// How long connecting may take.
    pub(super) limit: Duration,
    /// What drives the connections.
    pub(super) runtime: Handle,
}

pub(super) struct Manager(Arc<Connector>);

pub(super) struct Live {
    connection: Option<Conn>,
    used: Mutex<Instant>,
}

impl Pool {
    pub(super) fn new(connector: Connector, most: usize) -> Result<Self> {
        let connector = Arc::new(connector);
        let manager = Manager(connector.clone());
        let inner = managed::Pool::builder(manager).max_size(most.max(1)).build();
        let inner = inner.map_err(|error| SqlError::invalid(error.to_string()))?;
        Ok(Self { inner, connector })
    }

    /// A connection, as soon as there is one.
    pub(super) async fn get(&self) -> Result<Pooled> {
        let limit = self.connector.limit;
        let object = match timeout(limit, self.inner.get()).await {
            Ok(Ok(object)) => object,
            Ok(Err(PoolError::Backend(error))) => return Err(error),
            Ok(Err(error)) => return Err(Failure::unreachable(error).into()),
            Err(_) => {
                let status = self.inner.status();
                return Err(if status.available == 0 && status.size >= status.max_size {
                    crowded(status.max_size)
                } else {
                    self.connector.silent()
                });
            }
        };
        Ok(Pooled { object: Some(object), connector: self.connector.clone() })
    }
}

impl Pooled {
    pub(super) fn connection(&mut self) -> Result<&mut Conn> {
        let connection = self.object.as_mut().and_then(|object| object.connection.as_mut());
        connection.ok_or_else(|| Failure::lost("the connection was ended").into())
    }

    /// Ends it, and what the server does for it.
    pub(super) async fn end(mut self) {
        let Some(object) = self.object.take() else { return };
        let Some(connection) = Object::take(object).connection.take() else { return };
        let id = connection.id();
        let killed = timeout(SHORT, async {
            let mut other = self.connector.connect().await?;
            let done = other.query_drop(format!("KILL {id}")).await;
            done.map_err(|error| SqlError::invalid(error.to_string()))?;
            let _ = other.disconnect().await;
            Ok::<_, SqlError>(())
        });
        if !matches!(killed.await, Ok(Ok(()))) {
            tracing::debug!(id, "A statement that nobody waits for could not be stopped.");
        }
        drop(connection);
    }

    /// Drops it without a word: it is broken.
    pub(super) fn discard(mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(mut object) = self.object.take() else { return };
        self.connector.runtime.spawn(async move {
            let clean = match &mut object.connection {
                Some(connection) => {
                    matches!(timeout(SHORT, connection.reset()).await, Ok(Ok(true)))
                }
                None => false,
            };
            if clean {
                *object.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            } else {
                drop(Object::take(object));
            }
        });
    }
}

impl managed::Manager for Manager {
    type Type = Live;
    type Error = SqlError;

    async fn create(&self) -> Result<Live> {
        let (connector, limit) = (self.0.clone(), self.0.limit);
        // Where it is made is where it lives: a worker that asks for it may end before it does.
        let made = async move { timeout(limit, connector.connect()).await };
        let mut made = self.0.runtime.spawn(made);
        let _stop = Stop(made.abort_handle());
        let connection = match (&mut made).await {
            Ok(Ok(made)) => made?,
            Ok(Err(_)) => return Err(self.0.silent()),
            Err(_) => {
                return Err(Failure::unreachable("what the server sent made no sense").into());
            }
        };
        Ok(Live { connection: Some(connection), used: Mutex::new(Instant::now()) })
    }

    async fn recycle(&self, live: &mut Live, _: &Metrics) -> RecycleResult<SqlError> {
        let gone = || RecycleError::message("the connection is gone");
        let used = *live.used.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = live.connection.as_mut().ok_or_else(gone)?;
        if used.elapsed() > FRESH && !matches!(timeout(SHORT, connection.ping()).await, Ok(Ok(())))
        {
            return Err(gone());
        }
        Ok(())
    }
}

impl Connector {
    async fn connect(&self) -> Result<Conn> {
        let Address { opts, host, port, tls } = &self.address;
        let addresses = self.reach.addresses(host, *port).await.map_err(|why| {
            let denied = why.contains("may not connect");
            if denied { Failure::Denied(why) } else { Failure::unreachable(why) }
        })?;
        let mut opts = opts.clone();
        if *tls == Some(true) {
            opts = opts.ssl_opts(Some(self.trust().await?));
        }
        let mut last = Failure::unreachable("it has no address").into();
        for at in addresses {
            // The address that was allowed is the one that is connected to.
            let opts = opts.clone().resolved_ips(Some(vec![at.ip()]));
            match Conn::new(opts).await {
                Ok(connection) => return Ok(connection),
                Err(mysql_async::Error::Server(said))
                    if matches!(said.code, 1044 | 1045 | 1049 | 1698) =>
                {
                    let why = said.message;
                    // It does not say that it wants a certificate.
                    let more = match *tls == Some(true) && self.tls.identity.is_none() {
                        true => format!("; {CLIENT_CERTIFICATE}"),
                        false => String::new(),
                    };
                    return Err(Failure::Backend(format!(
                        "the server does not let one in ({why}): check user, password and database{more}"
                    ))
                    .into());
                }
                Err(error) => {
                    let why = explained(&error);
                    last = Failure::unreachable(format!("{host} ({at}): {why}")).into();
                }
            }
        }
        Err(last)
    }

    /// What the driver takes in place of a configuration. It always checks who is there.
    async fn trust(&self) -> Result<SslOpts> {
        let roots: Vec<_> = match &self.tls.only_roots {
            Some(roots) => roots.clone(),
            None => {
                // It reads files.
                let found =
                    tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
                found.map_err(Failure::unreachable)?.certs
            }
        };
        if roots.is_empty() {
            let why = "this machine has no root certificates: install them (package `ca-certificates`), or name \
                       some as `tls-roots`";
            return Err(Failure::unreachable(why).into());
        }
        let roots = roots.into_iter().map(|one| one.to_vec().into()).collect();
        let identity = self.tls.identity.as_ref().map(|identity| {
            let (cert, key) = identity.pem();
            ClientIdentity::new(cert.to_vec().into(), key.to_vec().into())
        });
        Ok(SslOpts::default()
            .with_disable_built_in_roots(true)
            .with_root_certs(roots)
            .with_client_identity(identity))
    }

    fn silent(&self) -> SqlError {
        let (address, limit) = (&self.address, self.limit);
        Failure::unreachable(format!("{address:?} did not answer within {limit:?}")).into()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Dropping one needs a runtime, to tell the server; where there is none, it is just closed.
        drop(self.connection.take());
    }
}

struct Stop(tokio::task::AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
