//! An upload: one request if it is small, and in parts otherwise. One part is on its way while the next is filled.

use std::{mem, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, PutPayloadMut, path::Path,
};
use reef_capability::Failure;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

use super::failed;
use crate::store::{CHUNK, Upload};

/// How long a store may take to forget the parts of an upload that was given up.
const FORGETTING: Duration = Duration::from_secs(30);

pub(super) struct Writing {
    store: Arc<dyn ObjectStore>,
    key: Path,
    most: usize,
    runtime: Handle,
    part: PutPayloadMut,
    /// The part that is on its way.
    sending: Option<AbortOnDropHandle<Result<(), Error>>>,
    /// From its second part on.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Writing {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        key: Path,
        most: usize,
        runtime: Handle,
    ) -> Self {
        Self { store, key, most, runtime, part: fresh(), sending: None, parts: None }
    }

    /// Waits for the part that is on its way.
    async fn sent(&mut self) -> Result<(), Failure> {
        let Some(sending) = &mut self.sending else { return Ok(()) };
        let sent = sending.await;
        self.sending = None;
        match sent {
            Ok(done) => done.map_err(|error| failed(&error)),
            Err(_) => Err(Failure::Backend("the host is ending".to_owned())),
        }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        self.sent().await?;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => {
                let begun = self.store.put_multipart(&self.key).await;
                none.insert(begun.map_err(|error| failed(&error))?)
            }
        };
        let part = mem::replace(&mut self.part, fresh()).freeze();
        // On the runtime of its own, so that it goes on while the guest does something else.
        let sending: JoinHandle<_> = self.runtime.spawn(parts.put_part(part));
        self.sending = Some(AbortOnDropHandle::new(sending));
        Ok(())
    }
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        while !piece.is_empty() {
            let room = self.most - self.part.content_length();
            let fits = piece.split_to(piece.len().min(room));
            // It may be a small part of something large: only its bytes are kept.
            self.part.extend_from_slice(&fits);
            if self.part.content_length() == self.most {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        if self.parts.is_none() {
            let all: PutPayload = mem::take(&mut self.part).freeze();
            let put = self.store.put(&self.key, all).await;
            return put.map(drop).map_err(|error| failed(&error));
        }
        if !self.part.is_empty() {
            self.send().await?;
        }
        self.sent().await?;
        if let Some(parts) = &mut self.parts {
            parts.complete().await.map_err(|error| failed(&error))?;
        }
        self.parts = None;
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // A part that is still coming could make it there after the rest was forgotten.
        let sending = self.sending.take();
        let Some(mut parts) = self.parts.take() else { return };
        self.runtime.spawn(async move {
            if let Some(sending) = sending {
                sending.abort();
                let _ = sending.await;
            }
            match tokio::time::timeout(FORGETTING, parts.abort()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "An upload's parts could not be removed from the store.");
                }
                Err(_) => tracing::warn!("An upload's parts were not removed from the store in time."),
            }
        });
    }
}

fn fresh() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(CHUNK)
}
