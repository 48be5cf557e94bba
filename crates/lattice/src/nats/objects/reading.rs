//! What comes out of an object store: objects, and their descriptions.

use std::sync::Arc;

use async_nats::jetstream::object_store::ObjectInfo as Meta;
use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use reef_capability::Failure;
use reef_nats::{Read, Reader};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{Opened, WITHIN};
use crate::{
    Digest, ObjectStream,
    objects::{hex, is_not},
};

/// Pieces that are asked for at once.
const PIECES: usize = 8;

impl Opened {
    /// Messages of its stream on a subject, of which there are to be `count`, where that is known: so many are asked for
    /// at once.
    pub(super) async fn messages(
        &self,
        subject: String,
        count: Option<u64>,
        most: usize,
    ) -> Result<BoxStream<'static, Result<Read, Failure>>, Failure> {
        let runtime = self.connection.runtime().clone();
        let reader = Reader::open(&self.stream, subject, count, most, runtime).await?;
        let next = |mut reader: Reader| async move {
            let message = reader.next().await?;
            if message.is_none() {
                reader.ended()?;
            }
            Ok(message.map(|message| (message, reader)))
        };
        Ok(stream::try_unfold(reader, next).boxed())
    }

    async fn pieces(
        &self,
        meta: &Meta,
    ) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let subject = self.pieces_subject(&meta.nuid);
        // One is asked for, without the consumer that several come by.
        if meta.chunks <= 1 {
            let last = match meta.chunks {
                0 => None,
                _ => timeout(WITHIN, self.last_on(&subject))
                    .await
                    .map_err(|_| Failure::Timeout(WITHIN))??,
            };
            return Ok(stream::iter(last.map(|message| Ok(message.payload))).boxed());
        }
        let messages = self.messages(subject, Some(meta.chunks as u64), PIECES).await?;
        Ok(messages.map_ok(|read| read.payload).boxed())
    }
}

/// An object, verified at its end.
pub(super) async fn object(
    opened: Arc<Opened>,
    digest: Digest,
    meta: Meta,
    at: u64,
) -> Result<ObjectStream, Failure> {
    let pieces = opened.pieces(&meta).await?;
    let reading = Reading { opened, pieces, digest, about: Some((meta, at)), hash: Sha256::new() };
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

struct Reading {
    opened: Arc<Opened>,
    pieces: BoxStream<'static, Result<Bytes, Failure>>,
    digest: Digest,
    /// None at the end.
    about: Option<(Meta, u64)>,
    hash: Sha256,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        if let Some(piece) = self.pieces.try_next().await? {
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
        let _ = self.opened.remove(digest, meta, at).await;
        Err(is_not(digest, &"the lattice's object store"))
    }
}
