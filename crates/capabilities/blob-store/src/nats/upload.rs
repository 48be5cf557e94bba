//! An upload: its pieces, a few of them on their way, and at the end what makes them an object.

use std::{collections::VecDeque, mem, time::Duration, time::SystemTime};

use async_nats::jetstream::{
    context::PublishAckFuture,
    object_store::{ObjectInfo as Meta, ObjectOptions},
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bytes::{Bytes, BytesMut};
use reef_capability::Failure;
use reef_nats::{Patience, UNLED, failed};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::{Bucket, PIECE};
use crate::store::{Upload, no_container};

/// Pieces that are on their way at once.
const AHEAD: usize = 8;
/// How long the pieces of an upload that was given up may take to be removed.
const FORGETTING: Duration = Duration::from_secs(30);

pub(super) struct Writing {
    bucket: Bucket,
    object: String,
    runtime: Handle,
    /// Whose pieces these are, until they are an object's.
    version: String,
    piece: BytesMut,
    sent: VecDeque<PublishAckFuture>,
    /// Where in the stream the first piece is.
    first: Option<u64>,
    pieces: usize,
    size: usize,
    digest: Sha256,
}

impl Writing {
    pub(super) fn new(bucket: Bucket, object: String, runtime: Handle) -> Self {
        let version = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let (piece, sent, digest) = (BytesMut::new(), VecDeque::new(), Sha256::new());
        Self {
            bucket,
            object,
            runtime,
            version,
            piece,
            sent,
            first: None,
            pieces: 0,
            size: 0,
            digest,
        }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        if self.sent.len() >= AHEAD {
            self.acknowledged().await?;
        }
        let piece = mem::take(&mut self.piece).freeze();
        self.digest.update(&piece);
        self.size += piece.len();
        self.pieces += 1;
        let subject = self.bucket.pieces_subject(&self.version);
        if self.pieces == 1 {
            return self.send_first(subject, piece).await;
        }
        let sent = self.bucket.context.publish(subject, piece).await;
        self.sent.push_back(sent.map_err(|error| self.bucket.unpublished(&error))?);
        Ok(())
    }

    /// The first one goes alone: it may have to be sent again.
    async fn send_first(&mut self, subject: String, piece: Bytes) -> Result<(), Failure> {
        let mut patience = Patience::new(UNLED);
        loop {
            let sent = self.bucket.context.publish(subject.clone(), piece.clone()).await;
            let acknowledged = match sent {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(acknowledged) => {
                    self.first = Some(acknowledged.sequence);
                    return Ok(());
                }
                Err(error) if self.bucket.is_led_soon(&error, &mut patience).await? => {}
                Err(error) => return Err(self.bucket.unpublished(&error)),
            }
        }
    }

    /// Waits for the piece that was sent first.
    async fn acknowledged(&mut self) -> Result<(), Failure> {
        let Some(sent) = self.sent.pop_front() else { return Ok(()) };
        let at = sent.await.map_err(|error| self.bucket.unpublished(&error))?.sequence;
        self.first.get_or_insert(at);
        Ok(())
    }

    /// Whether the pieces are where they were put, and not in a container that was deleted meanwhile.
    async fn still(&self) -> Result<(), Failure> {
        let Some(first) = self.first else { return Ok(()) };
        let subject = self.bucket.pieces_subject(&self.version);
        let found = self.bucket.stream.get_first_raw_message_by_subject(subject, 1).await;
        match found {
            Ok(message) if message.sequence == first => Ok(()),
            Ok(_) => Err(no_container(&self.bucket.container)),
            Err(error) => match failed(&error) {
                Failure::Backend(_) => Err(no_container(&self.bucket.container)),
                other => Err(other),
            },
        }
    }
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        while !piece.is_empty() {
            let fits = piece.len().min(PIECE - self.piece.len());
            self.piece.extend_from_slice(&piece.split_to(fits));
            if self.piece.len() == PIECE {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        if !self.piece.is_empty() {
            self.send().await?;
        }
        while !self.sent.is_empty() {
            self.acknowledged().await?;
        }
        self.still().await?;
        let digest = mem::take(&mut self.digest).finalize();
        let meta = Meta {
            name: self.object.clone(),
            description: None,
            metadata: Default::default(),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(PIECE) }),
            bucket: self.bucket.name.clone(),
            nuid: self.version.clone(),
            size: self.size,
            chunks: self.pieces,
            modified: Some(SystemTime::now().into()),
            digest: Some(format!("SHA-256={}", URL_SAFE.encode(digest))),
            deleted: false,
        };
        match self.bucket.say(&meta).await {
            Ok(()) => {
                self.pieces = 0;
                Ok(())
            }
            Err(failure) => {
                // It may have been said all the same: then the pieces are an object's.
                let unsure = matches!(&failure, Failure::Unavailable { maybe_done: true, .. });
                if unsure {
                    self.pieces = 0;
                }
                Err(failure)
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.pieces == 0 {
            return;
        }
        let sent = mem::take(&mut self.sent);
        let (bucket, version) = (self.bucket.clone(), mem::take(&mut self.version));
        self.runtime.spawn(async move {
            let forget = async {
                // Those that are on their way arrive first.
                for one in sent {
                    let _ = one.await;
                }
                bucket.forget(&version).await;
            };
            let _ = tokio::time::timeout(FORGETTING, forget).await;
        });
    }
}
