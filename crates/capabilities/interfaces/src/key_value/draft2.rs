//! `wasi:keyvalue@0.2.0-draft2`.

use reef_capability::Failure;
use reef_key_value::Bucket;
use wasmtime::component::Resource;

use self::wasi::keyvalue::{
    atomics::{self, CasError},
    batch,
    store::{Error, Host, HostBucket, KeyResponse},
};
use super::{Cas, Refusal, look, pairs};
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/wasi-keyvalue-0.2.0-draft2.wit",
    imports: { default: async | trappable },
    with: {
        "wasi:keyvalue/store.bucket": reef_key_value::Bucket,
        "wasi:keyvalue/atomics.cas": crate::key_value::Cas,
    },
});

const STORE: &str = "wasi:keyvalue/store@0.2.0-draft2";

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
        cursor: Option<String>,
    ) -> Answer<KeyResponse> {
        let page = self.bucket(&bucket)?.keys(&self.instance.caller, "", cursor.as_deref()).await;
        let page = page.map(|page| KeyResponse { keys: page.keys, cursor: page.next });
        Ok(page.map_err(Into::into))
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
        delta: i64,
    ) -> Answer<i64> {
        let sum = self.bucket(&bucket)?.add(&self.instance.caller, &key, delta).await;
        Ok(sum.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        let Cas { bucket, key, seen } = self.table.delete(cas)?;
        let version = seen.as_ref().map(|(_, version)| version);
        let swapped = bucket.swap(&self.instance.caller, &key, version, value.into()).await;
        let failed = match swapped {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => look(bucket, key, &self.instance.caller).await,
            Err(failure) => Err(failure),
        };
        Ok(Err(match failed.and_then(|now| self.keep(now)) {
            Ok(now) => CasError::CasFailed(now),
            Err(failure) => CasError::StoreError(failure.into()),
        }))
    }
}

impl atomics::HostCas for View<'_> {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Resource<Cas>> {
        let bucket = self.bucket(&bucket)?;
        let cas = look(bucket, key, &self.instance.caller).await;
        Ok(cas.and_then(|cas| self.keep(cas)).map_err(Into::into))
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Answer<Option<Vec<u8>>> {
        let seen = &self.table.get(&cas)?.seen;
        Ok(Ok(seen.as_ref().map(|(value, _)| value.to_vec())))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for View<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
        let values = self.bucket(&bucket)?.get_many(&self.instance.caller, &keys).await;
        let values = values.map(|values| {
            let each = keys.into_iter().zip(values);
            each.map(|(key, value)| (key, value.map(Into::into))).collect()
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
