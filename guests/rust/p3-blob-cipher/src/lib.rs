//! A blob store in front of another, for WASI 0.3: it exports `wasmcloud:blobstore` and imports it, and what lies in the one
//! behind is enciphered, piece by piece as it flows. Not with a cipher that anybody should use: each byte is turned over.

wit_bindgen::generate!({
    path: "../../../crates/capabilities/interfaces/wit/wasmcloud-blobstore-0.1.0.wit",
    inline: "
        package reef-test:blob-cipher;

        world cipher {
            import wasmcloud:blobstore/types@0.1.0;
            import wasmcloud:blobstore/container@0.1.0;
            import wasmcloud:blobstore/blobstore@0.1.0;
            export wasmcloud:blobstore/container@0.1.0;
            export wasmcloud:blobstore/blobstore@0.1.0;
        }
    ",
    world: "reef-test:blob-cipher/cipher",
    generate_all,
});

use exports::wasmcloud::blobstore::{
    blobstore,
    container::{self, GuestContainer},
};
use wasmcloud::blobstore::{
    self as behind,
    types::{ContainerMetadata, Error, ObjectId, ObjectMetadata},
};
use wit_bindgen::{StreamReader, StreamResult};

struct Cipher;

export!(Cipher);

/// The same bytes, turned over on their way.
fn turned(mut from: StreamReader<u8>) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        let mut room = Vec::with_capacity(64 << 10);
        loop {
            let (result, mut piece) = from.read(room).await;
            piece.iter_mut().for_each(|byte| *byte = !*byte);
            room = writer.write_all(piece).await;
            if !room.is_empty() || !matches!(result, StreamResult::Complete(_)) {
                return;
            }
        }
    });
    reader
}

struct Container(behind::container::Container);

fn wrapped(container: behind::container::Container) -> container::Container {
    container::Container::new(Container(container))
}

impl container::Guest for Cipher {
    type Container = Container;
}

impl GuestContainer for Container {
    async fn name(&self) -> Result<String, Error> {
        self.0.name().await
    }

    async fn info(&self) -> Result<ContainerMetadata, Error> {
        self.0.info().await
    }

    async fn get_data(
        &self,
        name: String,
        start: u64,
        end: u64,
    ) -> Result<StreamReader<u8>, Error> {
        Ok(turned(self.0.get_data(name, start, end).await?))
    }

    async fn write_data(&self, name: String, data: StreamReader<u8>) -> Result<(), Error> {
        self.0.write_data(name, turned(data)).await
    }

    async fn list_objects(&self) -> Result<StreamReader<String>, Error> {
        self.0.list_objects().await
    }

    async fn delete_object(&self, name: String) -> Result<(), Error> {
        self.0.delete_object(name).await
    }

    async fn delete_objects(&self, names: Vec<String>) -> Result<(), Error> {
        self.0.delete_objects(names).await
    }

    async fn has_object(&self, name: String) -> Result<bool, Error> {
        self.0.has_object(name).await
    }

    async fn object_info(&self, name: String) -> Result<ObjectMetadata, Error> {
        self.0.object_info(name).await
    }

    async fn clear(&self) -> Result<(), Error> {
        self.0.clear().await
    }
}

impl blobstore::Guest for Cipher {
    async fn create_container(name: String) -> Result<blobstore::Container, Error> {
        Ok(wrapped(behind::blobstore::create_container(name).await?))
    }

    async fn get_container(name: String) -> Result<blobstore::Container, Error> {
        Ok(wrapped(behind::blobstore::get_container(name).await?))
    }

    async fn delete_container(name: String) -> Result<(), Error> {
        behind::blobstore::delete_container(name).await
    }

    async fn container_exists(name: String) -> Result<bool, Error> {
        behind::blobstore::container_exists(name).await
    }

    async fn copy_object(src: ObjectId, dest: ObjectId) -> Result<(), Error> {
        behind::blobstore::copy_object(src, dest).await
    }

    async fn move_object(src: ObjectId, dest: ObjectId) -> Result<(), Error> {
        behind::blobstore::move_object(src, dest).await
    }
}
