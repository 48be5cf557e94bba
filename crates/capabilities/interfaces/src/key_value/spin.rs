//! Spin's key-value stores, as its components import them synchronously: `fermyon:spin/key-value`, without a
//! version and as 2.0.0. A label is a link's name.

use reef_capability::Failure;
use reef_key_value::Bucket;
use wasmtime::component::Resource;

use super::Refusal;
use crate::View;

pub(super) mod v1 {
    wasmtime::component::bindgen!({
        path: "wit/fermyon-spin-key-value.wit",
        imports: { default: async | trappable },
    });
}

pub(super) mod v2 {
    wasmtime::component::bindgen!({
        path: "wit/fermyon-spin-2.0.0-key-value.wit",
        imports: { default: async | trappable },
        with: { "fermyon:spin/key-value.store": reef_key_value::Bucket },
    });
}

use v1::fermyon::spin::key_value as key_value1;
use v2::fermyon::spin::key_value as key_value2;

type Answer1<T> = wasmtime::Result<Result<T, key_value1::Error>>;
type Answer2<T> = wasmtime::Result<Result<T, key_value2::Error>>;

/// A store whose handle is a number of the guest's.
struct Numbered(Bucket);

impl From<Failure> for key_value1::Error {
    fn from(failure: Failure) -> Self {
        match failure.into() {
            Refusal::NoSuchStore => Self::NoSuchStore,
            Refusal::Denied => Self::AccessDenied,
            Refusal::Other(why) => Self::Io(why),
        }
    }
}

impl From<Failure> for key_value2::Error {
    fn from(failure: Failure) -> Self {
        match failure.into() {
            Refusal::NoSuchStore => Self::NoSuchStore,
            Refusal::Denied => Self::AccessDenied,
            Refusal::Other(why) => Self::Other(why),
        }
    }
}

impl View<'_> {
    fn numbered(&self, store: u32) -> Result<Bucket, key_value1::Error> {
        let store = Resource::<Numbered>::new_borrow(store);
        let found = self.table.get(&store).map(|Numbered(bucket)| bucket.clone());
        found.map_err(|_| key_value1::Error::InvalidStore)
    }
}

impl key_value1::Host for View<'_> {
    async fn open(&mut self, name: String) -> Answer1<u32> {
        let bucket = match self.open_bucket("fermyon:spin/key-value", &name) {
            Ok(bucket) => bucket,
            Err(failure) => return Ok(Err(failure.into())),
        };
        let kept = self.table.push(Numbered(bucket));
        Ok(kept.map(|store| store.rep()).map_err(|_| key_value1::Error::StoreTableFull))
    }

    async fn get(&mut self, store: u32, key: String) -> Answer1<Vec<u8>> {
        let bucket = match self.numbered(store) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        let got = bucket.get(&self.instance.caller, &key).await;
        Ok(match got {
            Ok(Some(value)) => Ok(value.into()),
            Ok(None) => Err(key_value1::Error::NoSuchKey),
            Err(failure) => Err(failure.into()),
        })
    }

    async fn set(&mut self, store: u32, key: String, value: Vec<u8>) -> Answer1<()> {
        let bucket = match self.numbered(store) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        Ok(bucket.set(&self.instance.caller, &key, value.into()).await.map_err(Into::into))
    }

    async fn delete(&mut self, store: u32, key: String) -> Answer1<()> {
        let bucket = match self.numbered(store) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        Ok(bucket.delete(&self.instance.caller, &key).await.map_err(Into::into))
    }

    async fn exists(&mut self, store: u32, key: String) -> Answer1<bool> {
        let bucket = match self.numbered(store) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        Ok(bucket.exists(&self.instance.caller, &key).await.map_err(Into::into))
    }

    async fn get_keys(&mut self, store: u32) -> Answer1<Vec<String>> {
        let bucket = match self.numbered(store) {
            Ok(bucket) => bucket,
            Err(error) => return Ok(Err(error)),
        };
        Ok(bucket.all_keys(&self.instance.caller).await.map_err(Into::into))
    }

    async fn close(&mut self, store: u32) -> wasmtime::Result<()> {
        // Closing what is not open does nothing.
        let _ = self.table.delete(Resource::<Numbered>::new_own(store));
        Ok(())
    }
}

impl key_value2::Host for View<'_> {}

impl key_value2::HostStore for View<'_> {
    async fn open(&mut self, label: String) -> Answer2<Resource<Bucket>> {
        let bucket = match self.open_bucket("fermyon:spin/key-value@2.0.0", &label) {
            Ok(bucket) => bucket,
            Err(failure) => return Ok(Err(failure.into())),
        };
        Ok(self.table.push(bucket).map_err(|_| key_value2::Error::StoreTableFull))
    }

    async fn get(&mut self, store: Resource<Bucket>, key: String) -> Answer2<Option<Vec<u8>>> {
        let got = self.bucket(&store)?.get(&self.instance.caller, &key).await;
        Ok(got.map(|value| value.map(Into::into)).map_err(Into::into))
    }

    async fn set(&mut self, store: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer2<()> {
        let set = self.bucket(&store)?.set(&self.instance.caller, &key, value.into()).await;
        Ok(set.map_err(Into::into))
    }

    async fn delete(&mut self, store: Resource<Bucket>, key: String) -> Answer2<()> {
        let deleted = self.bucket(&store)?.delete(&self.instance.caller, &key).await;
        Ok(deleted.map_err(Into::into))
    }

    async fn exists(&mut self, store: Resource<Bucket>, key: String) -> Answer2<bool> {
        let exists = self.bucket(&store)?.exists(&self.instance.caller, &key).await;
        Ok(exists.map_err(Into::into))
    }

    async fn get_keys(&mut self, store: Resource<Bucket>) -> Answer2<Vec<String>> {
        let keys = self.bucket(&store)?.all_keys(&self.instance.caller).await;
        Ok(keys.map_err(Into::into))
    }

    async fn drop(&mut self, store: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}
