//! What went wrong, told apart by what can be done about it.

use std::time::Duration;

use reef_egress::{CLIENT_CERTIFICATE, explained};
use tokio_postgres::error::{DbError, SqlState};

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Notice {
    /// The server refused what was asked of it, and goes on.
    #[error("{}", .0.message())]
    Refused(Box<DbError>),
    /// The server ended the connection, or cannot serve now; what was asked may have been done.
    #[error("{0}")]
    Lost(String),
    /// No connection could be made; nothing was done.
    #[error("{0}")]
    Unreachable(String),
    /// The workload may not connect there.
    #[error("{0}")]
    Denied(String),
    /// The server does not let one in, or has no such database.
    #[error("{0}")]
    Login(String),
    /// All connections are in use.
    #[error("all {0} connections are in use")]
    Crowded(usize),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// What was asked for makes no sense to the driver, or what came does not.
    #[error("{0}")]
    Driver(String),
}

impl Notice {
    /// What an error of a request means; whether the connection can still be used is [`Self::ends`].
    pub fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return match *said.code() {
                SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::IDLE_SESSION_TIMEOUT => Self::Lost(said.message().to_owned()),
                _ => Self::Refused(Box::new(said.clone())),
            };
        }
        let text = explained(error);
        let io =
            std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
        if error.is_closed() || io { Self::Lost(text) } else { Self::Driver(text) }
    }

    /// What an error while connecting means.
    pub(crate) fn of_connecting(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // The server takes anybody's hand first, and asks for the certificate when somebody signs in.
            Some(said) if is_login(said.code()) && said.message().contains("certificate") => {
                Self::Login(format!("{}; {CLIENT_CERTIFICATE}", said.message()))
            }
            Some(said) if is_login(said.code()) => Self::Login(said.message().to_owned()),
            Some(said) => Self::Unreachable(said.message().to_owned()),
            None => {
                let text = explained(error);
                Self::Unreachable(text)
            }
        }
    }

    /// Whether the connection is of no more use.
    pub fn ends(&self) -> bool {
        match self {
            Self::Refused(said) => matches!(said.severity(), "FATAL" | "PANIC"),
            // What does not belong to the answer may go on.
            Self::Driver(why) => {
                why.starts_with("unexpected message") || why.starts_with("error parsing response")
            }
            _ => true,
        }
    }
}

fn is_login(code: &SqlState) -> bool {
    // Class 28: invalid authorization. 3D000: no such database. 42501: insufficient privilege.
    let code = code.code();
    code.starts_with("28") || code == "3D000" || code == "42501"
}
