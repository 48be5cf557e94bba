//! What runs beside requests: services that are kept running, commands at their times, connections.
//!
//! A task belongs to one workload and lasts until it is stopped: it is supervised, and its guests end
//! with it.

mod connections;
mod schedule;
mod service;
mod status;

use std::{net::TcpListener, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use reef_app::Schedule;
use reef_engine::Background;
use reef_http::Workers;
use reef_wasi::Stdio;
use tokio::{sync::watch, task::JoinHandle};

use self::status::Book;
pub use self::status::{Phase, TaskStatus};
use crate::{Failure, Workload, command};

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
}

/// A task that goes on until it is stopped.
pub(crate) struct Task {
    pub(crate) plan: Plan,
    book: Arc<Book>,
    listener: Option<TcpListener>,
    stop: watch::Sender<bool>,
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
    stopped: watch::Receiver<bool>,
}

// === impl Plan ===

impl Plan {
    /// Binds what it listens at; a listener of the same address is taken over from `other`, with the
    /// connections that wait there.
    pub(crate) fn bind(&self, other: Option<&Task>) -> std::io::Result<Option<TcpListener>> {
        let When::Tcp { addr, .. } = &self.when else { return Ok(None) };
        let same = other.filter(|task| match &task.plan.when {
            When::Tcp { addr: theirs, .. } => theirs == addr,
            _ => false,
        });
        let listener = match same.and_then(|task| task.listener.as_ref()) {
            Some(listener) => listener.try_clone()?,
            None => TcpListener::bind(addr)?,
        };
        listener.set_nonblocking(true)?;
        Ok(Some(listener))
    }

    /// Starts it.
    pub(crate) fn start(
        self,
        workload: Arc<Workload>,
        listener: Option<TcpListener>,
        workers: &Workers,
        background: Arc<Background>,
    ) -> Task {
        let book = Arc::new(Book::new(&self.when, listener.as_ref()));
        let (stop, stopped) = watch::channel(false);
        let run = Run {
            workload,
            background,
            args: self.args.clone(),
            deadline: self.deadline,
            book: book.clone(),
            stopped,
        };
        let of_task = listener.as_ref().and_then(|listener| listener.try_clone().ok());
        let (when, all) = (self.when.clone(), workers.clone());
        let task = async move {
            match when {
                When::Service { restarts, window, backoff } => {
                    service::keep(run, restarts, window, backoff).await;
                }
                When::Cron { schedule, zone } => schedule::at(run, *schedule, zone).await,
                When::Timer { every } => schedule::every(run, every).await,
                When::Tcp { idle, most, .. } => {
                    if let Some(listener) = of_task {
                        connections::take(run, listener, idle, most, &all).await;
                    }
                }
            }
        };
        // Any worker: guests that compute for long do so in the background.
        let handle = workers.spawn_on(quietest(workers), task);
        Task { plan: self, book, listener, stop, handle }
    }
}

// === impl Task ===

impl Task {
    /// How it is.
    pub(crate) fn status(&self) -> TaskStatus {
        self.book.status()
    }

    /// Whether two of it at once would be in each other's way.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.plan.when, When::Service { .. })
    }

    /// Whether it listens where the other is to listen.
    pub(crate) fn listens_like(&self, other: &Plan) -> bool {
        match (&self.plan.when, &other.when) {
            (When::Tcp { addr: own, .. }, When::Tcp { addr, .. }) => own == addr,
            _ => false,
        }
    }

    /// Begins nothing any more, and ends when what was begun has ended, or after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        self.listener = None;
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
        let ran =
            command::run_with(self.workload.clone(), args, stdio, self.deadline, background).await;
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
