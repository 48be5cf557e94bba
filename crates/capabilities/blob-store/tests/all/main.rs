//! Every backend does the same, in good days and bad ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod cloud;
mod directory;
mod footprint;
mod killed;
mod limits;
mod memory;
mod model;
mod nats;
mod suite;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use reef_blob_store::{At, BACKENDS, BlobStore, Container, OPERATIONS};
use reef_capability::{Caller, Failure, Gate, Link, OpenError, Opening, Policy, Settings, find};
use tokio::runtime::Handle;

/// A backend, opened by its name and settings.
fn opened(
    name: &str,
    settings: &[(&str, &str)],
    data: Option<&Path>,
) -> Result<Arc<dyn BlobStore>, OpenError> {
    let settings: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let backend = find(BACKENDS, name)?;
    (backend.open)(Opening {
        application: "app",
        settings: &settings,
        folder: Path::new("/"),
        data,
        runtime: &Handle::current(),
    })
}

/// A container of a backend as a workload has it.
fn linked(backend: Arc<dyn BlobStore>, name: &str, policy: Policy) -> Container {
    let gate =
        Gate::new("app/w".into(), "store".into(), ("blob-store", "test"), policy, OPERATIONS);
    let link = Arc::new(Link { place: None, gate, backend });
    Container::new(link, name.into()).unwrap()
}

fn at<'a>(container: &'a str, object: &'a str) -> At<'a> {
    At { container, object }
}

async fn put(store: &dyn BlobStore, at: At<'_>, pieces: &[&[u8]]) -> Result<(), Failure> {
    let mut upload = store.write(at).await?;
    for piece in pieces {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish().await
}

async fn get(store: &dyn BlobStore, at: At<'_>) -> Result<Vec<u8>, Failure> {
    part(store, at, 0..u64::MAX).await
}

async fn part(
    store: &dyn BlobStore,
    at: At<'_>,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, Failure> {
    use futures::TryStreamExt as _;
    let mut reading = store.read(at, range).await?;
    let mut all = Vec::new();
    while let Some(piece) = reading.chunks.try_next().await? {
        all.extend_from_slice(&piece);
    }
    assert_eq!(all.len() as u64, reading.range.end - reading.range.start);
    Ok(all)
}

/// All names, sorted.
async fn names(store: &dyn BlobStore, container: &str) -> Result<Vec<String>, Failure> {
    use futures::TryStreamExt as _;
    let mut pages = store.list(container).await?;
    let mut all = Vec::new();
    while let Some(page) = pages.try_next().await? {
        all.extend(page);
    }
    all.sort();
    Ok(all)
}

fn is_missing(what: &str, done: &Result<impl std::fmt::Debug, Failure>) -> bool {
    matches!(done, Err(Failure::NotFound { what: is, .. }) if *is == what)
}

fn caller() -> Caller {
    Caller::default()
}

/// Bytes that are not all alike.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
