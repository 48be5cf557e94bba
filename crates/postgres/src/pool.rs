//! A bounded number of connections, each of which is cleaned before somebody else has it.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use reef_egress::{Reach, TlsClient};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
    task::AbortHandle,
    time::timeout,
};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    State,
    address::Address,
    bounded::{Bounded, Secured, Watched},
    notice::Notice,
};

/// A connection that nobody used for so long is asked whether it is still there.
const FRESH: Duration = Duration::from_secs(5);
/// How long cleaning a connection, asking for it, or cancelling what it does may take.
const SHORT: Duration = Duration::from_secs(2);
/// Notifications that may wait to be taken.
const WAITING: usize = 1024;
/// Statements that a connection keeps prepared.
const PREPARED: usize = 128;
/// Undoes what a session may leave behind. Prepared statements stay: they are the pool's own.
const CLEAN: &str = "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; \
                     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// How a pool is made.
#[derive(Clone)]
pub struct Options {
    /// Connections at once.
    pub connections: usize,
    /// How long connecting may take, and waiting for a connection that is free.
    pub connect: Duration,
    /// Bytes of one message of the server: of one row.
    pub message: u64,
    /// Whom to trust and as whom to come, where the address wants TLS.
    pub tls: TlsClient,
    /// Which addresses the server's name may be reached at.
    pub reach: Arc<dyn Reach>,
    /// What drives the connections.
    pub runtime: Handle,
}

/// Connections to one server. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: managed::Pool<Manager>,
    options: Arc<Options>,
}

/// A connection that somebody has. When it is dropped, it is rolled back and reset, and kept for others; one with a
/// request under way is told to stop, and ended.
pub struct Pooled {
    object: Option<Object<Manager>>,
    busy: AtomicBool,
    options: Arc<Options>,
}

#[derive(Debug)]
struct Manager {
    connector: Arc<Connector>,
    options: Arc<Options>,
}

struct Connector {
    address: Address,
    options: Arc<Options>,
}

/// A connection.
struct Live {
    client: Client,
    watched: Arc<Watched>,
    statements: Mutex<HashMap<Arc<str>, Statement>>,
    used: Mutex<Instant>,
    at: SocketAddr,
    host: String,
    connector: Arc<Connector>,
    told: Arc<Told>,
    task: AbortHandle,
}

/// Who is told of notifications.
type Told = Mutex<Option<(mpsc::Sender<String>, Arc<AtomicU64>)>>;

/// Notifications of a channel.
#[derive(Debug)]
pub struct Notifications {
    waiting: mpsc::Receiver<String>,
    missed: Arc<AtomicU64>,
}

impl Notifications {
    /// What the next one says. None when the connection is lost.
    pub async fn recv(&mut self) -> Option<String> {
        self.waiting.recv().await
    }

    /// How many there was no room for since this was asked last: they came faster than they were taken.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

// === impl Pool ===

impl Pool {
    /// A pool for a server. It connects when it is first used.
    ///
    /// # Errors
    /// When the library refuses to make one.
    pub fn new(address: Address, options: Options) -> Result<Self, Notice> {
        let options = Arc::new(options);
        let connector = Arc::new(Connector { address, options: options.clone() });
        let manager = Manager { connector, options: options.clone() };
        let inner = managed::Pool::builder(manager).max_size(options.connections.max(1)).build();
        let inner = inner.map_err(|error| Notice::Driver(error.to_string()))?;
        Ok(Self { inner, options })
    }

    /// A connection, as soon as there is one.
    ///
    /// # Errors
    /// When all are in use, or no other can be made, in time.
    pub async fn get(&self) -> Result<Pooled, Notice> {
        let connect = self.options.connect;
        let object = match timeout(connect, self.inner.get()).await {
            Ok(Ok(object)) => object,
            Ok(Err(PoolError::Backend(notice))) => return Err(notice),
            Ok(Err(error)) => return Err(Notice::Unreachable(error.to_string())),
            Err(_) => {
                let status = self.inner.status();
                return Err(if status.available == 0 && status.size >= status.max_size {
                    Notice::Crowded(status.max_size)
                } else {
                    let hosts = &self.inner.manager().connector.address.hosts;
                    let host = hosts.first().map(|(host, port)| format!("{host}:{port}"));
                    let host = host.unwrap_or_default();
                    Notice::Unreachable(format!("{host} did not answer within {connect:?}"))
                });
            }
        };
        Ok(Pooled {
            object: Some(object),
            busy: AtomicBool::new(false),
            options: self.options.clone(),
        })
    }

    /// Connections there are, in use or not.
    pub fn size(&self) -> usize {
        self.inner.status().size
    }
}

// === impl Pooled ===

impl Pooled {
    /// The driver's client.
    ///
    /// # Errors
    /// When it was [ended](Self::end).
    pub fn client(&self) -> Result<&Client, Notice> {
        Ok(&self.live()?.client)
    }

    /// Whether it is in a transaction, as the server said after the last request.
    pub fn state(&self) -> State {
        match self.live().map(|live| live.watched.state.load(Ordering::Acquire)) {
            Ok(b'T') => State::Transaction,
            Ok(b'E') => State::Failed,
            _ => State::Idle,
        }
    }

    /// Sets how many bytes a message of the server may have.
    pub fn bound(&self, bytes: u64) {
        if let Ok(live) = self.live() {
            live.watched.most.store(bytes, Ordering::Relaxed);
        }
    }

    /// Says that a request is under way, or that it has ended.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Release);
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// A prepared statement, made if it is not known. `again` forgets the one that is known.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn prepare(&self, text: &Arc<str>, again: bool) -> Result<Statement, Notice> {
        let live = self.live()?;
        let statements = || live.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if again {
            statements().remove(text);
        } else if let Some(known) = statements().get(text) {
            return Ok(known.clone());
        }
        let made = live.client.prepare(text).await.map_err(|error| Notice::of(&error))?;
        let mut statements = statements();
        if statements.len() >= PREPARED {
            statements.clear();
        }
        statements.insert(text.clone(), made.clone());
        Ok(made)
    }

    /// The payloads of notifications from now on, for as long as this is held. It ends with the connection; those
    /// that come faster than they are taken are lost, and counted. `channel` is a name as SQL has it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn listen(&self, channel: &str) -> Result<Notifications, Notice> {
        let live = self.live()?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let told = Some((sender, missed.clone()));
        *live.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        let listening = live.client.batch_execute(&format!("LISTEN {channel}")).await;
        listening.map_err(|error| Notice::of(&error))?;
        Ok(Notifications { waiting: receiver, missed })
    }

    /// Ends it: it is of no use to anybody.
    pub fn end(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }

    fn live(&self) -> Result<&Live, Notice> {
        let live = self.object.as_deref();
        live.ok_or_else(|| Notice::Lost("the connection was ended".to_owned()))
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let busy = self.busy.load(Ordering::Acquire);
        self.options.runtime.spawn(async move {
            if busy {
                let live = Object::take(object);
                let _ = timeout(SHORT, live.cancel()).await;
            } else if !object.clean().await {
                drop(Object::take(object));
            }
        });
    }
}

// === impl Manager ===

impl managed::Manager for Manager {
    type Type = Live;
    type Error = Notice;

    async fn create(&self) -> Result<Live, Notice> {
        let (connector, limit) = (self.connector.clone(), self.options.connect);
        // Where it is made is where it lives: a worker that asks for it may end before it does.
        let made =
            self.options.runtime.spawn(timeout(limit, async move { connector.connect().await }));
        match AbortOnDrop(made).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => {
                Err(Notice::Unreachable(format!("the server did not answer within {limit:?}")))
            }
            Err(_) => Err(Notice::Unreachable("the host is ending".to_owned())),
        }
    }

    async fn recycle(&self, live: &mut Live, _: &Metrics) -> RecycleResult<Notice> {
        let used = *live.used.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = || RecycleError::message("the connection is gone");
        if live.client.is_closed() {
            return Err(gone());
        }
        if used.elapsed() > FRESH {
            let there = timeout(SHORT, live.client.check_connection()).await;
            if !matches!(there, Ok(Ok(()))) {
                return Err(gone());
            }
        }
        Ok(())
    }
}

// === impl Connector ===

impl Connector {
    async fn connect(self: Arc<Self>) -> Result<Live, Notice> {
        let mut last = Notice::Unreachable("it has no address".to_owned());
        for (host, port) in &self.address.hosts {
            let addresses = match self.options.reach.addresses(host, *port).await {
                Ok(addresses) => addresses,
                Err(why) => {
                    last = if why.contains("may not connect") {
                        Notice::Denied(why)
                    } else {
                        Notice::Unreachable(why)
                    };
                    continue;
                }
            };
            for at in addresses {
                match self.clone().connect_to(host, at).await {
                    Ok(live) => return Ok(live),
                    Err(notice @ Notice::Login(_)) => return Err(notice),
                    Err(notice) => last = notice,
                }
            }
        }
        Err(last)
    }

    async fn connect_to(self: Arc<Self>, host: &str, at: SocketAddr) -> Result<Live, Notice> {
        let stream = dial(at).await?;
        let most = self.options.message.into();
        let watched = Arc::new(Watched { most, state: AtomicU8::new(b'I') });
        let mut config: Config = self.address.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("reef");
        }
        let failed = |error: tokio_postgres::Error| match Notice::of_connecting(&error) {
            Notice::Unreachable(why) => Notice::Unreachable(format!("{host} ({at}): {why}")),
            other => other,
        };
        let runtime = &self.options.runtime;
        let told = Arc::new(Told::default());
        let (client, task) = if self.address.wants_tls() {
            let tls = Secured(self.secure(host).await?);
            let stream = Bounded::new(stream, watched.clone(), true);
            let (client, connection) = config.connect_raw(stream, tls).await.map_err(failed)?;
            (client, runtime.spawn(driving(connection, told.clone())))
        } else {
            let stream = Bounded::new(stream, watched.clone(), false);
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(failed)?;
            (client, runtime.spawn(driving(connection, told.clone())))
        };
        Ok(Live {
            client,
            watched,
            statements: Mutex::default(),
            used: Mutex::new(Instant::now()),
            at,
            host: host.to_owned(),
            told,
            task: task.abort_handle(),
            connector: self,
        })
    }

    async fn secure(
        &self,
        host: &str,
    ) -> Result<
        <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<TcpStream>>::TlsConnect,
        Notice,
    > {
        let config = self.options.tls.config_in_case().await.map_err(Notice::Unreachable)?;
        let mut make = MakeRustlsConnect::new(Arc::unwrap_or_clone(config));
        let connect =
            tokio_postgres::tls::MakeTlsConnect::<TcpStream>::make_tls_connect(&mut make, host);
        connect.map_err(|never| match never {})
    }
}

// === impl Live ===

impl Live {
    /// Whether it is as good as new.
    async fn clean(&self) -> bool {
        if self.client.is_closed() {
            return false;
        }
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let idle = self.watched.state.load(Ordering::Acquire) == b'I';
        let clean = if idle { CLEAN.to_owned() } else { format!("ROLLBACK; {CLEAN}") };
        let done = timeout(SHORT, self.client.batch_execute(&clean)).await;
        let clean = matches!(done, Ok(Ok(())));
        if clean {
            *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        clean
    }

    /// Tells the server to stop what it does for it.
    async fn cancel(&self) {
        let token = self.client.cancel_token();
        let Ok(stream) = dial(self.at).await else { return };
        let done = if self.connector.address.wants_tls() {
            let Ok(tls) = self.connector.secure(&self.host).await else { return };
            token.cancel_query_raw(stream, tls).await
        } else {
            token.cancel_query_raw(stream, NoTls).await
        };
        if let Err(error) = done {
            tracing::debug!(%error, "A statement that nobody waits for could not be stopped.");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn dial(at: SocketAddr) -> Result<TcpStream, Notice> {
    let stream = TcpStream::connect(at).await;
    let stream = stream.map_err(|error| Notice::Unreachable(format!("{at}: {error}")))?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Drives a connection to its end.
async fn driving<S, T>(mut connection: Connection<S, T>, told: Arc<Told>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(said) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
        match said {
            Ok(AsyncMessage::Notification(said)) => {
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((sender, missed)) = &*told else { continue };
                if let Err(mpsc::error::TrySendError::Full(_)) =
                    sender.try_send(said.payload().to_owned())
                {
                    missed.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "A connection to PostgreSQL ended.");
                break;
            }
        }
    }
    told.lock().unwrap_or_else(PoisonError::into_inner).take();
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("status", &self.inner.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("connections", &self.connections).finish_non_exhaustive()
    }
}
