//! Blobs in this process's memory: bounded, and gone with it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};

use crate::store::{
    At, BlobStore, CHUNK, ContainerInfo, MAX_OBJECT, Names, ObjectInfo, PAGE, Reading, Removed,
    Upload, container_exists, no_container, no_object,
};

const MAX_BYTES: Setting = Setting::new("max-bytes", "how much it holds: `64MiB`");
const DEFAULT_MAX_BYTES: u64 = 64 << 20;
/// What an entry costs beside its name and bytes.
const OVERHEAD: u64 = 256;

/// Blobs in this process's memory.
pub(crate) const BACKEND: Backend<dyn BlobStore> = Backend {
    name: "memory",
    system: "memory",
    settings: &[MAX_BYTES, MAX_OBJECT],
    private: true,
    open,
};

pub(crate) fn open(opening: Opening<'_>) -> Result<Arc<dyn BlobStore>, OpenError> {
    let most = opening.settings.size(MAX_BYTES.name)?.unwrap_or(DEFAULT_MAX_BYTES);
    let max_object = opening.settings.size(MAX_OBJECT.name)?.unwrap_or(most);
    let room = Arc::new(Room { used: AtomicU64::new(0), most });
    Ok(Arc::new(Memory {
        max_object,
        shared: Arc::new(Shared { room, containers: Mutex::default() }),
    }))
}

struct Memory {
    max_object: u64,
    shared: Arc<Shared>,
}

struct Shared {
    room: Arc<Room>,
    containers: Mutex<BTreeMap<String, Container>>,
}

struct Container {
    created: SystemTime,
    objects: BTreeMap<String, Arc<Stored>>,
    _held: Held,
}

/// An object. Whoever reads it keeps it, and what it takes of the room.
struct Stored {
    pieces: Vec<Bytes>,
    size: u64,
    created: SystemTime,
    held: Held,
}

/// How much there may be, and is.
struct Room {
    used: AtomicU64,
    most: u64,
}

/// A part of the room, given back when it is dropped.
struct Held {
    room: Arc<Room>,
    bytes: u64,
}

struct Writing {
    shared: Arc<Shared>,
    container: String,
    object: String,
    pieces: Vec<Bytes>,
    last: BytesMut,
    size: u64,
    held: Held,
}

impl Held {
    fn take(room: &Arc<Room>, bytes: u64) -> Result<Self, Failure> {
        let mut held = Self { room: room.clone(), bytes: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    fn grow(&mut self, bytes: u64) -> Result<(), Failure> {
        let most = self.room.most;
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= most);
        let grown = self.room.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        grown.map_err(|_| {
            let most = reef_grants::ByteSize(most);
            Failure::Full(format!("it holds {most}, by its setting `max-bytes`"))
        })?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Shared {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, at: At<'_>) -> Result<Arc<Stored>, Failure> {
        let all = self.containers();
        let container = all.get(at.container).ok_or_else(|| no_container(at.container))?;
        container.objects.get(at.object).cloned().ok_or_else(|| no_object(at.object))
    }

    fn put(&self, at: At<'_>, stored: Arc<Stored>) -> Result<(), Failure> {
        let mut all = self.containers();
        let container = all.get_mut(at.container).ok_or_else(|| no_container(at.container))?;
        let before = container.objects.insert(at.object.to_owned(), stored);
        drop(all);
        drop(before);
        Ok(())
    }
}

impl Stored {
    fn info(&self) -> ObjectInfo {
        ObjectInfo { created: Some(self.created), size: self.size }
    }

    fn copy(&self, name: &str) -> Result<Self, Failure> {
        // The pieces are shared, but either may be deleted first: each has the room for them.
        let held = Held::take(&self.held.room, OVERHEAD + name.len() as u64 + self.size)?;
        let (pieces, created) = (self.pieces.clone(), SystemTime::now());
        Ok(Self { pieces, size: self.size, created, held })
    }
}

#[async_trait]
impl BlobStore for Memory {
    async fn create_container(&self, container: &str) -> Result<(), Failure> {
        let held = Held::take(&self.shared.room, OVERHEAD + container.len() as u64)?;
        let mut all = self.shared.containers();
        if all.contains_key(container) {
            return Err(container_exists(container));
        }
        let made = Container { created: SystemTime::now(), objects: BTreeMap::new(), _held: held };
        all.insert(container.to_owned(), made);
        Ok(())
    }

    async fn delete_container(&self, container: &str) -> Result<Removed, Failure> {
        let removed = self.shared.containers().remove(container);
        removed.map(|_| Removed::All).ok_or_else(|| no_container(container))
    }

    async fn container_info(&self, container: &str) -> Result<ContainerInfo, Failure> {
        let all = self.shared.containers();
        let found = all.get(container).ok_or_else(|| no_container(container))?;
        Ok(ContainerInfo { created: Some(found.created) })
    }

    async fn clear(&self, container: &str) -> Result<Removed, Failure> {
        let mut all = self.shared.containers();
        let found = all.get_mut(container).ok_or_else(|| no_container(container))?;
        let objects = std::mem::take(&mut found.objects);
        drop(all);
        drop(objects);
        Ok(Removed::All)
    }

    async fn read(&self, at: At<'_>, range: Range<u64>) -> Result<Reading, Failure> {
        let stored = self.shared.stored(at)?;
        let (info, range) = (stored.info(), Reading::part(&range, stored.size));
        let Range { start, end } = range;
        let mut before = 0;
        let mut nth = 0;
        let pieces = std::iter::from_fn(move || {
            loop {
                let piece = stored.pieces.get(nth).filter(|_| before < end)?;
                let first = before;
                (nth, before) = (nth + 1, before + piece.len() as u64);
                if before <= start {
                    continue;
                }
                // Within one piece, so within `usize`.
                let from = start.saturating_sub(first) as usize;
                let to = (end - first).min(piece.len() as u64) as usize;
                return Some(Ok(piece.slice(from..to)));
            }
        });
        Ok(Reading { info, range, chunks: stream::iter(pieces).boxed() })
    }

    async fn write(&self, at: At<'_>) -> Result<Box<dyn Upload>, Failure> {
        if !self.shared.containers().contains_key(at.container) {
            return Err(no_container(at.container));
        }
        let held = Held::take(&self.shared.room, OVERHEAD + at.object.len() as u64)?;
        Ok(Box::new(Writing {
            shared: self.shared.clone(),
            container: at.container.to_owned(),
            object: at.object.to_owned(),
            pieces: Vec::new(),
            last: BytesMut::new(),
            size: 0,
            held,
        }))
    }

    async fn delete(&self, container: &str, objects: &[String]) -> Result<(), Failure> {
        let mut all = self.shared.containers();
        let found = all.get_mut(container).ok_or_else(|| no_container(container))?;
        for object in objects {
            found.objects.remove(object);
        }
        Ok(())
    }

    async fn info(&self, at: At<'_>) -> Result<ObjectInfo, Failure> {
        Ok(self.shared.stored(at)?.info())
    }

    async fn copy(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let copy = self.shared.stored(from)?.copy(to.object)?;
        self.shared.put(to, Arc::new(copy))
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let mut all = self.shared.containers();
        if !all.contains_key(to.container) {
            return Err(no_container(to.container));
        }
        let source = all.get_mut(from.container).ok_or_else(|| no_container(from.container))?;
        let moved = source.objects.remove(from.object).ok_or_else(|| no_object(from.object))?;
        if let Some(target) = all.get_mut(to.container) {
            target.objects.insert(to.object.to_owned(), moved);
        }
        Ok(())
    }

    async fn list(&self, container: &str) -> Result<Names, Failure> {
        if !self.shared.containers().contains_key(container) {
            return Err(no_container(container));
        }
        let (shared, container) = (self.shared.clone(), container.to_owned());
        // The last name of the page before: it may be gone by then.
        let mut after: Option<String> = None;
        let pages = std::iter::from_fn(move || {
            use std::ops::Bound::{Excluded, Unbounded};
            let all = shared.containers();
            let objects = &all.get(&container)?.objects;
            let from = after.as_deref().map_or(Unbounded, Excluded);
            let page = objects.range::<str, _>((from, Unbounded)).take(PAGE);
            let page: Vec<_> = page.map(|(name, _)| name.clone()).collect();
            after = Some(page.last()?.clone());
            Some(Ok(page))
        });
        Ok(stream::iter(pages).boxed())
    }

    fn max_object(&self) -> Option<u64> {
        Some(self.max_object)
    }
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        self.held.grow(piece.len() as u64)?;
        self.size += piece.len() as u64;
        // What is handed over may be a small part of something large: only its bytes are kept.
        while !piece.is_empty() {
            let fits = piece.len().min(CHUNK - self.last.len());
            self.last.extend_from_slice(&piece.split_to(fits));
            if self.last.len() == CHUNK {
                self.pieces.push(std::mem::take(&mut self.last).freeze());
            }
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), Failure> {
        let Self { shared, container, object, mut pieces, last, size, held } = *self;
        if !last.is_empty() {
            pieces.push(Bytes::copy_from_slice(&last));
        }
        let stored = Stored { pieces, size, created: SystemTime::now(), held };
        shared.put(At { container: &container, object: &object }, Arc::new(stored))
    }
}
