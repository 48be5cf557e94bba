//! What comes out of an object store: objects, and their descriptions.

use std::sync::Arc;

use async_nats::jetstream::object_store::ObjectInfo as Meta;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use reef_capability::Failure;
use reef_nats::Reader;
use sha2::{Digest as _, Sha256};

use super::Opened;
use crate::{
    Digest, ObjectStream,
    objects::{hex, is_not},
};

/// Pieces that are asked for at once.
const PIECES: usize = 8;

impl Opened {
    /// Messages of its stream on a subject.
    async fn reader(&self, subject: String, most: usize) -> Result<Reader, Failure> {
        Reader::open(&self.stream, subject, most, self.connection.runtime().clone()).await
    }

    /// The descriptions of all that there is.
    pub(super) async fn metas(
        &self,
        subject: String,
        most: usize,
    ) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let next = |mut reader: Reader| async move {
            let message = reader.next().await?;
            if message.is_none() {
                reader.ended()?;
            }
            Ok(message.map(|message| (message, reader)))
        };
        Ok(stream::try_unfold(self.reader(subject, most).await?, next).boxed())
    }
}

/// An object, verified at its end.
pub(super) async fn object(
    opened: Arc<Opened>,
    digest: Digest,
    meta: Meta,
    at: u64,
) -> Result<ObjectStream, Failure> {
    let subject = opened.pieces_subject(&meta.nuid);
    let reader = opened.reader(subject, PIECES).await?;
    let reading = Reading { opened, reader, digest, about: Some((meta, at)), hash: Sha256::new() };
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

struct Reading {
    opened: Arc<Opened>,
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
        self.reader.ended()?;
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
