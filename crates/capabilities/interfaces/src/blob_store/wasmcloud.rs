//! `wasmcloud:blobstore@0.1.0`, for WASI 0.3: bodies and lists are streams of the component model.

mod streams;

use reef_blob_store::{CONTAINER, Container};
use reef_capability::{Caller, Failure};
use wasmtime::component::{Accessor, Resource, StreamReader};

use self::wasmcloud::blobstore::{
    blobstore,
    container::{self, ContainerMetadata, ObjectMetadata},
    types::{self, Error, ObjectId},
};
use super::{range, since_1970};
use crate::{Capable, OfInstance, View, instance::of_caller, pipe::pipe};

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-blobstore-0.1.0.wit",
    imports: { default: trappable },
    with: { "wasmcloud:blobstore/container.container": reef_blob_store::Container },
});

const IMPORT: &str = "wasmcloud:blobstore/blobstore@0.1.0";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { what: CONTAINER, .. } => Self::NoSuchContainer,
            Failure::NotFound { .. } => Self::NoSuchObject,
            Failure::Denied(_) => Self::AccessDenied,
            Failure::Timeout(_) => Self::Timeout,
            Failure::Unavailable { .. } | Failure::Broken { .. } => Self::StoreUnavailable,
            Failure::TooMany(_) | Failure::Full(_) => Self::QuotaExceeded,
            other => Self::Other(other.to_string()),
        }
    }
}

fn told<T>(done: Result<T, Failure>) -> Answer<T> {
    Ok(done.map_err(Into::into))
}

/// A container that the guest holds, and for whom it is used.
fn held<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    container: &Resource<Container>,
) -> wasmtime::Result<(Container, Caller)> {
    of_caller(store, |view| Ok((view.table.get(container)?.clone(), view.instance.caller.clone())))
}

/// A container by its name, and for whom it is used.
fn named<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    name: &str,
) -> Result<(Container, Caller), Failure> {
    of_caller(store, |view| Ok((view.container(IMPORT, name)?, view.instance.caller.clone())))
}

fn keep<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    container: Container,
) -> Result<Resource<Container>, Failure> {
    store.with(|mut access| access.get().keep(container))
}

async fn moved<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    (from, to): (ObjectId, ObjectId),
    copy: bool,
) -> Result<(), Failure> {
    let (source, caller) = named(store, &from.container)?;
    let (target, _) = named(store, &to.container)?;
    let to = (&target, &*to.object);
    if copy {
        source.copy(&caller, &from.object, to).await
    } else {
        source.rename(&caller, &from.object, to).await
    }
}

impl types::Host for View<'_> {}
impl blobstore::Host for View<'_> {}
impl container::Host for View<'_> {}

impl<T: Capable> blobstore::HostWithStore<T> for OfInstance<T> {
    async fn create_container(
        store: &Accessor<T, Self>,
        name: String,
    ) -> Answer<Resource<Container>> {
        let made = async {
            let (container, caller) = named(store, &name)?;
            let created = container.create(&caller).await;
            created.map(|()| container)
        };
        let made = match made.await {
            Err(Failure::Conflict(_)) => return Ok(Err(Error::ContainerAlreadyExists)),
            other => other,
        };
        told(made.and_then(|container| keep(store, container)))
    }

    async fn get_container(store: &Accessor<T, Self>, name: String) -> Answer<Resource<Container>> {
        let found = async {
            let (container, caller) = named(store, &name)?;
            container.info(&caller).await?;
            keep(store, container)
        };
        told(found.await)
    }

    async fn delete_container(store: &Accessor<T, Self>, name: String) -> Answer<()> {
        let deleted = async {
            let (container, caller) = named(store, &name)?;
            container.delete(&caller).await
        };
        told(deleted.await.map(drop))
    }

    async fn container_exists(store: &Accessor<T, Self>, name: String) -> Answer<bool> {
        let exists = async {
            let (container, caller) = named(store, &name)?;
            container.exists(&caller).await
        };
        told(exists.await)
    }

    async fn copy_object(store: &Accessor<T, Self>, src: ObjectId, dest: ObjectId) -> Answer<()> {
        told(moved(store, (src, dest), true).await)
    }

    async fn move_object(store: &Accessor<T, Self>, src: ObjectId, dest: ObjectId) -> Answer<()> {
        told(moved(store, (src, dest), false).await)
    }
}

impl container::HostContainer for View<'_> {
    fn drop(&mut self, this: Resource<Container>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: Capable> container::HostContainerWithStore<T> for OfInstance<T> {
    async fn name(store: &Accessor<T, Self>, this: Resource<Container>) -> Answer<String> {
        Ok(Ok(held(store, &this)?.0.name().to_string()))
    }

    async fn info(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
    ) -> Answer<ContainerMetadata> {
        let (container, caller) = held(store, &this)?;
        told(container.info(&caller).await.map(|info| ContainerMetadata {
            name: container.name().to_string(),
            created_at: nanoseconds(info.created),
        }))
    }

    async fn get_data(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        name: String,
        start: u64,
        end: u64,
    ) -> Answer<StreamReader<u8>> {
        let (container, caller) = held(store, &this)?;
        match container.get(&caller, &name, range(start, end)).await {
            Ok(blob) => {
                let out = streams::bytes(blob);
                Ok(Ok(store.with(|mut access| StreamReader::new(&mut access, out))?))
            }
            Err(failure) => told(Err(failure)),
        }
    }

    async fn write_data(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        name: String,
        mut data: StreamReader<u8>,
    ) -> Answer<()> {
        let (container, caller) = held(store, &this)?;
        let mut writing = match container.put(&caller, &name).await {
            Ok(writing) => writing,
            Err(failure) => {
                store.with(|mut access| data.close(&mut access))?;
                return told(Err(failure));
            }
        };
        let (into, mut pieces) = pipe();
        store.with(|mut access| data.pipe(&mut access, into))?;
        while let Some(piece) = pieces.recv().await {
            if let Err(failure) = writing.write(piece).await {
                return told(Err(failure));
            }
        }
        told(writing.finish().await)
    }

    async fn list_objects(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
    ) -> Answer<StreamReader<String>> {
        let (container, caller) = held(store, &this)?;
        match container.list(&caller).await {
            Ok(listing) => {
                let out = streams::names(listing);
                Ok(Ok(store.with(|mut access| StreamReader::new(&mut access, out))?))
            }
            Err(failure) => told(Err(failure)),
        }
    }

    async fn delete_object(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        name: String,
    ) -> Answer<()> {
        let (container, caller) = held(store, &this)?;
        told(container.delete_objects(&caller, &[name]).await)
    }

    async fn delete_objects(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        names: Vec<String>,
    ) -> Answer<()> {
        let (container, caller) = held(store, &this)?;
        told(container.delete_objects(&caller, &names).await)
    }

    async fn has_object(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        name: String,
    ) -> Answer<bool> {
        let (container, caller) = held(store, &this)?;
        told(container.has(&caller, &name).await)
    }

    async fn object_info(
        store: &Accessor<T, Self>,
        this: Resource<Container>,
        name: String,
    ) -> Answer<ObjectMetadata> {
        let (container, caller) = held(store, &this)?;
        let info = container.object_info(&caller, &name).await;
        told(info.map(|info| ObjectMetadata {
            name,
            container: container.name().to_string(),
            created_at: nanoseconds(info.created),
            size: info.size,
        }))
    }

    async fn clear(store: &Accessor<T, Self>, this: Resource<Container>) -> Answer<()> {
        let (container, caller) = held(store, &this)?;
        told(container.clear(&caller).await)
    }
}

fn nanoseconds(time: Option<std::time::SystemTime>) -> u64 {
    u64::try_from(since_1970(time).as_nanos()).unwrap_or(u64::MAX)
}
