//! Why an application does not run.

use std::{io, sync::Arc, time::Duration};

use super::Change;
use crate::{Failure, PrepareError, fetch::FetchError, serve::ServeError};

/// Why an application does not run as it was ordered.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A variable without a value.
    #[error(
        "{application}: the variable `{name}` has no value; give it one with --var {name}=VALUE or {environment}"
    )]
    NoValue {
        /// Which application.
        application: String,
        /// Which variable.
        name: String,
        /// Where the environment would hold it.
        environment: String,
    },
    /// A value, put together from variables, that is not what is wanted there.
    #[error("{workload}: {why}")]
    Value {
        /// Which workload.
        workload: String,
        /// What is wrong with it.
        why: String,
    },
    /// A workload that is named and not there.
    #[error("{application} has no workload `{workload}`")]
    NoWorkload {
        /// Which application.
        application: String,
        /// The name.
        workload: String,
    },
    /// No artifact.
    #[error("{workload}: {cause}")]
    Fetch {
        /// Which workload.
        workload: String,
        /// Why not.
        cause: Box<FetchError>,
    },
    /// Another artifact than the one that was pinned.
    #[error(
        "{workload}: {artifact} is not what the manifest pins: its digest is {is}, not {pinned}"
    )]
    Digest {
        /// Which workload.
        workload: String,
        /// Where it is from.
        artifact: String,
        /// What it is.
        is: String,
        /// What it should be.
        pinned: String,
    },
    /// Its parts do not fit.
    #[error("{workload} cannot be composed: {cause}")]
    Compose {
        /// Which workload.
        workload: String,
        /// Why not.
        cause: Box<reef_compose::ComposeError>,
    },
    /// Something that Reef does not do yet.
    #[error("{workload}: {what} is not there yet in Reef; leave it out to run the rest")]
    NotYet {
        /// Which workload.
        workload: String,
        /// What.
        what: String,
    },
    /// A link to another application, where there is no other.
    #[error(
        "{workload}: the link of `{import}` is to another application, which only a lattice has; start a host with \
         `reef host` and hand it both with `reef apply`"
    )]
    Elsewhere {
        /// Which workload.
        workload: String,
        /// What it imports by that link.
        import: String,
    },
    /// Cannot be compiled or linked.
    #[error(transparent)]
    Prepare(Box<PrepareError>),
    /// Cannot answer requests.
    #[error(transparent)]
    Serve(Box<ServeError>),
    /// Two want the same requests.
    #[error(transparent)]
    Route(#[from] reef_http::RouteConflict),
    /// Cannot be instantiated, or its command of the start did not end.
    #[error(transparent)]
    Failure(Box<Failure>),
    /// Its command of the start ended with an error.
    #[error("{workload}: the command of its start ended with status {status}; its log says why")]
    StartFailed {
        /// Which workload.
        workload: Arc<str>,
        /// Its exit status.
        status: i32,
    },
    /// Does not say that it is ready.
    #[error("{workload} is not ready: {why}, asked at {path} for {within:?}")]
    NotReady {
        /// Which workload.
        workload: Arc<str>,
        /// The path it was asked at.
        path: String,
        /// For how long.
        within: Duration,
        /// What it did instead.
        why: String,
    },
    /// An address cannot be listened at.
    #[error("{workload} cannot listen: {cause}; free the address, or name another one")]
    Listen {
        /// Which workload.
        workload: Arc<str>,
        /// What the system said.
        cause: io::Error,
    },
    /// What carries them does not let it subscribe.
    #[error("{workload} cannot have its messages: {cause}")]
    Subscribe {
        /// Which workload.
        workload: Arc<str>,
        /// Why not.
        cause: reef_capability::Failure,
    },
    /// Its store cannot be watched.
    #[error("{workload} cannot watch its store: {cause}")]
    Watch {
        /// Which workload.
        workload: Arc<str>,
        /// Why not.
        cause: reef_capability::Failure,
    },
    /// No such application.
    #[error("there is no application `{application}`{}", among(.there))]
    NoApplication {
        /// The name.
        application: String,
        /// Those that there are.
        there: Vec<String>,
    },
    /// No such revision.
    #[error("{application} has no such revision to go back to{}", .there.iter().map(u64::to_string).reduce(|a, b| format!("{a}, {b}")).map(|all| format!("; there is {all}")).unwrap_or_default())]
    NoRevision {
        /// Which application.
        application: String,
        /// Those that there are.
        there: Vec<u64>,
    },
    /// Another change does not end.
    #[error(
        "another change is in progress ({present}); try again when it is over, or end it with `reef stop {}`",
        .present.application
    )]
    Busy {
        /// The other one.
        present: Change,
    },
    /// The application, or the host, is to be stopped.
    #[error("{what} of {application} was called off: it is to be stopped")]
    CalledOff {
        /// What was done.
        what: &'static str,
        /// With which application.
        application: String,
    },
    /// The host ends.
    #[error("the host is stopping")]
    Stopped,
}

impl From<PrepareError> for DeployError {
    fn from(error: PrepareError) -> Self {
        Self::Prepare(error.into())
    }
}

impl From<Failure> for DeployError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<ServeError> for DeployError {
    fn from(error: ServeError) -> Self {
        Self::Serve(error.into())
    }
}

fn among(there: &[String]) -> String {
    match there {
        [] => "; none is running".to_owned(),
        there => format!("; there is {}", there.join(", ")),
    }
}
