//! A lattice on NATS: one connection, which is made when it is first needed and comes back for ever.
//!
//! What is kept there is made when it is first asked for: a key-value bucket and an object store, each on as many
//! servers as keep it through the loss of one.

mod bus;
mod objects;
mod store;
mod watch;

use std::{path::Path, sync::Arc, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    stream::{Config, Info, Stream},
};
use reef_capability::Failure;
use reef_nats::{Connection, failed, jetstream_error, unreached};
use tokio::{runtime::Handle, time::Instant};

use crate::{Address, Lattice};

/// How long a use may take, whatever the servers do.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);
/// Between tries of what somebody else was quicker with.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a server may take to remove the files of a stream that was deleted.
const REMOVED: Duration = Duration::from_secs(1);
/// Servers that a bucket is kept on: through the loss of one.
const REPLICAS: usize = 3;

pub(crate) fn open(address: &Address) -> Result<Lattice, Failure> {
    let runtime = Handle::try_current()
        .map_err(|_| Failure::Backend("a lattice is opened outside of a runtime".to_owned()))?;
    let name = address.name();
    let wrong = |error| Failure::Invalid(format!("the address of the lattice {address}: {error}"));
    let settings = address.settings().map_err(wrong)?;
    let called = format!("reef lattice {name}");
    let connection = Connection::new(&settings, Path::new(""), &called, runtime).map_err(wrong)?;
    let bus = Arc::new(bus::Nats::new(connection.clone()));
    let store = Arc::new(store::Bucket::new(connection.clone(), name));
    let objects = Arc::new(objects::ObjectStore::new(connection, name));
    Ok(Lattice::new(name, bus, store, objects))
}

/// What was seen of a stream last.
#[derive(Clone, Copy, Debug, Default)]
enum Was {
    /// Nothing, and it may be that there is none yet.
    #[default]
    Unknown,
    There,
    /// It was there, and then not: since when.
    Gone(Instant),
}

impl Was {
    /// Whether one may be made of the name of one that is not there. The server removes the files of a stream that was
    /// deleted after it said so, and with them those of one that was made meanwhile, which then takes nothing.
    fn may_be_made(&mut self) -> bool {
        match *self {
            Self::Unknown => true,
            Self::There => {
                *self = Self::Gone(Instant::now());
                false
            }
            Self::Gone(since) => since.elapsed() >= REMOVED,
        }
    }
}

/// What a look failed with: it changed nothing, and can be tried again.
fn undone(failure: Failure) -> Failure {
    match failure {
        Failure::Unavailable { why, .. } => Failure::unreachable(why),
        other => other,
    }
}

/// A stream, which is made if it is not there.
async fn stream(
    connection: &Connection,
    context: &Context,
    wanted: Config,
    was: &mut Was,
) -> Result<Stream, Failure> {
    match context.get_stream(&wanted.name).await {
        Ok(found) => {
            *was = Was::There;
            Ok(raised(context, found).await)
        }
        Err(error) if is_missing(&error) => {
            if !was.may_be_made() {
                let why = format!(
                    "the stream `{}` was deleted; it is made anew in a moment",
                    wanted.name
                );
                return Err(Failure::unreachable(why));
            }
            let made = made(context, wanted).await?;
            *was = Was::There;
            Ok(made)
        }
        // Behind a leaf node, the hub may be away for a moment.
        Err(error) if connection.domain().is_some() => Err(unreached(failed(&error))),
        Err(error) => Err(failed(&error)),
    }
}

/// Whether an error says that there is no such stream.
fn is_missing(error: &(dyn std::error::Error + 'static)) -> bool {
    let reason = jetstream_error(error);
    reason.is_some_and(|reason| reason.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn made(context: &Context, wanted: Config) -> Result<Stream, Failure> {
    let name = wanted.name.clone();
    let of = |num_replicas| Config { num_replicas, ..wanted.clone() };
    let refused = match context.create_stream(of(REPLICAS)).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let reason = jetstream_error(&refused).map(|reason| reason.error_code());
    let alone = match reason {
        Some(ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED) => true,
        // Too few servers, or none with room.
        Some(ErrorCode::CLUSTER_NO_PEERS | ErrorCode::INSUFFICIENT_RESOURCES) => false,
        // Somebody else made it, of one replica.
        Some(ErrorCode::STREAM_NAME_EXIST) => {
            return context.get_stream(&name).await.map_err(|error| failed(&error));
        }
        _ => return Err(lacking(&refused, &name)),
    };
    match context.create_stream(of(1)).await {
        Ok(stream) => {
            if !alone {
                tracing::warn!(
                    stream = name,
                    "The NATS cluster has no {REPLICAS} servers with room: what the lattice keeps is on one of them, \
                     and is gone with it. It is kept on {REPLICAS} as soon as they are there and a host starts."
                );
            }
            Ok(stream)
        }
        Err(error) => {
            let reason = jetstream_error(&error).map(|reason| reason.error_code());
            if reason == Some(ErrorCode::STREAM_NAME_EXIST) {
                return context.get_stream(&name).await.map_err(|error| failed(&error));
            }
            Err(lacking(&error, &name))
        }
    }
}

/// Has a stream that was made in a smaller cluster kept on more servers.
async fn raised(context: &Context, found: Stream) -> Stream {
    let Info { config, cluster, .. } = found.cached_info();
    let clustered = cluster.as_ref().is_some_and(|cluster| cluster.name.is_some());
    if !clustered || config.num_replicas >= REPLICAS {
        return found;
    }
    let more = Config { num_replicas: REPLICAS, ..config.clone() };
    match context.update_stream(more).await {
        Ok(_) => tracing::info!(stream = config.name, "It is kept on {REPLICAS} servers now."),
        Err(error) => {
            tracing::debug!(stream = config.name, %error, "It stays on fewer than {REPLICAS} servers.");
        }
    }
    found
}

/// Why a stream cannot be made, with what to do.
fn lacking(error: &(dyn std::error::Error + Send + Sync + 'static), name: &str) -> Failure {
    let Some(reason) = jetstream_error(error) else { return failed(error) };
    let said = reason.to_string();
    match reason.error_code() {
        ErrorCode::STREAM_MAX_BYTES_REQUIRED => Failure::Unsupported(format!(
            "the NATS account asks for a size of each stream, which a lattice does not know: make the stream `{name}` \
             beforehand (`nats kv add`, `nats object add` with `--max-bucket-size`), or allow streams without one"
        )),
        ErrorCode::STORAGE_RESOURCES_EXCEEDED | ErrorCode::MEMORY_RESOURCES_EXCEEDED => {
            Failure::Full(format!("the NATS account has no room for `{name}`: {said}"))
        }
        // Of streams, and others that are counted.
        _ if said.contains("maximum number") => Failure::Unsupported(format!(
            "the NATS account may not have the stream `{name}` ({said}): a lattice has two; raise its limit"
        )),
        _ => failed(error),
    }
}
