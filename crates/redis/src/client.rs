//! One connection for commands that all of a thread's tasks share: an answer does not have to wake another thread. It is
//! made when it is first needed, and again when it was lost.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, aio::MultiplexedConnection};
use reef_egress::explained;
use tokio::{
    runtime::{Handle, Id},
    time::timeout,
};

use crate::server::{ConnectError, Server};

/// Runtimes that have a connection at most. There is one for each worker of a host; others come and go.
const CONNECTIONS: usize = 64;

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
    current: Mutex<Current>,
    /// Held by who connects.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    /// The newest last.
    connections: Vec<Numbered>,
    /// Counts connections, so that a failure ends only the one that it happened on.
    number: u64,
}

struct Numbered {
    runtime: Id,
    number: u64,
    connection: MultiplexedConnection,
}

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
        let (current, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { shared: Arc::new(Shared { server, runtime, answering, current, connecting }) }
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
        let (mut connection, number) = self.connection().await?;
        let limit = self.shared.answering;
        let failure = match timeout(limit, connection.send_packed_command(command)).await {
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
            self.shared.forget(number);
        }
        Err(failure)
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), ConnectError> {
        let shared = &self.shared;
        let runtime = Handle::try_current().unwrap_or_else(|_| shared.runtime.clone());
        if let Some(connection) = shared.connected(runtime.id()) {
            return Ok(connection);
        }
        let _connecting = shared.connecting.lock().await;
        if let Some(connection) = shared.connected(runtime.id()) {
            return Ok(connection);
        }
        let server = shared.server.clone();
        // Whoever asks may be gone before it is made.
        let made = runtime.spawn(async move { server.commands().await });
        let connection = made.await.map_err(|_| ConnectError::Closed)??;
        let mut current = shared.lock();
        if current.connections.len() >= CONNECTIONS {
            current.connections.remove(0);
        }
        current.number += 1;
        let (runtime, number) = (runtime.id(), current.number);
        current.connections.push(Numbered { runtime, number, connection: connection.clone() });
        Ok((connection, number))
    }
}

impl Shared {
    fn connected(&self, runtime: Id) -> Option<(MultiplexedConnection, u64)> {
        let current = self.lock();
        let found = current.connections.iter().find(|one| one.runtime == runtime);
        found.map(|one| (one.connection.clone(), one.number))
    }

    /// A connection is of no more use.
    fn forget(&self, number: u64) {
        self.lock().connections.retain(|one| one.number != number);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
