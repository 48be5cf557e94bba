//! A body on its way to the disk.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use reef_artifact::Digest;
use tokio::sync::mpsc;

use crate::{Error, Fetched, Progress, Store, client::Answer, place::shown, store::Incoming};

/// Pieces that may wait for the disk.
const WAITING: usize = 16;

/// What a download is to be.
pub(crate) struct Expected<'a> {
    /// For people.
    pub(crate) what: &'a str,
    pub(crate) digest: Option<Digest>,
    /// As whoever names it says.
    pub(crate) size: Option<u64>,
    pub(crate) largest: u64,
}

/// Takes a body in, and verifies it.
pub(crate) async fn download(
    store: &Arc<Store>,
    mut answer: Answer,
    expected: &Expected<'_>,
    told: &dyn Progress,
) -> Result<Fetched, Error> {
    let what = || expected.what.to_owned();
    if let Some(encoding) = answer.header(&header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        let encoding = encoding.escape_debug().to_string();
        return Err(Error::Encoded { url: shown(&answer.url), encoding });
    }
    let length = answer.header(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let limit = expected.size.unwrap_or(u64::MAX).min(expected.largest);
    let size = length.or(expected.size);
    if size.is_some_and(|size| size > limit) || expected.size.is_some_and(|size| size > limit) {
        return Err(Error::Large { what: what(), limit });
    }

    let mut transfer = told.begin(expected.what, size);
    let (sender, receiver) = mpsc::channel(WAITING);
    let incoming = store.incoming()?;
    let writing = tokio::task::spawn_blocking(move || write(incoming, receiver));
    let mut taken = 0;
    while let Some(piece) = answer.piece().await? {
        taken += piece.len() as u64;
        if taken > limit {
            return Err(Error::Large { what: what(), limit });
        }
        transfer.at(taken);
        if sender.send(piece).await.is_err() {
            // Writing has failed, and says why.
            break;
        }
    }
    drop(sender);
    let written = writing.await.map_err(|_| Error::Stopped)?;
    let incoming = written.map_err(|cause| Error::Store(store.io(cause)))?;
    let is = incoming.digest();
    if let Some(should) = expected.digest
        && is != should
    {
        return Err(Error::Digest { what: what(), is, should });
    }
    let store = store.clone();
    let keeping = tokio::task::spawn_blocking(move || store.keep(incoming));
    let (digest, bytes) = keeping.await.map_err(|_| Error::Stopped)??;
    transfer.done();
    Ok(Fetched { digest, bytes })
}

fn write(mut incoming: Incoming, mut pieces: mpsc::Receiver<Bytes>) -> std::io::Result<Incoming> {
    while let Some(piece) = pieces.blocking_recv() {
        incoming.write(&piece)?;
    }
    Ok(incoming)
}

/// What is kept under a digest.
pub(crate) async fn kept(store: &Arc<Store>, digest: Digest) -> Option<Fetched> {
    let store = store.clone();
    let finding = tokio::task::spawn_blocking(move || store.find(&digest));
    finding.await.ok().flatten().map(|bytes| Fetched { digest, bytes })
}
