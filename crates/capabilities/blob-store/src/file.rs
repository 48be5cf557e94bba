//! Blobs as files: a folder, in it one for each container, and in that one file for each object.

mod folder;

use std::{ops::Range, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};
use tokio::runtime::Handle;

use crate::{
    component, memory,
    store::{
        At, BlobStore, ContainerInfo, MAX_OBJECT, Names, ObjectInfo, Reading, Removed, Upload,
    },
};
use folder::{Partial, Root};

const ROOT: Setting =
    Setting::new("root", "the folder it is in; without, one among the application's data");

/// Blobs as files.
pub(crate) const BACKEND: Backend<dyn BlobStore> =
    Backend { name: "file", system: "file", settings: &[ROOT, MAX_OBJECT], private: true, open };

/// The application's own folder, among its data.
const OWN: &str = "blobs";

fn open(opening: Opening<'_>) -> Result<Arc<dyn BlobStore>, OpenError> {
    let path = match opening.settings.get(ROOT.name) {
        Some(root) => opening.folder.join(root),
        None => match opening.data {
            Some(data) => data.join(OWN),
            // Where nothing is kept, this is not either.
            None => return memory::open(opening),
        },
    };
    let max_object = opening.settings.size(MAX_OBJECT.name)?;
    let store = File::open(path, max_object, opening.runtime.clone())?;
    let root = store.root.clone();
    // What another run left: it may be much.
    opening.runtime.spawn_blocking(move || root.sweep());
    Ok(Arc::new(store))
}

struct File {
    root: Arc<Root>,
    max_object: Option<u64>,
    /// Its threads wait for the disk.
    runtime: Handle,
}

struct Writing {
    root: Arc<Root>,
    object: String,
    runtime: Handle,
    /// Away while a piece is written.
    partial: Option<Partial>,
}

impl File {
    fn open(path: PathBuf, max_object: Option<u64>, runtime: Handle) -> Result<Self, OpenError> {
        let root = Root::open(&path).map_err(|error| {
            OpenError::Place(format!("the folder {} cannot be used: {error}", path.display()))
        })?;
        Ok(Self { root: Arc::new(root), max_object, runtime })
    }

    /// Does something that waits for the disk. It goes on when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Root) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let root = self.root.clone();
        blocking(&self.runtime, move || act(&root)).await
    }
}

async fn blocking<T: Send + 'static>(
    runtime: &Handle,
    act: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = runtime.spawn_blocking(act).await;
    done.unwrap_or_else(|_| Err(Failure::Backend("the host is ending".to_owned())))
}

#[async_trait]
impl BlobStore for File {
    async fn create_container(&self, container: &str) -> Result<(), Failure> {
        let container = container.to_owned();
        self.run(move |root| root.create(&container)).await
    }

    async fn delete_container(&self, container: &str) -> Result<Removed, Failure> {
        let container = container.to_owned();
        self.run(move |root| root.delete(&container)).await?;
        let root = self.root.clone();
        // It is gone; what was in it takes its time.
        self.runtime.spawn_blocking(move || root.sweep());
        Ok(Removed::All)
    }

    async fn container_info(&self, container: &str) -> Result<ContainerInfo, Failure> {
        let container = container.to_owned();
        self.run(move |root| root.folder(&container)?.container_info()).await
    }

    async fn clear(&self, container: &str) -> Result<Removed, Failure> {
        let container = container.to_owned();
        self.run(move |root| root.folder(&container)?.clear()).await
    }

    async fn read(&self, at: At<'_>, range: Range<u64>) -> Result<Reading, Failure> {
        let (container, object) = (at.container.to_owned(), at.object.to_owned());
        let (file, info) = self.run(move |root| root.folder(&container)?.open(&object)).await?;
        let range = Reading::part(&range, info.size);
        let state = (Arc::new(file), range.start, self.runtime.clone());
        let end = range.end;
        let chunks = stream::try_unfold(state, move |(file, at, runtime)| async move {
            if at >= end {
                return Ok(None);
            }
            let from = file.clone();
            // Made here and let go here: each thread that waits for the disk would keep some for itself.
            let mut piece = Vec::with_capacity(folder::piece(end - at));
            let piece = blocking(&runtime, move || {
                folder::read(&from, at, &mut piece)?;
                Ok(piece)
            });
            let piece = piece.await?;
            let next = at + piece.len() as u64;
            Ok((!piece.is_empty()).then_some((Bytes::from(piece), (file, next, runtime))))
        });
        Ok(Reading { info, range, chunks: chunks.boxed() })
    }

    async fn write(&self, at: At<'_>) -> Result<Box<dyn Upload>, Failure> {
        component::encode(crate::OBJECT, at.object)?;
        let container = at.container.to_owned();
        let partial = self.run(move |root| root.folder(&container)?.begin()).await?;
        let (root, runtime) = (self.root.clone(), self.runtime.clone());
        let object = at.object.to_owned();
        Ok(Box::new(Writing { root, object, runtime, partial: Some(partial) }))
    }

    async fn delete(&self, container: &str, objects: &[String]) -> Result<(), Failure> {
        let (container, objects) = (container.to_owned(), objects.to_vec());
        self.run(move |root| root.folder(&container)?.delete(&objects)).await
    }

    async fn info(&self, at: At<'_>) -> Result<ObjectInfo, Failure> {
        let (container, object) = (at.container.to_owned(), at.object.to_owned());
        self.run(move |root| root.folder(&container)?.info(&object)).await
    }

    async fn copy(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let (container, object) = (from.container.to_owned(), from.object.to_owned());
        let (target, name) = (to.container.to_owned(), to.object.to_owned());
        self.run(move |root| {
            let (file, info) = root.folder(&container)?.open(&object)?;
            let mut partial = root.folder(&target)?.begin()?;
            partial.copy(&file, info.size)?;
            root.finish(partial, &name)
        })
        .await
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let (container, object) = (from.container.to_owned(), from.object.to_owned());
        let (target, name) = (to.container.to_owned(), to.object.to_owned());
        self.run(move |root| {
            let (from, to) = (root.folder(&container)?, root.folder(&target)?);
            root.rename((&from, &object), (&to, &name))
        })
        .await
    }

    async fn list(&self, container: &str) -> Result<Names, Failure> {
        let container = container.to_owned();
        let entries = self.run(move |root| root.folder(&container)?.entries()).await?;
        let state = (entries, self.runtime.clone());
        let pages = stream::try_unfold(state, |(mut entries, runtime)| async move {
            let (page, entries) = blocking(&runtime, move || {
                let page = folder::page(&mut entries)?;
                Ok((page, entries))
            })
            .await?;
            Ok((!page.is_empty()).then_some((page, (entries, runtime))))
        });
        Ok(pages.boxed())
    }

    fn max_object(&self) -> Option<u64> {
        self.max_object
    }
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, piece: Bytes) -> Result<(), Failure> {
        let Some(mut partial) = self.partial.take() else {
            return Err(Failure::Invalid("the upload failed before".to_owned()));
        };
        // It comes back to be let go where it was made.
        let written = blocking(&self.runtime, move || {
            partial.write(&piece)?;
            Ok((partial, piece))
        });
        let (partial, _piece) = written.await?;
        self.partial = Some(partial);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        let Some(partial) = self.partial.take() else {
            return Err(Failure::Invalid("the upload failed before".to_owned()));
        };
        let (root, object) = (self.root.clone(), std::mem::take(&mut self.object));
        blocking(&self.runtime, move || root.finish(partial, &object)).await
    }
}
