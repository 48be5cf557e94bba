//! What comes out of a stream: an object's pieces, and the names of objects. Both are asked for a few messages at
//! a time, so that no more is ever held.

use std::ops::Range;

use async_nats::jetstream::object_store::ObjectInfo as Meta;
use bytes::Bytes;
use reef_capability::Failure;
use reef_nats::{Read, Reader};
use tokio::runtime::Handle;

use super::{Bucket, changed};
use crate::store::PAGE;

/// Pieces that are asked for at once.
const PIECES: usize = 8;
/// An object's bytes.
pub(super) struct Pieces {
    reader: Reader<()>,
    object: String,
    /// How many bytes were seen, whether they were wanted or not.
    at: u64,
    wanted: Range<u64>,
}

/// The names of all objects.
pub(super) struct Listing {
    reader: Reader<()>,
}

impl Pieces {
    pub(super) async fn open(
        bucket: &Bucket,
        meta: &Meta,
        wanted: Range<u64>,
        runtime: Handle,
    ) -> Result<Self, Failure> {
        let (subject, count) = (bucket.pieces_subject(&meta.nuid), Some(meta.chunks as u64));
        let reader = Reader::open(&bucket.stream, subject, count, PIECES, runtime).await?;
        Ok(Self { reader, object: meta.name.clone(), at: 0, wanted })
    }

    /// The next wanted bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.at < self.wanted.end {
            let Some(Read { payload: mut piece, .. }) = self.reader.next().await? else {
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
        let reader = Reader::open(&bucket.stream, subject, None, 200, Handle::current()).await?;
        Ok(Self { reader })
    }

    /// The next names; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let mut names = Vec::new();
        while names.len() < PAGE
            && let Some(message) = self.reader.next().await?
        {
            // What is no description is no object.
            let meta = serde_json::from_slice::<Meta>(&message.payload).ok();
            names.extend(meta.filter(|meta| !meta.deleted).map(|meta| meta.name));
        }
        if names.len() < PAGE {
            self.reader.ended()?;
        }
        Ok((!names.is_empty()).then_some(names))
    }
}
