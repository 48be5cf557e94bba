//! Why there is no artifact.

use std::time::Duration;

use http::StatusCode;
use reef_artifact::Digest;
use reef_egress::SendError;
use reef_grants::ByteSize;

use crate::{PlaceError, StoreError};

/// Why there is no artifact. Names and addresses in it are without credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing that says where.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No Bindle server was named.
    #[error(
        "{0} is in no server: name the one that has it with --bindle-server URL or BINDLE_URL, or as `bindle_server` in modules.toml"
    )]
    NoServer(String),
    /// Without TLS, to another machine.
    #[error(
        "{url} is not encrypted, and {host} is not this machine: use https, or allow it with --insecure-registry {host}"
    )]
    Plain {
        /// The address.
        url: String,
        /// Its host.
        host: String,
    },
    /// Sent on from https to http.
    #[error("{from} sends on to {to}, which is not encrypted: this is not followed")]
    Downgrade {
        /// Where it was asked.
        from: String,
        /// Where to.
        to: String,
    },
    /// Sent on from the public network into a private one.
    #[error(
        "a server of the public network sends on to {to}, which is not in it (a private, link-local or loopback address): this is not followed; if it is meant, name that address yourself"
    )]
    Inwards {
        /// Where to.
        to: String,
    },
    /// Sent on too often.
    #[error("{url} sends on more than {limit} times")]
    Redirects {
        /// Where it was asked first.
        url: String,
        /// How often is allowed.
        limit: usize,
    },
    /// Sent on to nowhere.
    #[error("{url} sends on to what is no address")]
    Location {
        /// Where it was asked.
        url: String,
    },
    /// Nobody is let in, or not this one.
    #[error("{host} does not give {what} {}: log in with `docker login {host}`{note}", if *.known { "to whom you are logged in as" } else { "to anybody" })]
    Unauthorized {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// Whether credentials were sent.
        known: bool,
        /// What was wrong with those that there may be.
        note: String,
    },
    /// Knows nobody's credentials of this kind.
    #[error("{host} gives {what} only to who logs in in a way that Reef does not have{}", if .scheme.is_empty() { String::new() } else { format!(": {}", .scheme.escape_debug()) })]
    Scheme {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What it asks for.
        scheme: String,
    },
    /// Nothing there.
    #[error("{host} has no {what}: check its name and its version")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
    },
    /// Another refusal.
    #[error("{url} answers {status}{}", advice(*.status))]
    Status {
        /// The address.
        url: String,
        /// What it answered.
        status: StatusCode,
        /// How long to wait.
        after: Option<Duration>,
    },
    /// No answer, or only a part of one.
    #[error("{url}: {cause}")]
    Send {
        /// The address.
        url: String,
        /// What happened.
        cause: SendError,
    },
    /// All of it took too long.
    #[error("{what} was not there within {within:?}")]
    Deadline {
        /// What was asked for.
        what: String,
        /// How long was waited.
        within: Duration,
    },
    /// More than any artifact has, or than was said.
    #[error("{what} is larger than {}", ByteSize(*.limit))]
    Large {
        /// What was asked for.
        what: String,
        /// How large it may be.
        limit: u64,
    },
    /// An answer that is packed, though that was not asked for.
    #[error("{url} sends what was not asked for: content-encoding {encoding}")]
    Encoded {
        /// The address.
        url: String,
        /// How it is packed.
        encoding: String,
    },
    /// Something else than was pinned.
    #[error(
        "{what} is not what it should be: its digest is {is}, not {should}; if the new one is meant, pin that"
    )]
    Digest {
        /// What was asked for.
        what: String,
        /// What it is.
        is: Digest,
        /// What it should be.
        should: Digest,
    },
    /// Not a manifest.
    #[error("{what}: what {host} answers is no manifest: {cause}")]
    Manifest {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What is wrong.
        cause: reef_oci::ManifestError,
    },
    /// No layer to run.
    #[error("{what} cannot be run: {cause}")]
    Layer {
        /// What was asked for.
        what: String,
        /// Why not.
        cause: reef_oci::LayerError,
    },
    /// Not an invoice.
    #[error("{what}: what {host} answers is no invoice: {cause}")]
    Invoice {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What is wrong.
        cause: reef_bindle::InvoiceError,
    },
    /// The invoice of another bindle.
    #[error("{host} answers with the invoice of {is} for {what}")]
    Other {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// Which it says to be.
        is: String,
    },
    /// No parcel to run.
    #[error("{what} cannot be run: {cause}")]
    Parcel {
        /// What was asked for.
        what: String,
        /// Why not.
        cause: reef_bindle::ParcelError,
    },
    /// Cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process ends.
    #[error("this process is ending")]
    Stopped,
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": Reef logs in to OCI registries only; download it yourself, and name the file"
        }
        StatusCode::TOO_MANY_REQUESTS => ": try again later",
        _ if status.is_server_error() => ": try again later",
        _ => "",
    }
}

impl Error {
    /// Whether it may be otherwise a moment later: nobody could be reached, or said that it is for now.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Send { cause, .. } => {
                !matches!(cause, SendError::Refused(_) | SendError::InvalidUri { .. })
            }
            Self::Deadline { .. } => true,
            _ => false,
        }
    }
}
