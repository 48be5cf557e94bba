//! Listening addresses and the connections on them, from bind to drain.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::JoinSet;

use crate::access_log::AccessLog;
use crate::connection;
use crate::handler::{Handler, Peer};
use crate::limits::Limits;
use crate::listener::{self, BindError};
use crate::refusal::Refusal;
use crate::request_id::RequestIds;
use crate::stats::ServerStats;
use crate::tls::Tls;
use crate::workers::Workers;

/// Connections over the limit that are answered at one moment; more are closed without a word.
const MAX_REFUSING: usize = 64;

/// How long a connection over the limit is given to take its answer.
const REFUSING: Duration = Duration::from_secs(1);

/// How long connections that were cut may take to notice.
const CUTTING: Duration = Duration::from_secs(1);

/// What a server listens on and how.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Addresses; port 0 takes a free one.
    pub addrs: Vec<SocketAddr>,
    /// What clients may do.
    pub limits: Limits,
    /// A certificate makes every address of this server TLS.
    pub tls: Option<Tls>,
    /// How long requests in progress may go on after the shutdown began. Default 30 s.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// One address, in the clear, with the default limits.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addrs: vec![addr],
            limits: Limits::default(),
            tls: None,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// A server that listens but does not accept yet. Several servers can share [`Workers`], one for
/// an admin address for example.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(TcpListener, SocketAddr)>,
    tls: Option<Tls>,
    drain_timeout: Duration,
    running: Running,
}

/// What became of the requests in progress when the shutdown began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Answered to the end.
    pub completed: u64,
    /// Broken off at the deadline.
    pub cut: u64,
}

/// What all connections of one server share.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) signal: Signal,
    pub(crate) workers: Workers,
    pub(crate) h1: http1::Builder,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) request_ids: RequestIds,
    refusing: AtomicUsize,
    /// Told when the last connection has ended.
    none_open: Notify,
}

impl Running {
    async fn all_closed(&self) {
        loop {
            let told = self.none_open.notified();
            if self.stats.open.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }
}

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    /// No new connection, no new request on an old one.
    Draining,
    /// Everything ends now.
    Cut,
}

/// The phase, for all connections to see.
#[derive(Debug)]
pub(crate) struct Signal {
    phase: AtomicU8,
    changed: Notify,
}

impl Signal {
    fn new() -> Self {
        Self { phase: AtomicU8::new(Phase::Running as u8), changed: Notify::new() }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Ready when the phase has changed after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    pub(crate) async fn cut(&self) {
        self.reached(Phase::Cut).await;
    }

    async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.changed();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }
}

impl Server {
    /// Listens on every address of `config`.
    ///
    /// # Errors
    /// Names the address and what to do about it.
    pub fn bind(config: ServerConfig, workers: &Workers) -> Result<Self, BindError> {
        if config.addrs.is_empty() {
            return Err(BindError::NoAddress);
        }
        let mut listeners = Vec::with_capacity(config.addrs.len());
        for addr in config.addrs {
            let listener = listener::bind(addr)?;
            let local =
                listener.local_addr().map_err(|source| BindError::Other { addr, source })?;
            listeners.push((listener, local));
        }
        let running = Running {
            h1: connection::h1_builder(&config.limits),
            access_log: None,
            request_ids: RequestIds::Off,
            limits: config.limits,
            stats: Arc::new(ServerStats::new(workers.len())),
            signal: Signal::new(),
            workers: workers.clone(),
            refusing: AtomicUsize::new(0),
            none_open: Notify::new(),
        };
        Ok(Self { listeners, tls: config.tls, drain_timeout: config.drain_timeout, running })
    }

    /// Writes a line for every request, also for those that this server answers itself because
    /// they break a rule or a limit. A head that cannot be read, or is too large to be, has no line.
    #[must_use]
    pub fn with_access_log(mut self, log: AccessLog) -> Self {
        self.running.access_log = Some(log);
        self
    }

    /// Names requests.
    #[must_use]
    pub fn with_request_ids(mut self, ids: RequestIds) -> Self {
        self.running.request_ids = ids;
        self
    }

    /// The addresses listened on, with the ports that were taken for 0.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, addr)| *addr).collect()
    }

    /// The counters of this server.
    pub fn stats(&self) -> Arc<ServerStats> {
        Arc::clone(&self.running.stats)
    }

    /// Answers requests with `handler` until `shutdown` is ready, then drains: it stops listening,
    /// lets each connection finish the requests it has (HTTP/1.1 with `Connection: close`, HTTP/2
    /// with GOAWAY), and cuts what is left when `drain_timeout` has passed.
    ///
    /// Connections are accepted on the runtime that this future runs on, and served on the workers.
    /// Dropping the future cuts every connection.
    ///
    /// # Errors
    /// The runtime cannot watch the listening sockets.
    pub async fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        shutdown: impl Future<Output = ()>,
    ) -> std::io::Result<DrainReport> {
        let running = Arc::new(self.running);
        let cut_on_drop = CutOnDrop(Arc::clone(&running));
        let mut tasks = JoinSet::new();
        for (listener, local) in self.listeners {
            let acceptor = Acceptor {
                running: Arc::clone(&running),
                handler: Arc::clone(&handler),
                tls: self.tls.clone(),
                local,
            };
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(async move {
                let stats = Arc::clone(&acceptor.running.stats);
                listener::accept(listener, &stats, |stream, remote| acceptor.take(stream, remote))
                    .await;
            });
        }
        if let Some(tls) = self.tls {
            tasks.spawn(tls.watch());
        }
        shutdown.await;
        let report = drain(&running, self.drain_timeout, tasks).await;
        drop(cut_on_drop);
        Ok(report)
    }
}

struct CutOnDrop(Arc<Running>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.signal.set(Phase::Cut);
    }
}

async fn drain(running: &Running, timeout: Duration, mut listening: JoinSet<()>) -> DrainReport {
    let ended = |now: crate::StatsSnapshot| now.requests - now.requests_in_flight;
    let before = ended(running.stats.snapshot());
    running.signal.set(Phase::Draining);
    // Ends the accepting tasks, and with them the listening sockets.
    listening.shutdown().await;
    let mut all_closed = pin!(running.all_closed());
    let in_time = tokio::time::timeout(timeout, all_closed.as_mut()).await.is_ok();
    let after = running.stats.snapshot();
    if !in_time {
        running.signal.set(Phase::Cut);
        if tokio::time::timeout(CUTTING, all_closed).await.is_err() {
            tracing::warn!("a connection does not end: its handler does not give its thread back");
        }
    }
    let cut = if in_time { 0 } else { after.requests_in_flight };
    DrainReport { completed: ended(after).saturating_sub(before), cut }
}

/// What takes the connections of one listener.
struct Acceptor<H> {
    running: Arc<Running>,
    handler: Arc<H>,
    tls: Option<Tls>,
    local: SocketAddr,
}

impl<H: Handler> Acceptor<H> {
    fn take(&self, stream: std::net::TcpStream, remote: SocketAddr) {
        let running = &self.running;
        running.stats.accepted();
        let open = running.stats.open.fetch_add(1, Ordering::AcqRel);
        let worker = running.workers.fewest_connections();
        let live = Live::new(Arc::clone(running), worker);
        if open >= running.limits.max_connections {
            running.stats.refused();
            if self.tls.is_none() {
                refuse(live, stream);
            }
            return;
        }
        let (handler, tls, local) = (Arc::clone(&self.handler), self.tls.clone(), self.local);
        running.workers.spawn_on(worker, async move {
            let connected = async {
                // Answers are written whole: waiting for more to send would only delay them.
                stream.set_nodelay(true)?;
                // Listening on all addresses, which one was it?
                let local = if local.ip().is_unspecified() { stream.local_addr()? } else { local };
                std::io::Result::Ok((TcpStream::from_std(stream)?, local))
            };
            match connected.await {
                Ok((stream, local)) => {
                    let peer = Peer { remote, local, tls: tls.is_some() };
                    let running = Arc::clone(&live.running);
                    connection::serve(stream, handler, running, tls, peer, live.worker).await;
                }
                Err(error) => tracing::debug!(%remote, %error, "connection lost"),
            }
            drop(live);
        });
    }
}

/// Tells a client over the limit that it is, unless many are being told already.
fn refuse(live: Live, stream: std::net::TcpStream) {
    let running = Arc::clone(&live.running);
    if running.refusing.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSING {
        running.refusing.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let workers = running.workers.clone();
    workers.spawn_on(live.worker, async move {
        let refusal = Refusal::TooManyConnections { limit: running.limits.max_connections };
        let text = format!("{refusal}\n");
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
             content-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{text}",
            text.len(),
        );
        let telling = async {
            let mut stream = TcpStream::from_std(stream)?;
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // Until the client closes: see `LINGER` of connections.
            let mut scratch = [0; 1024];
            while tokio::io::AsyncReadExt::read(&mut stream, &mut scratch).await? > 0 {}
            std::io::Result::Ok(())
        };
        // A client that does not take it has been told as well as can be.
        let _ = tokio::time::timeout(REFUSING, telling).await;
        running.refusing.fetch_sub(1, Ordering::Relaxed);
        drop(live);
    });
}

/// A connection that is counted while it lives.
struct Live {
    running: Arc<Running>,
    worker: usize,
}

impl Live {
    /// The server's own count is taken by the caller, who has to compare it.
    fn new(running: Arc<Running>, worker: usize) -> Self {
        running.workers.load(worker).connections.fetch_add(1, Ordering::Relaxed);
        Self { running, worker }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let running = &self.running;
        running.workers.load(self.worker).connections.fetch_sub(1, Ordering::Relaxed);
        if running.stats.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            running.none_open.notify_waiters();
        }
    }
}
