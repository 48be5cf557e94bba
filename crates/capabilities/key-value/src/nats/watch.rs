//! What happens in a bucket, by a consumer that the client makes anew whenever it was lost, from where it had come to.

use std::time::Duration;

use async_nats::{
    datetime::DateTime,
    jetstream::{
        ErrorCode,
        kv::{Operation, Store, Watch},
    },
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use reef_capability::Failure;
use reef_egress::Backoff;
use reef_nats::{Connection, failed, jetstream_error};
use tokio::time::{sleep, timeout};

use super::{Bucket, names};
use crate::{Change, Told};

/// How often a silent bucket is looked after: it may have been made anew, and is then another one.
const SILENT: Duration = Duration::from_secs(30);

struct Watched {
    store: Store,
    watch: Watch,
    backoff: Backoff,
    connection: Connection,
    stream: String,
    /// When the bucket was made.
    made: DateTime,
    /// The last revision that is known.
    last: u64,
}

/// What happens from now on.
pub(super) async fn watch(
    bucket: &Bucket,
    connection: Connection,
) -> Result<BoxStream<'static, Told>, Failure> {
    let info = bucket.store.stream.get_info().await.map_err(|error| failed(&error))?;
    let last = info.state.last_sequence;
    let watch = bucket.store.watch_all_from_revision(last + 1).await;
    let watch = watch.map_err(|error| failed(&error))?;
    let (stream, made) = (info.config.name.clone(), info.created);
    let (store, backoff) = (bucket.store.clone(), Backoff::default());
    let watched = Watched { store, watch, backoff, connection, stream, made, last };
    Ok(stream::unfold(watched, Watched::next).boxed())
}

impl Watched {
    async fn next(mut self) -> Option<(Told, Self)> {
        loop {
            let entry = match timeout(SILENT, self.watch.next()).await {
                Ok(Some(Ok(entry))) => entry,
                Ok(other) => {
                    let error = other.and_then(Result::err);
                    tracing::debug!(?error, "The watch of a bucket of NATS was lost; it goes on.");
                    self.again().await?;
                    continue;
                }
                Err(_) if is_same(&self.connection, &self.stream, self.made).await => continue,
                Err(_) => return None,
            };
            // A consumer that is made anew before it had anything begins with what is there.
            if entry.revision <= self.last {
                continue;
            }
            self.last = entry.revision;
            self.backoff.reset();
            let Some(key) = names::read(&entry.key) else { continue };
            let value = matches!(entry.operation, Operation::Put).then_some(entry.value);
            return Some((Told::Changed(Change { key, value }), self));
        }
    }

    /// Goes on from where it was, when that can be; not if the bucket is another one.
    async fn again(&mut self) -> Option<()> {
        loop {
            if !is_same(&self.connection, &self.stream, self.made).await {
                return None;
            }
            match self.store.watch_all_from_revision(self.last + 1).await {
                Ok(watch) => {
                    self.watch = watch;
                    return Some(());
                }
                Err(error) => tracing::debug!(%error, "A bucket of NATS cannot be watched."),
            }
            sleep(self.backoff.pause()).await;
        }
    }
}

/// Whether a bucket is the one that was `made` then. While no server says, it is.
async fn is_same(connection: &Connection, stream: &str, made: DateTime) -> bool {
    let Ok(context) = connection.jetstream().await else { return true };
    match context.get_stream(stream).await {
        Ok(stream) => stream.cached_info().created == made,
        Err(error) => {
            let reason = jetstream_error(&error);
            !reason.is_some_and(|reason| reason.error_code() == ErrorCode::STREAM_NOT_FOUND)
        }
    }
}
