//! Why a request got no response.

use std::io;
use std::time::Duration;

use crate::BoxError;
use crate::policy::Refusal;
use crate::resolver::LookupError;

/// Why a request could not be answered, or a response's body not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{uri:?} cannot be requested: {reason}")]
    InvalidUri { uri: String, reason: String },
    #[error(transparent)]
    DnsFailed(#[from] LookupError),
    #[error("{authority} refused the connection")]
    ConnectionRefused { authority: String },
    #[error("cannot connect to {authority}: {reason}")]
    ConnectFailed { authority: String, reason: String },
    #[error("no connection to {authority} within {after:?}")]
    ConnectTimeout { authority: String, after: Duration },
    #[error(
        "all {limit} connections of workload `{workload}` are in use, and none became free within \
         {after:?}"
    )]
    TooManyConnections { workload: String, limit: usize, after: Duration },
    #[error("no TLS with {authority}: {reason}")]
    Tls { authority: String, reason: String },
    #[error("no response within {0:?} of the request")]
    FirstByteTimeout(Duration),
    #[error("the response stalled for {0:?}")]
    BetweenBytesTimeout(Duration),
    #[error("request and response together took longer than {0:?}")]
    Timeout(Duration),
    #[error("the connection was closed: {0}")]
    ConnectionClosed(String),
    #[error("the exchange broke the rules of HTTP: {0}")]
    ProtocolError(String),
    #[error("the request's body failed: {0}")]
    BodyError(String),
}

/// Marks an error of the caller's request body on its way through the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RequestBodyFailed(pub(crate) BoxError);

impl SendError {
    /// Sorts an error of the HTTP client: by the innermost cause that says enough.
    pub(crate) fn classify(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = vec![error];
        while let Some(cause) = chain.last().and_then(|error| error.source()) {
            chain.push(cause);
        }
        if let Some(ours) = chain.iter().find_map(|error| error.downcast_ref::<Self>()) {
            return ours.clone();
        }
        if let Some(body) = chain.iter().find_map(|error| error.downcast_ref::<RequestBodyFailed>())
        {
            return Self::BodyError(body.to_string());
        }
        let reason = chain.last().map(ToString::to_string).unwrap_or_default();
        let hyper = chain.iter().find_map(|error| error.downcast_ref::<hyper::Error>());
        if let Some(error) = hyper
            && (error.is_incomplete_message()
                || error.is_closed()
                || error.is_canceled()
                || error.is_timeout())
        {
            return Self::ConnectionClosed(reason);
        }
        match chain.iter().find_map(|error| error.downcast_ref::<io::Error>()) {
            // Hyper reports a body whose framing is broken as an I/O error, too.
            Some(error)
                if error.kind() != io::ErrorKind::InvalidData
                    && error.kind() != io::ErrorKind::InvalidInput =>
            {
                Self::ConnectionClosed(reason)
            }
            _ => Self::ProtocolError(reason),
        }
    }
}

/// The causes of an error in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !line.ends_with(&cause_text) {
            line = format!("{line}: {cause_text}");
        }
        source = cause.source();
    }
    line
}
