//! `wasi:blobstore@0.2.0-draft`.

use reef_blob_store::Container;
use reef_capability::Failure;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use self::wasi::blobstore::{
    blobstore,
    container::{self, ContainerMetadata, ObjectMetadata},
    types::{self, ObjectId},
};
use super::{Incoming, ObjectNames, Outgoing, incoming, range, since_1970};
use crate::View;

wasmtime::component::bindgen!({
    path: ["wit/wasi-io-0.2.1.wit", "wit/wasi-blobstore-0.2.0-draft.wit"],
    world: "wasi:blobstore/imports",
    imports: { default: async | trappable },
    with: {
        "wasi:io/streams": wasmtime_wasi_io::bindings::wasi::io::streams,
        "wasi:blobstore/container.container": reef_blob_store::Container,
        "wasi:blobstore/container.stream-object-names": crate::blob_store::ObjectNames,
        "wasi:blobstore/types.incoming-value": crate::blob_store::Incoming,
        "wasi:blobstore/types.outgoing-value": crate::blob_store::Outgoing,
    },
});

const IMPORT: &str = "wasi:blobstore/blobstore@0.2.0-draft";

type Answer<T> = wasmtime::Result<Result<T, String>>;

fn told<T>(done: Result<T, Failure>) -> Answer<T> {
    Ok(done.map_err(|failure| failure.to_string()))
}

impl View<'_> {
    async fn made(&mut self, name: &str) -> Result<Resource<Container>, Failure> {
        let container = self.container(IMPORT, name)?;
        container.create(&self.instance.caller).await?;
        self.keep(container)
    }

    async fn found(&mut self, name: &str) -> Result<Resource<Container>, Failure> {
        let container = self.container(IMPORT, name)?;
        container.info(&self.instance.caller).await?;
        self.keep(container)
    }

    async fn moved(&mut self, from: ObjectId, to: ObjectId, copy: bool) -> Result<(), Failure> {
        let source = self.container(IMPORT, &from.container)?;
        let target = self.container(IMPORT, &to.container)?;
        let (caller, to) = (&self.instance.caller, (&target, &*to.object));
        if copy {
            source.copy(caller, &from.object, to).await
        } else {
            source.rename(caller, &from.object, to).await
        }
    }
}

impl blobstore::Host for View<'_> {
    async fn create_container(&mut self, name: String) -> Answer<Resource<Container>> {
        told(self.made(&name).await)
    }

    async fn get_container(&mut self, name: String) -> Answer<Resource<Container>> {
        told(self.found(&name).await)
    }

    async fn delete_container(&mut self, name: String) -> Answer<()> {
        let container = self.container(IMPORT, &name);
        told(match container {
            Ok(container) => container.delete(&self.instance.caller).await.map(drop),
            Err(failure) => Err(failure),
        })
    }

    async fn container_exists(&mut self, name: String) -> Answer<bool> {
        let container = self.container(IMPORT, &name);
        told(match container {
            Ok(container) => container.exists(&self.instance.caller).await,
            Err(failure) => Err(failure),
        })
    }

    async fn copy_object(&mut self, src: ObjectId, dest: ObjectId) -> Answer<()> {
        told(self.moved(src, dest, true).await)
    }

    async fn move_object(&mut self, src: ObjectId, dest: ObjectId) -> Answer<()> {
        told(self.moved(src, dest, false).await)
    }
}

impl container::Host for View<'_> {}

impl container::HostContainer for View<'_> {
    async fn name(&mut self, this: Resource<Container>) -> Answer<String> {
        Ok(Ok(self.table.get(&this)?.name().to_string()))
    }

    async fn info(&mut self, this: Resource<Container>) -> Answer<ContainerMetadata> {
        let container = self.table.get(&this)?;
        let info = container.info(&self.instance.caller).await;
        let name = container.name().to_string();
        let told_of = |created| since_1970(created).as_secs();
        told(info.map(|info| ContainerMetadata { name, created_at: told_of(info.created) }))
    }

    async fn get_data(
        &mut self,
        this: Resource<Container>,
        name: String,
        start: u64,
        end: u64,
    ) -> Answer<Resource<Incoming>> {
        let container = self.table.get(&this)?;
        let got = container.get(&self.instance.caller, &name, range(start, end)).await;
        told(got.and_then(|blob| self.keep(Incoming { blob })))
    }

    async fn write_data(
        &mut self,
        this: Resource<Container>,
        name: String,
        data: Resource<Outgoing>,
    ) -> Answer<()> {
        let writing = self.table.get(&this)?.put(&self.instance.caller, &name).await;
        let outgoing = self.table.get_mut(&data)?;
        told(match writing {
            Ok(writing) => outgoing.store(writing).await,
            Err(failure) => Err(failure),
        })
    }

    async fn list_objects(&mut self, this: Resource<Container>) -> Answer<Resource<ObjectNames>> {
        let listing = self.table.get(&this)?.list(&self.instance.caller).await;
        told(listing.and_then(|listing| self.keep(ObjectNames::new(listing))))
    }

    async fn delete_object(&mut self, this: Resource<Container>, name: String) -> Answer<()> {
        told(self.table.get(&this)?.delete_objects(&self.instance.caller, &[name]).await)
    }

    async fn delete_objects(
        &mut self,
        this: Resource<Container>,
        names: Vec<String>,
    ) -> Answer<()> {
        told(self.table.get(&this)?.delete_objects(&self.instance.caller, &names).await)
    }

    async fn has_object(&mut self, this: Resource<Container>, name: String) -> Answer<bool> {
        told(self.table.get(&this)?.has(&self.instance.caller, &name).await)
    }

    async fn object_info(
        &mut self,
        this: Resource<Container>,
        name: String,
    ) -> Answer<ObjectMetadata> {
        let container = self.table.get(&this)?;
        let info = container.object_info(&self.instance.caller, &name).await;
        let container = container.name().to_string();
        told(info.map(|info| {
            let created_at = since_1970(info.created).as_secs();
            ObjectMetadata { name, container, created_at, size: info.size }
        }))
    }

    async fn clear(&mut self, this: Resource<Container>) -> Answer<()> {
        told(self.table.get(&this)?.clear(&self.instance.caller).await)
    }

    async fn drop(&mut self, this: Resource<Container>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl container::HostStreamObjectNames for View<'_> {
    async fn read_stream_object_names(
        &mut self,
        this: Resource<ObjectNames>,
        len: u64,
    ) -> Answer<(Vec<String>, bool)> {
        told(self.table.get_mut(&this)?.next(len).await)
    }

    async fn skip_stream_object_names(
        &mut self,
        this: Resource<ObjectNames>,
        num: u64,
    ) -> Answer<(u64, bool)> {
        told(self.table.get_mut(&this)?.skip(num).await)
    }

    async fn drop(&mut self, this: Resource<ObjectNames>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl types::Host for View<'_> {}

impl types::HostOutgoingValue for View<'_> {
    async fn new_outgoing_value(&mut self) -> wasmtime::Result<Resource<Outgoing>> {
        let outgoing = Outgoing::new(self.instance.unnamed.clone());
        Ok(self.table.push(outgoing)?)
    }

    async fn outgoing_value_write_body(
        &mut self,
        this: Resource<Outgoing>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let Some(body) = self.table.get_mut(&this)?.body() else { return Ok(Err(())) };
        let body: DynOutputStream = Box::new(body);
        Ok(Ok(self.table.push_child(body, &this)?))
    }

    async fn finish(&mut self, this: Resource<Outgoing>) -> Answer<()> {
        told(self.table.delete(this)?.finish().await)
    }

    async fn drop(&mut self, this: Resource<Outgoing>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl types::HostIncomingValue for View<'_> {
    async fn incoming_value_consume_sync(&mut self, this: Resource<Incoming>) -> Answer<Vec<u8>> {
        told(self.table.delete(this)?.blob.whole().await)
    }

    async fn incoming_value_consume_async(
        &mut self,
        this: Resource<Incoming>,
    ) -> Answer<Resource<DynInputStream>> {
        let body: DynInputStream = Box::new(incoming::Body::new(self.table.delete(this)?.blob));
        told(self.keep(body))
    }

    async fn size(&mut self, this: Resource<Incoming>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.blob.left())
    }

    async fn drop(&mut self, this: Resource<Incoming>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
