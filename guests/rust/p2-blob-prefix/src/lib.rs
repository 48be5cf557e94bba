//! A blob store in front of another: it exports `wasi:blobstore` and imports it. Objects lie behind it under a prefix, and
//! nothing that has another is seen through it. Bodies are the streams of what is behind: they do not go through here.

use std::cell::RefCell;

wit_bindgen::generate!({
    path: [
        "../../../crates/capabilities/interfaces/wit/wasi-io-0.2.1.wit",
        "../../../crates/capabilities/interfaces/wit/wasi-blobstore-0.2.0-draft.wit",
    ],
    inline: "
        package reef-test:blob-prefix;

        world prefix {
            import wasi:blobstore/types@0.2.0-draft;
            import wasi:blobstore/container@0.2.0-draft;
            import wasi:blobstore/blobstore@0.2.0-draft;
            export wasi:blobstore/types@0.2.0-draft;
            export wasi:blobstore/container@0.2.0-draft;
            export wasi:blobstore/blobstore@0.2.0-draft;
        }
    ",
    world: "reef-test:blob-prefix/prefix",
    generate_all,
});

use exports::wasi::blobstore::{
    blobstore,
    container::{
        self, ContainerMetadata, GuestContainer, GuestStreamObjectNames, ObjectMetadata,
        OutgoingValueBorrow,
    },
    types::{self, GuestIncomingValue, GuestOutgoingValue, ObjectId},
};
use wasi::{
    blobstore as behind,
    io::streams::{InputStream, OutputStream},
};

const PREFIX: &str = "kept/";

struct Prefix;

export!(Prefix);

fn kept(name: &str) -> String {
    format!("{PREFIX}{name}")
}

struct Outgoing(RefCell<Option<behind::types::OutgoingValue>>);

struct Incoming(RefCell<Option<behind::types::IncomingValue>>);

impl types::Guest for Prefix {
    type OutgoingValue = Outgoing;
    type IncomingValue = Incoming;
}

impl GuestOutgoingValue for Outgoing {
    fn new_outgoing_value() -> types::OutgoingValue {
        let value = behind::types::OutgoingValue::new_outgoing_value();
        types::OutgoingValue::new(Self(RefCell::new(Some(value))))
    }

    fn outgoing_value_write_body(&self) -> Result<OutputStream, ()> {
        self.0.borrow().as_ref().ok_or(())?.outgoing_value_write_body()
    }

    fn finish(this: types::OutgoingValue) -> Result<(), String> {
        let value = this.into_inner::<Self>().0.take().ok_or("it was finished before")?;
        behind::types::OutgoingValue::finish(value)
    }
}

impl Incoming {
    fn of(this: types::IncomingValue) -> Result<behind::types::IncomingValue, String> {
        Ok(this.into_inner::<Self>().0.take().ok_or("it was taken before")?)
    }
}

impl GuestIncomingValue for Incoming {
    fn incoming_value_consume_sync(this: types::IncomingValue) -> Result<Vec<u8>, String> {
        behind::types::IncomingValue::incoming_value_consume_sync(Self::of(this)?)
    }

    fn incoming_value_consume_async(this: types::IncomingValue) -> Result<InputStream, String> {
        behind::types::IncomingValue::incoming_value_consume_async(Self::of(this)?)
    }

    fn size(&self) -> u64 {
        self.0.borrow().as_ref().map_or(0, behind::types::IncomingValue::size)
    }
}

struct Container(behind::container::Container);

struct Names {
    left: RefCell<Vec<String>>,
}

impl container::Guest for Prefix {
    type Container = Container;
    type StreamObjectNames = Names;
}

impl Container {
    /// The names of all objects that are seen, without the prefix.
    fn names(&self) -> Result<Vec<String>, String> {
        let names = self.0.list_objects()?;
        let mut all = Vec::new();
        loop {
            let (some, ended) = names.read_stream_object_names(100)?;
            let seen = some.iter().filter_map(|name| name.strip_prefix(PREFIX));
            all.extend(seen.map(str::to_owned));
            if ended {
                return Ok(all);
            }
        }
    }
}

impl GuestContainer for Container {
    fn name(&self) -> Result<String, String> {
        self.0.name()
    }

    fn info(&self) -> Result<ContainerMetadata, String> {
        let behind::types::ContainerMetadata { name, created_at } = self.0.info()?;
        Ok(ContainerMetadata { name, created_at })
    }

    fn get_data(
        &self,
        name: String,
        start: u64,
        end: u64,
    ) -> Result<container::IncomingValue, String> {
        let value = self.0.get_data(&kept(&name), start, end)?;
        Ok(types::IncomingValue::new(Incoming(RefCell::new(Some(value)))))
    }

    fn write_data(&self, name: String, data: OutgoingValueBorrow<'_>) -> Result<(), String> {
        let value = data.get::<Outgoing>().0.borrow();
        self.0.write_data(&kept(&name), value.as_ref().ok_or("it was finished before")?)
    }

    fn list_objects(&self) -> Result<container::StreamObjectNames, String> {
        let left = RefCell::new(self.names()?);
        Ok(container::StreamObjectNames::new(Names { left }))
    }

    fn delete_object(&self, name: String) -> Result<(), String> {
        self.0.delete_object(&kept(&name))
    }

    fn delete_objects(&self, names: Vec<String>) -> Result<(), String> {
        self.0.delete_objects(&names.iter().map(|name| kept(name)).collect::<Vec<_>>())
    }

    fn has_object(&self, name: String) -> Result<bool, String> {
        self.0.has_object(&kept(&name))
    }

    fn object_info(&self, name: String) -> Result<ObjectMetadata, String> {
        let info = self.0.object_info(&kept(&name))?;
        let behind::types::ObjectMetadata { container, created_at, size, .. } = info;
        Ok(ObjectMetadata { name, container, created_at, size })
    }

    fn clear(&self) -> Result<(), String> {
        self.delete_objects(self.names()?)
    }
}

impl GuestStreamObjectNames for Names {
    fn read_stream_object_names(&self, len: u64) -> Result<(Vec<String>, bool), String> {
        let mut left = self.left.borrow_mut();
        let most = left.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        let some = left.drain(..most).collect();
        Ok((some, left.is_empty()))
    }

    fn skip_stream_object_names(&self, num: u64) -> Result<(u64, bool), String> {
        let (skipped, ended) = self.read_stream_object_names(num)?;
        Ok((skipped.len() as u64, ended))
    }
}

fn id(of: ObjectId) -> behind::types::ObjectId {
    behind::types::ObjectId { container: of.container, object: kept(&of.object) }
}

impl blobstore::Guest for Prefix {
    fn create_container(name: String) -> Result<blobstore::Container, String> {
        let container = behind::blobstore::create_container(&name)?;
        Ok(container::Container::new(Container(container)))
    }

    fn get_container(name: String) -> Result<blobstore::Container, String> {
        let container = behind::blobstore::get_container(&name)?;
        Ok(container::Container::new(Container(container)))
    }

    fn delete_container(name: String) -> Result<(), String> {
        behind::blobstore::delete_container(&name)
    }

    fn container_exists(name: String) -> Result<bool, String> {
        behind::blobstore::container_exists(&name)
    }

    fn copy_object(src: ObjectId, dest: ObjectId) -> Result<(), String> {
        behind::blobstore::copy_object(&id(src), &id(dest))
    }

    fn move_object(src: ObjectId, dest: ObjectId) -> Result<(), String> {
        behind::blobstore::move_object(&id(src), &id(dest))
    }
}
