//! What comes out of a stream: an object's pieces, and the names of objects. Both are asked for a few messages at
//! a time, so that no more is ever held.

use std::{ops::Range, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    object_store::ObjectInfo as Meta,
};
use bytes::Bytes;
use futures::StreamExt as _;
use reef_capability::Failure;
use reef_nats::failed;
use tokio::runtime::Handle;

use super::{Bucket, changed};
use crate::store::PAGE;

/// Pieces that are asked for at once.
const PIECES: usize = 8;
/// How long a reader that asks for nothing is remembered by the server.
const IDLE: Duration = Duration::from_secs(300);
/// How long the server may take to begin with what was asked for.
const EXPIRES: Duration = Duration::from_secs(4);

/// An object's bytes.
pub(super) struct Pieces {
    reader: Reader,
    object: String,
    /// How many bytes were seen, whether they were wanted or not.
    at: u64,
    wanted: Range<u64>,
}

/// The names of all objects.
pub(super) struct Listing {
    reader: Reader,
}

/// Messages of a stream on one subject, in their order.
struct Reader {
    bucket: Bucket,
    consumer: PullConsumer,
    batch: Option<pull::Batch>,
    /// How many are asked for at once, and how many of those have come.
    most: usize,
    came: usize,
    /// Messages that the server has for this yet.
    pending: u64,
    /// The consumer's number of the next one: if it is another, one was lost on the way.
    next: u64,
    /// What removes the consumer when it is not needed any more.
    runtime: Handle,
}

impl Pieces {
    pub(super) async fn open(
        bucket: &Bucket,
        meta: &Meta,
        wanted: Range<u64>,
        runtime: Handle,
    ) -> Result<Self, Failure> {
        let subject = bucket.pieces_subject(&meta.nuid);
        let reader = Reader::open(bucket, subject, PIECES, runtime).await?;
        Ok(Self { reader, object: meta.name.clone(), at: 0, wanted })
    }

    /// The next wanted bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.at < self.wanted.end {
            let Some(mut piece) = self.reader.next().await? else {
                // Another version took its place, and its pieces are gone.
                return Err(changed(&self.object));
            };
            let first = self.at;
            self.at += piece.len() as u64;
            if self.at > self.wanted.start && !piece.is_empty() {
                // Within one piece, so within `usize`.
                if self.at > self.wanted.end {
                    piece.truncate((self.wanted.end - first) as usize);
                }
                let before = self.wanted.start.saturating_sub(first) as usize;
                return Ok(Some(piece.split_off(before)));
            }
        }
        Ok(None)
    }
}

impl Listing {
    pub(super) async fn open(bucket: &Bucket) -> Result<Self, Failure> {
        let subject = format!("$O.{}.M.>", bucket.name);
        let reader = Reader::open(bucket, subject, 200, Handle::current()).await?;
        Ok(Self { reader })
    }

    /// The next names; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let mut names = Vec::new();
        while names.len() < PAGE
            && let Some(message) = self.reader.next().await?
        {
            // What is no description is no object.
            let meta = serde_json::from_slice::<Meta>(&message).ok();
            names.extend(meta.filter(|meta| !meta.deleted).map(|meta| meta.name));
        }
        Ok((!names.is_empty()).then_some(names))
    }
}

impl Reader {
    async fn open(
        bucket: &Bucket,
        subject: String,
        most: usize,
        runtime: Handle,
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
        let consumer = bucket.stream.create_consumer(config).await;
        let consumer = consumer.map_err(|error| failed(&error))?;
        let (bucket, pending) = (bucket.clone(), consumer.cached_info().num_pending);
        Ok(Self { bucket, consumer, batch: None, most, came: 0, pending, next: 1, runtime })
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
                    none.insert(ask.messages().await.map_err(|error| failed(&error))?)
                }
            };
            match batch.next().await {
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
                    // It gives what there is, and there is no more.
                    if self.came == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (stream, name) = (self.bucket.stream.clone(), self.consumer.cached_info().name.clone());
        // The server would forget it by itself, later.
        self.runtime.spawn(async move {
            let _ = stream.delete_consumer(&name).await;
        });
    }
}
