//! What runs beside requests: services that are kept running, commands at their times, connections,
//! messages.
//!
//! A task belongs to one workload and lasts until it is stopped: it is supervised, and its guests end
//! with it.

mod connections;
mod feed;
mod handler;
mod inbox;
mod messages;
mod schedule;
mod service;
mod status;
mod taking;
mod watch;

use std::{net::TcpListener, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use reef_app::Schedule;
use reef_bus::{Capacity, Subject};
use reef_capability::Failure as Refused;
use reef_engine::Background;
use reef_http::Workers;
use reef_key_value::{Watching, Wish};
use reef_messaging::{Incoming, Interest, Messaging};
use reef_wasi::Stdio;
use tokio::{sync, task::JoinHandle};

pub use self::status::{Phase, TaskStatus};
pub(crate) use self::{
    feed::{Feed, Source},
    handler::{Handler, Sort},
};
use self::{messages::Messages, status::Book, watch::Changes};
use crate::{
    Failure, Workload,
    command::{self, Given},
    deploy::{CapabilityLink, on_bus},
};

/// What makes a workload run, other than requests, with everything decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) when: When,
    /// What the guest sees after its own name.
    pub(crate) args: Vec<String>,
    /// Wall time of one run.
    pub(crate) deadline: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// All the time.
    Service { restarts: u32, window: Duration, backoff: Duration },
    /// At times of the calendar.
    Cron { schedule: Box<Schedule>, zone: TimeZone },
    /// After some time, again and again.
    Timer { every: Duration },
    /// For each connection.
    Tcp { addr: std::net::SocketAddr, idle: Duration, most: usize },
    /// For each message of another server.
    Feed { source: Box<Source>, capacity: Capacity, most: usize },
    /// For each message.
    Message {
        subject: Subject,
        queue: Option<Arc<str>>,
        /// The link that they come over: without, the host's own bus.
        link: Option<CapabilityLink>,
        capacity: Capacity,
        most: usize,
    },
    /// For each change of a store.
    Watch {
        store: String,
        /// The links that it may be in.
        links: Vec<CapabilityLink>,
        wish: Wish,
        most: usize,
    },
}

/// Where a task's work comes in. It outlives the task when another takes it over, with what waits there.
#[derive(Debug)]
pub(crate) enum Inlet {
    Connections(TcpListener),
    Feed(Feed),
    Messages(Incoming),
    Changes(Watching),
}

/// Why nothing can come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Listen(#[from] std::io::Error),
    #[error(transparent)]
    Subscribe(Refused),
    #[error(transparent)]
    Watch(Refused),
}

/// A task that goes on until it is stopped.
pub(crate) struct Task {
    pub(crate) plan: Plan,
    book: Arc<Book>,
    inlet: Option<Inlet>,
    stop: sync::watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// What a task is made of.
#[derive(Clone)]
pub(crate) struct Run {
    workload: Arc<Workload>,
    background: Arc<Background>,
    args: Vec<String>,
    deadline: Option<Duration>,
    book: Arc<Book>,
    stopped: sync::watch::Receiver<bool>,
}

// === impl Plan ===

impl Plan {
    /// What is to be handled; nothing if it starts a command.
    pub(crate) fn sort(&self) -> Option<Sort> {
        match &self.when {
            When::Feed { source, .. } => Some(source.sort()),
            When::Message { .. } => Some(Sort::Message),
            When::Cron { .. } => Some(Sort::Cron),
            When::Watch { .. } => Some(Sort::Change),
            When::Service { .. } | When::Timer { .. } | When::Tcp { .. } => None,
        }
    }

    /// Opens where its work comes in, or goes on with what another has opened there.
    pub(crate) async fn open(
        &self,
        workload: &Workload,
        other: Option<Inlet>,
        bus: &Arc<dyn Messaging>,
        workers: &Workers,
    ) -> Result<Option<Inlet>, OpenError> {
        if other.is_some() {
            return Ok(other);
        }
        Ok(match &self.when {
            When::Tcp { addr, .. } => {
                let listener = TcpListener::bind(addr)?;
                listener.set_nonblocking(true)?;
                Some(Inlet::Connections(listener))
            }
            When::Feed { source, capacity, .. } => {
                Some(Inlet::Feed(Feed::open(workload.name(), source, *capacity, workers)))
            }
            When::Message { subject, queue, link, capacity, most } => {
                let name = workload.name();
                let link = match link {
                    None => on_bus(name, bus),
                    Some(link) => {
                        let links = &workload.world.capabilities().messaging;
                        links
                            .named("wasmcloud:messaging", &link.name)
                            .map_err(OpenError::Subscribe)?
                    }
                };
                let interest = Interest {
                    name: name.clone(),
                    subject: subject.as_str().into(),
                    queue: queue.clone(),
                    capacity: *capacity,
                    most: *most,
                    ack_wait: link.backend.terms().ack_wait,
                };
                let incoming = Incoming::open(link, interest).await;
                Some(Inlet::Messages(incoming.map_err(OpenError::Subscribe)?))
            }
            When::Watch { store, wish, .. } => {
                let bucket = watch::store(workload, store).map_err(OpenError::Watch)?;
                let watching = Watching::open(bucket, wish.clone()).await;
                Some(Inlet::Changes(watching.map_err(OpenError::Watch)?))
            }
            _ => None,
        })
    }

    /// Starts it.
    pub(crate) fn start(
        self,
        workload: Arc<Workload>,
        inlet: Option<Inlet>,
        workers: &Workers,
        background: Arc<Background>,
    ) -> Task {
        let book = Arc::new(Book::new(&self.when, inlet.as_ref()));
        let (stop, stopped) = sync::watch::channel(false);
        let run = Run {
            workload,
            background,
            args: self.args.clone(),
            deadline: self.deadline,
            book: book.clone(),
            stopped,
        };
        let of_task = inlet.as_ref().and_then(|inlet| inlet.share().ok());
        let (when, all) = (self.when.clone(), workers.clone());
        let task = async move {
            match (when, of_task) {
                (When::Service { restarts, window, backoff }, _) => {
                    service::keep(run, restarts, window, backoff).await;
                }
                (When::Cron { schedule, zone }, _) => schedule::at(run, *schedule, zone).await,
                (When::Timer { every }, _) => schedule::every(run, every).await,
                (When::Tcp { idle, most, .. }, Some(Inlet::Connections(listener))) => {
                    connections::take(run, listener, idle, most, &all).await;
                }
                (When::Feed { capacity, most, .. }, Some(Inlet::Feed(feed))) => {
                    if let Some(messages) = feed::Messages::new(&run, feed, capacity) {
                        taking::take(run, messages, most, &all).await;
                    }
                }
                (When::Message { most, capacity, .. }, Some(Inlet::Messages(incoming))) => {
                    // One that was taken over had another's.
                    incoming.set_capacity(capacity).await;
                    if let Some(handler) = Handler::of(&run.workload, Sort::Message) {
                        taking::take(run, Messages { incoming, handler }, most, &all).await;
                    }
                }
                (When::Watch { store, wish, most, .. }, Some(Inlet::Changes(watching))) => {
                    if let Some(Handler::Watcher(export)) = Handler::of(&run.workload, Sort::Change)
                        && let Ok(bucket) = watch::store(&run.workload, &store)
                    {
                        // One that was taken over was another workload's.
                        watching.set(bucket.clone(), wish);
                        taking::take(run, Changes { watching, bucket, export }, most, &all).await;
                    }
                }
                (
                    When::Tcp { .. }
                    | When::Feed { .. }
                    | When::Message { .. }
                    | When::Watch { .. },
                    _,
                ) => {}
            }
        };
        // Any worker: guests that compute for long do so in the background.
        let handle = workers.spawn_on(quietest(workers), task);
        Task { plan: self, book, inlet, stop, handle }
    }
}

// === impl Inlet ===

impl Inlet {
    /// The same once more.
    fn share(&self) -> std::io::Result<Self> {
        Ok(match self {
            Self::Connections(listener) => Self::Connections(listener.try_clone()?),
            Self::Feed(feed) => Self::Feed(feed.clone()),
            Self::Messages(incoming) => Self::Messages(incoming.clone()),
            Self::Changes(watching) => Self::Changes(watching.clone()),
        })
    }
}

// === impl Task ===

impl Task {
    /// How it is.
    pub(crate) fn status(&self) -> TaskStatus {
        let mut status = self.book.status();
        match &self.inlet {
            Some(Inlet::Feed(feed)) => feed.tell(&mut status),
            Some(Inlet::Messages(incoming)) => taking::tell(incoming.state(), &mut status),
            Some(Inlet::Changes(watching)) => {
                status.dropped = watching.missed();
                taking::tell(watching.state(), &mut status);
            }
            _ => {}
        }
        status
    }

    /// Whether two of it at once would be in each other's way.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.plan.when, When::Service { .. })
    }

    /// Whether the other's work comes in where this one's does. Workloads have the same messages without
    /// sharing what waits for each.
    pub(crate) fn takes_like(&self, other: &Plan, same_workload: bool) -> bool {
        match (&self.plan.when, &other.when) {
            (When::Tcp { addr: own, .. }, When::Tcp { addr, .. }) => own == addr,
            (When::Feed { source: own, .. }, When::Feed { source, .. }) => {
                same_workload && own == source
            }
            (
                When::Message { subject: own, queue: own_queue, link: own_link, .. },
                When::Message { subject, queue, link, .. },
            ) => same_workload && own == subject && own_queue == queue && own_link == link,
            (
                When::Watch { store: own, links: own_links, wish: own_wish, .. },
                When::Watch { store, links, wish, .. },
            ) => same_workload && own == store && own_links == links && own_wish.like(wish),
            _ => false,
        }
    }

    /// Where its work comes in, for one that is to take it over.
    pub(crate) fn inlet(&self) -> std::io::Result<Option<Inlet>> {
        self.inlet.as_ref().map(Inlet::share).transpose()
    }

    /// Begins nothing any more.
    pub(crate) fn end(&mut self) {
        // First: who was told looks whether somebody else has it.
        self.inlet = None;
        self.stop.send_replace(true);
    }

    /// Begins nothing any more, and ends when what was begun has ended, or after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.end();
        if tokio::time::timeout(grace, &mut self.handle).await.is_err() {
            self.handle.abort();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

// === impl Run ===

impl Run {
    /// Resolves when the task is to end.
    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopped = self.stopped.clone();
        async move {
            // An error means that nobody is there any more who could stop it.
            let _ = stopped.wait_for(|stop| *stop).await;
        }
    }

    /// Runs the command once; says so to book and log when it did not end well.
    async fn once(&self, stdio: Stdio) -> Result<i32, Failure> {
        let mut args = vec![self.workload.name().to_string()];
        args.extend_from_slice(&self.args);
        let begun = self.book.begun();
        let background = Some(self.background.clone());
        let given = Given { args, env: Vec::new(), stdio };
        let ran = command::run_with(self.workload.clone(), given, self.deadline, background).await;
        let ended = ran.map(|ended| ended.status);
        begun.ended(&ended);
        let workload = &**self.workload.name();
        match &ended {
            Ok(0) => tracing::debug!(workload, "It ran to its end."),
            Ok(status) => tracing::warn!(workload, status, "It exited with an error."),
            Err(failure) => tracing::warn!(workload, "{failure}"),
        }
        ended
    }
}

/// The worker with the least to do.
fn quietest(workers: &Workers) -> usize {
    let load = |&worker: &usize| workers.requests(worker) + workers.connections(worker);
    (0..workers.len()).min_by_key(load).unwrap_or_default()
}
