//! Connections for commands that all of a thread's tasks share: an answer does not have to wake another thread. One is
//! made when it is first needed, and again when it was lost; a second where many ask at once, so that the server answers
//! some while this thread goes on with others.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, aio::MultiplexedConnection};
use reef_egress::explained;
use tokio::{
    runtime::{Handle, Id},
    time::timeout,
};

use crate::server::{ConnectError, Server};

/// Connections at most. There is a runtime for each worker of a host; others come and go.
const CONNECTIONS: usize = 128;
/// Connections of one runtime at most.
const OWN: usize = 2;
/// Commands on the way over a connection before there is another one: below that, they do not wait for each other.
const MANY: usize = 8;
/// How long one connection is enough for a runtime that could not have another.
const CONTENT: Duration = Duration::from_secs(5);

/// Connections for commands, of which each runtime has its own. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    server: Server,
    /// What drives the connection of who asks from elsewhere.
    runtime: Handle,
    answering: Duration,
    /// The newest last.
    open: ArcSwap<Vec<Arc<Open>>>,
    /// Held by who changes those.
    opening: Mutex<()>,
    /// Counts connections, so that a failure ends only the one that it happened on.
    number: AtomicU64,
    /// Held by who connects; when a connection beside another one was refused.
    connecting: tokio::sync::Mutex<Option<Instant>>,
}

struct Open {
    runtime: Id,
    number: u64,
    connection: MultiplexedConnection,
    /// Commands that are on the way.
    asked: AtomicUsize,
}

/// A command on its way.
struct Asked(Arc<Open>);

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no connection: nothing was done.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended before the answer: it may have been done.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// There was no answer in time: it may have been done, or may still be.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
    /// The server says no.
    #[error("{text}")]
    Refused {
        /// The first word of what it says: `WRONGTYPE`.
        code: String,
        /// All of it.
        text: String,
    },
    /// It said something else than it was asked for.
    #[error("it answered something that makes no sense: {0}")]
    Garbage(String),
}

impl Client {
    /// A client of a server, which is to answer each command within `answering`. Nothing is connected to yet.
    pub fn new(server: Server, answering: Duration, runtime: Handle) -> Self {
        Self {
            shared: Arc::new(Shared {
                server,
                runtime,
                answering,
                open: ArcSwap::default(),
                opening: Mutex::default(),
                number: AtomicU64::new(0),
                connecting: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// Has a command carried out. It is sent once.
    ///
    /// # Errors
    /// When there is no answer, or it is no `T`.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CommandError> {
        let runtime = Handle::try_current().unwrap_or_else(|_| self.shared.runtime.clone());
        let open = match self.shared.quietest(runtime.id()) {
            Some((open, true)) => open,
            // Apart: every command is as large as what it may have to wait for.
            known => Box::pin(self.connection(runtime, known)).await?,
        };
        let open = Asked::over(open);
        let mut connection = open.0.connection.clone();
        let limit = self.shared.answering;
        let sent = pin!(connection.send_packed_command(command));
        let failure = match timeout(limit, sent).await {
            Ok(Ok(answer)) => {
                // What the server says no to comes as an answer, too.
                let answer = answer.extract_error().map_err(failure)?;
                return T::from_redis_value(answer)
                    .map_err(|error| CommandError::Garbage(error.to_string()));
            }
            Ok(Err(error)) => failure(error),
            Err(_) => CommandError::Timeout(limit),
        };
        if !matches!(failure, CommandError::Refused { .. }) {
            self.shared.forget(open.0.number);
        }
        Err(failure)
    }

    /// A connection of the runtime, where there is none yet or another one would be of use. `known`: the one over which
    /// the fewest commands are on the way.
    async fn connection(
        &self,
        runtime: Handle,
        known: Option<(Arc<Open>, bool)>,
    ) -> Result<Arc<Open>, ConnectError> {
        let shared = &self.shared;
        let known = known.map(|(open, _)| open);
        let mut connecting = match &known {
            Some(open) => {
                // Another one is made by whoever finds nobody else at it; the others go on with what there is.
                let Ok(connecting) = shared.connecting.try_lock() else { return Ok(open.clone()) };
                let refused = connecting.is_some_and(|at| at.elapsed() < CONTENT);
                if refused || !shared.is_short(runtime.id()) {
                    return Ok(open.clone());
                }
                connecting
            }
            None => {
                let connecting = shared.connecting.lock().await;
                if let Some((open, _)) = shared.quietest(runtime.id()) {
                    return Ok(open);
                }
                connecting
            }
        };
        let server = shared.server.clone();
        // Whoever asks may be gone before it is made.
        let made = runtime.spawn(async move { server.commands().await });
        let connection = match (made.await.map_err(|_| ConnectError::Closed).flatten(), known) {
            (Ok(connection), _) => connection,
            (Err(_), Some(open)) => {
                *connecting = Some(Instant::now());
                return Ok(open);
            }
            (Err(error), None) => return Err(error),
        };
        let number = shared.number.fetch_add(1, Ordering::Relaxed) + 1;
        let (runtime, asked) = (runtime.id(), AtomicUsize::new(0));
        let open = Arc::new(Open { runtime, number, connection, asked });
        shared.change(|all| {
            if all.len() >= CONNECTIONS {
                all.remove(0);
            }
            all.push(open.clone());
        });
        drop(connecting);
        Ok(open)
    }
}

impl Shared {
    /// The connection of a runtime to ask over, and whether another one would be of no use.
    fn quietest(&self, runtime: Id) -> Option<(Arc<Open>, bool)> {
        let all = self.open.load();
        let own = || all.iter().filter(|one| one.runtime == runtime);
        let asked = |one: &&Arc<Open>| one.asked.load(Ordering::Relaxed);
        let open = own().min_by_key(asked)?;
        let enough = asked(&open) < MANY || own().count() >= OWN;
        Some((open.clone(), enough))
    }

    /// Whether a runtime may have one more connection.
    fn is_short(&self, runtime: Id) -> bool {
        self.open.load().iter().filter(|one| one.runtime == runtime).count() < OWN
    }

    /// A connection is of no more use.
    fn forget(&self, number: u64) {
        self.change(|all| all.retain(|one| one.number != number));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Open>>)) {
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::clone(&self.open.load());
        change(&mut all);
        self.open.store(Arc::new(all));
    }
}

impl Asked {
    fn over(open: Arc<Open>) -> Self {
        open.asked.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

fn failure(error: RedisError) -> CommandError {
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            CommandError::Garbage(error.to_string())
        }
        ErrorKind::Io | ErrorKind::Client => CommandError::Lost(explained(&error)),
        _ => match error.code() {
            Some(code) => {
                let detail = error.detail().unwrap_or_default();
                let text = format!("{code} {detail}").trim_end().to_owned();
                CommandError::Refused { code: code.to_owned(), text }
            }
            None if error.is_unrecoverable_error() => CommandError::Lost(error.to_string()),
            None => CommandError::Refused { code: String::new(), text: error.to_string() },
        },
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.shared.server).finish()
    }
}
