//! What comes out of a stream, some messages at a time, so that no more is ever held.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    object_store::ObjectInfo as Meta,
};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use reef_capability::Failure;
use reef_nats::failed;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{Opened, WITHIN};
use crate::{
    Digest, ObjectStream,
    objects::{hex, is_not},
};

/// Pieces that are asked for at once.
const PIECES: usize = 8;
/// How long a reader that asks for nothing is remembered by the server.
const IDLE: Duration = Duration::from_secs(300);
/// How long the server may take to begin with what was asked for.
const EXPIRES: Duration = Duration::from_secs(4);

/// Messages of a stream on one subject, in their order.
pub(super) struct Reader {
    opened: Arc<Opened>,
    consumer: PullConsumer,
    batch: Option<pull::Batch>,
    /// How many are asked for at once, and how many of those have come.
    most: usize,
    came: usize,
    /// Messages that the server has for this yet.
    pending: u64,
    /// The consumer's number of the next one: if it is another, one was lost on the way.
    next: u64,
}

/// An object, verified at its end.
pub(super) async fn object(
    opened: Arc<Opened>,
    digest: Digest,
    meta: Meta,
    at: u64,
) -> Result<ObjectStream, Failure> {
    let subject = opened.pieces_subject(&meta.nuid);
    let reader = Reader::open(opened, subject, PIECES).await?;
    let reading = Reading { reader, digest, about: Some((meta, at)), hash: Sha256::new() };
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

struct Reading {
    reader: Reader,
    digest: Digest,
    /// None at the end.
    about: Option<(Meta, u64)>,
    hash: Sha256,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        if let Some(piece) = self.reader.next().await? {
            self.hash.update(&piece);
            return Ok(Some((piece, self)));
        }
        let Some((meta, at)) = self.about.take() else { return Ok(None) };
        if hex(&std::mem::take(&mut self.hash).finalize()) == self.digest.hex() {
            return Ok(None);
        }
        // Not there is better than there and wrong: it can be put again. Unless it was replaced meanwhile.
        let digest = &self.digest;
        tracing::error!(%digest, "An object of the lattice is damaged, and is dropped.");
        let _ = self.reader.opened.remove(digest, meta, at).await;
        Err(is_not(digest, &"the lattice's object store"))
    }
}

impl Reader {
    pub(super) async fn open(
        opened: Arc<Opened>,
        subject: String,
        most: usize,
    ) -> Result<Self, Failure> {
        let config = pull::Config {
            filter_subject: subject,
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = opened.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        let pending = consumer.cached_info().num_pending;
        Ok(Self { opened, consumer, batch: None, most, came: 0, pending, next: 1 })
    }

    pub(super) fn stream(self) -> BoxStream<'static, Result<Bytes, Failure>> {
        let next = |mut reader: Self| async move {
            Ok(reader.next().await?.map(|message| (message, reader)))
        };
        stream::try_unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            // A batch that there is nothing for ends when it expires.
            if self.pending == 0 {
                self.batch = None;
                return Ok(None);
            }
            let batch = match &mut self.batch {
                Some(batch) => batch,
                none => {
                    let ask = self.consumer.fetch().max_messages(self.most).expires(EXPIRES);
                    self.came = 0;
                    let batch = timeout(WITHIN, ask.messages()).await;
                    let batch = batch.map_err(|_| Failure::Timeout(WITHIN))?;
                    none.insert(batch.map_err(|error| failed(&error))?)
                }
            };
            // It ends by itself, too; this is for a server that says nothing any more.
            let next = timeout(WITHIN, batch.next()).await;
            match next.map_err(|_| Failure::Timeout(WITHIN))? {
                Some(Ok(message)) => {
                    let number = message.info().map_err(|error| Failure::lost(&error))?;
                    if number.consumer_sequence != self.next {
                        return Err(Failure::lost("a message of NATS was lost on the way"));
                    }
                    self.next += 1;
                    self.came += 1;
                    self.pending = number.pending;
                    return Ok(Some(message.message.payload));
                }
                Some(Err(error)) => return Err(failed(&*error)),
                None => {
                    self.batch = None;
                    if self.came == 0 {
                        return Err(Failure::lost("NATS does not go on with an object"));
                    }
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let stream = self.opened.stream.clone();
        let name = self.consumer.cached_info().name.clone();
        // The server would forget it by itself, later.
        self.opened.connection.runtime().spawn(async move {
            let _ = timeout(WITHIN, stream.delete_consumer(&name)).await;
        });
    }
}
