//! Blob stores: `wasi:blobstore`, and wasmCloud's own for WASI 0.3.

mod draft;
mod incoming;
mod outgoing;
mod wasmcloud;

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use reef_blob_store::{Container, Listing};
use reef_capability::Failure;
use wasmtime::component::{Linker, LinkerInstance};

use crate::{
    Capable, OfInstance, View,
    scope::{Getter, offered},
};

#[allow(unreachable_pub, reason = "generated code names them")]
pub use self::{incoming::Incoming, outgoing::Outgoing};

/// What is offered.
pub(crate) const PROVIDED: &[&str] = &[
    "wasi:blobstore/blobstore@0.2.0-draft",
    "wasi:blobstore/container@0.2.0-draft",
    "wasi:blobstore/types@0.2.0-draft",
    "wasmcloud:blobstore/blobstore@0.1.0",
    "wasmcloud:blobstore/container@0.1.0",
    "wasmcloud:blobstore/types@0.1.0",
];

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasi:blobstore/") {
        // Each by itself: what the package names of `wasi:io` is the host's from elsewhere.
        use draft::wasi::blobstore::{blobstore, container, types};
        types::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        container::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        blobstore::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if concurrent && wanted("wasmcloud:blobstore/") {
        wasmcloud::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// Offers one interface, if it is one of these.
pub(crate) fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    use draft::wasi::blobstore as wasi;
    use wasmcloud::wasmcloud::blobstore as wasm_cloud;
    Ok(offered!(instance, interface, data, {
        "wasi:blobstore/blobstore@0.2.0-draft" => wasi::blobstore,
        "wasi:blobstore/container@0.2.0-draft" => wasi::container,
        "wasi:blobstore/types@0.2.0-draft" => wasi::types,
        "wasmcloud:blobstore/blobstore@0.1.0" if concurrent => wasm_cloud::blobstore,
        "wasmcloud:blobstore/container@0.1.0" if concurrent => wasm_cloud::container,
        "wasmcloud:blobstore/types@0.1.0" if concurrent => wasm_cloud::types,
    }))
}

/// Names of a container's objects, as many at a time as a guest asks for.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct ObjectNames {
    listing: Listing,
    ready: VecDeque<String>,
    ended: bool,
}

impl ObjectNames {
    fn new(listing: Listing) -> Self {
        Self { listing, ready: VecDeque::new(), ended: false }
    }

    /// The next names, `most` at most, and whether there are no more. Whoever asks for very many gets fewer.
    async fn next(&mut self, most: u64) -> Result<(Vec<String>, bool), Failure> {
        const PAGE: usize = 10_000;
        let most = usize::try_from(most).unwrap_or(PAGE).min(PAGE);
        // One more than is wanted, to know whether it is there.
        while self.ready.len() <= most && !self.ended {
            match self.listing.next().await? {
                Some(page) => self.ready.extend(page),
                None => self.ended = true,
            }
        }
        let names: Vec<_> = self.ready.drain(..most.min(self.ready.len())).collect();
        Ok((names, self.ended && self.ready.is_empty()))
    }

    /// Passes over the next names, `most` at most: how many there were, and whether there are no more.
    async fn skip(&mut self, most: u64) -> Result<(u64, bool), Failure> {
        let mut skipped = 0;
        loop {
            let (names, ended) = self.next(most - skipped).await?;
            skipped += names.len() as u64;
            if ended || skipped == most {
                return Ok((skipped, ended));
            }
        }
    }
}

impl View<'_> {
    /// The container that a name means.
    pub(crate) fn container(&self, import: &str, name: &str) -> Result<Container, Failure> {
        let granted = self.granted()?;
        if let Some(label) = self.label() {
            granted.blob_store.named(import, label)?;
        }
        let selected = self.selected(import);
        let (link, place) = granted.blob_store.find(import, selected, name)?;
        Container::new(link, place)
    }
}

/// A range of both inclusive offsets, as one that ends before its end.
fn range(start: u64, end: u64) -> std::ops::Range<u64> {
    start..end.saturating_add(1).max(start)
}

/// How long after 1970 it was. A time that nobody knows is that moment.
fn since_1970(time: Option<SystemTime>) -> Duration {
    time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default()
}
