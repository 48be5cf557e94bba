//! `wasi:keyvalue@0.2.0-draft`.

use reef_capability::Failure;
use reef_key_value::Bucket;
use wasmtime::component::Resource;

use self::wasi::keyvalue::{
    atomics, batch,
    store::{Error, Host, HostBucket, KeyResponse},
};
use super::{Refusal, pairs};
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/wasi-keyvalue-0.2.0-draft.wit",
    imports: { default: async | trappable },
    with: { "wasi:keyvalue/store.bucket": reef_key_value::Bucket },
});

const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.into() {
            Refusal::NoSuchStore => Self::NoSuchStore,
            Refusal::Denied => Self::AccessDenied,
            Refusal::Other(why) => Self::Other(why),
        }
    }
}

impl Host for View<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        let opened = self.open_bucket(STORE, &identifier);
        Ok(opened.and_then(|bucket| self.keep(bucket)).map_err(Into::into))
    }
}

impl HostBucket for View<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let got = self.bucket(&bucket)?.get(&self.instance.caller, &key).await;
        Ok(got.map(|value| value.map(Into::into)).map_err(Into::into))
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let set = self.bucket(&bucket)?.set(&self.instance.caller, &key, value.into()).await;
        Ok(set.map_err(Into::into))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        let deleted = self.bucket(&bucket)?.delete(&self.instance.caller, &key).await;
        Ok(deleted.map_err(Into::into))
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        let exists = self.bucket(&bucket)?.exists(&self.instance.caller, &key).await;
        Ok(exists.map_err(Into::into))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Answer<KeyResponse> {
        let page = self.bucket(&bucket)?.keys_by_number(&self.instance.caller, cursor).await;
        Ok(page.map(|(keys, cursor)| KeyResponse { keys, cursor }).map_err(Into::into))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Answer<u64> {
        let beyond = || Failure::Invalid("sums are whole numbers from 0 to 2^63 - 1".to_owned());
        let bucket = self.bucket(&bucket)?;
        let Ok(delta) = i64::try_from(delta) else { return Ok(Err(beyond().into())) };
        let sum = bucket.add(&self.instance.caller, &key, delta).await;
        Ok(sum.and_then(|sum| u64::try_from(sum).map_err(|_| beyond())).map_err(Into::into))
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let values = self.bucket(&bucket)?.get_many(&self.instance.caller, &keys).await;
        let values = values.map(|values| {
            let each = keys.into_iter().zip(values);
            each.map(|(key, value)| Some((key, value?.into()))).collect()
        });
        Ok(values.map_err(Into::into))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        let bucket = self.bucket(&bucket)?;
        let set = bucket.set_many(&self.instance.caller, pairs(key_values)).await;
        Ok(set.map_err(Into::into))
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        let deleted = self.bucket(&bucket)?.delete_many(&self.instance.caller, &keys).await;
        Ok(deleted.map_err(Into::into))
    }
}
