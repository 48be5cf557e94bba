//! An upload: its pieces, a few of them on their way, and at the end what makes them an object.

use std::{collections::VecDeque, mem, path::Path, sync::Arc, time::Duration, time::SystemTime};

use async_nats::jetstream::{
    context::PublishAckFuture,
    object_store::{ObjectInfo as Meta, ObjectOptions},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bytes::{Bytes, BytesMut};
use reef_capability::Failure;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::AsyncReadExt as _,
    time::{sleep, timeout},
};

use super::{Opened, PAUSE, WITHIN, unpublished};
use crate::{
    Digest,
    objects::{hex, is_not},
};

/// Bytes of one message, as other clients have it.
const PIECE: usize = 128 << 10;
/// Pieces that are on their way at once.
const AHEAD: usize = 8;
/// How long the pieces of an upload that was given up may take to be removed.
const FORGETTING: Duration = Duration::from_secs(30);

struct Upload {
    opened: Arc<Opened>,
    /// Whose pieces these are, until they may be an object's; then it is empty.
    id: String,
    sent: VecDeque<PublishAckFuture>,
    pieces: usize,
    size: usize,
}

/// Keeps what a file holds, unless somebody else does meanwhile.
pub(super) async fn upload(
    opened: Arc<Opened>,
    digest: &Digest,
    file: &Path,
) -> Result<(), Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Backend(format!("{}: {error}", file.display()));
    let mut from = File::open(file).await.map_err(unreadable)?;
    let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let mut upload = Upload { opened, id, sent: VecDeque::new(), pieces: 0, size: 0 };
    let mut hash = Sha256::new();
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        while piece.len() < PIECE {
            let room = (PIECE - piece.len()) as u64;
            let mut some = (&mut from).take(room);
            if some.read_buf(&mut piece).await.map_err(unreadable)? == 0 {
                break;
            }
        }
        if piece.is_empty() {
            break;
        }
        hash.update(&piece);
        upload.send(piece.freeze()).await?;
    }
    while !upload.sent.is_empty() {
        upload.acknowledged().await?;
    }
    let hash = hash.finalize();
    if hex(&hash) != digest.hex() {
        return Err(is_not(digest, &file.display()));
    }
    upload.finish(digest, &hash).await
}

impl Upload {
    async fn send(&mut self, piece: Bytes) -> Result<(), Failure> {
        if self.sent.len() >= AHEAD {
            self.acknowledged().await?;
        }
        self.size += piece.len();
        self.pieces += 1;
        let subject = self.opened.pieces_subject(&self.id);
        let sent = self.opened.context.publish(subject, piece).await;
        self.sent.push_back(sent.map_err(|error| unpublished(&error))?);
        Ok(())
    }

    /// Waits for the piece that was sent first.
    async fn acknowledged(&mut self) -> Result<(), Failure> {
        let Some(sent) = self.sent.pop_front() else { return Ok(()) };
        sent.await.map(drop).map_err(|error| unpublished(&error))
    }

    async fn finish(mut self, digest: &Digest, hash: &[u8]) -> Result<(), Failure> {
        let meta = Meta {
            name: digest.hex().to_owned(),
            description: None,
            metadata: Default::default(),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(PIECE) }),
            bucket: self.opened.name.clone(),
            nuid: self.id.clone(),
            size: self.size,
            chunks: self.pieces,
            modified: Some(SystemTime::now().into()),
            digest: Some(format!("SHA-256={}", URL_SAFE.encode(hash))),
            deleted: false,
        };
        loop {
            let look = timeout(WITHIN, self.opened.last(digest)).await;
            let last = look.unwrap_or_else(|_| Err(Failure::Timeout(WITHIN)))?;
            match &last {
                // Said already, though nobody acknowledged it.
                Some((last, _)) if last.nuid == self.id => break,
                Some((last, _)) if !last.deleted => return Ok(()),
                _ => {}
            }
            let at = last.map_or(0, |(_, at)| at);
            // From here on it may be an object, whatever becomes of this.
            let id = mem::take(&mut self.id);
            match self.opened.say(digest, &meta, at).await {
                Ok(true) => break,
                Ok(false) => {
                    self.id = id;
                    sleep(PAUSE).await;
                }
                Err(failure) => {
                    let unsure = !matches!(failure, Failure::Unavailable { maybe_done: false, .. });
                    let look = timeout(WITHIN, self.opened.last(digest)).await;
                    match look {
                        Ok(Ok(Some((last, _)))) if last.nuid == id => break,
                        // Better pieces without an object than an object without pieces.
                        _ if unsure => {}
                        _ => self.id = id,
                    }
                    return Err(failure);
                }
            }
        }
        self.id.clear();
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.id.is_empty() || self.pieces == 0 {
            return;
        }
        let (sent, id) = (mem::take(&mut self.sent), mem::take(&mut self.id));
        let opened = self.opened.clone();
        self.opened.connection.runtime().spawn(async move {
            let forget = async {
                // Those that are on their way arrive first.
                for one in sent {
                    let _ = one.await;
                }
                opened.forget(&id).await;
            };
            let _ = timeout(FORGETTING, forget).await;
        });
    }
}
