//! `wasmcloud:keyvalue@0.2.0`: asynchronous, with expiry, conditions and prefixes.

use std::time::Duration;

use bytes::Bytes;
use reef_capability::Failure;
use reef_key_value::{Bucket, Condition, SetOptions, Swapped};
use wasmtime::component::{Accessor, Resource};

use self::wasmcloud::keyvalue::{
    atomics, batch,
    cas::{self, CasOptions, CasResult, Entry},
    store,
    types::{self, Error, KeyResponse},
};
use super::{opened, pairs};
use crate::{Capable, OfInstance, View};

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-keyvalue-0.2.0.wit",
    imports: { default: async | trappable },
    with: { "wasmcloud:keyvalue/types.bucket": reef_key_value::Bucket },
});

type Answer<T> = wasmtime::Result<Result<T, Error>>;

const STORE: &str = "wasmcloud:keyvalue/store@0.2.0";

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { .. } => Self::NoSuchStore,
            Failure::Denied(_) => Self::AccessDenied,
            Failure::Invalid(_) => Self::InvalidArgument,
            Failure::Conflict(_) => Self::PreconditionFailed,
            Failure::Timeout(_) => Self::Timeout,
            Failure::Unavailable { .. } | Failure::Broken { .. } => Self::StoreUnavailable,
            Failure::TooMany(_) | Failure::Full(_) => Self::QuotaExceeded,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<reef_key_value::Entry> for Entry {
    fn from(entry: reef_key_value::Entry) -> Self {
        Self { version: entry.version.to_string(), value: entry.value.into() }
    }
}

impl types::Host for View<'_> {}

impl types::HostBucket for View<'_> {
    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl<T: Capable> types::HostBucketWithStore<T> for OfInstance<T> {
    async fn get(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let got = bucket.get(&caller, &key).await;
        Ok(got.map(|value| value.map(Into::into)).map_err(Into::into))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
        options: Option<types::SetOptions>,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let options = options.map_or(SetOptions::default(), |options| SetOptions {
            expires: options.ttl_ms.map(Duration::from_millis),
            if_absent: options.if_not_exists,
        });
        Ok(match bucket.set_with(&caller, &key, value.into(), options).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::PreconditionFailed),
            Err(failure) => Err(failure.into()),
        })
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        Ok(bucket.delete(&caller, &key).await.map_err(Into::into))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Answer<bool> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        Ok(bucket.exists(&caller, &key).await.map_err(Into::into))
    }

    async fn list_keys(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        prefix: Option<String>,
        cursor: Option<String>,
    ) -> Answer<KeyResponse> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let prefix = prefix.as_deref().unwrap_or_default();
        let page = bucket.keys(&caller, prefix, cursor.as_deref()).await;
        let page = page.map(|page| KeyResponse { keys: page.keys, cursor: page.next });
        Ok(page.map_err(Into::into))
    }
}

impl store::Host for View<'_> {}

impl<T: Capable> store::HostWithStore<T> for OfInstance<T> {
    async fn open(accessor: &Accessor<T, Self>, identifier: String) -> Answer<Resource<Bucket>> {
        Ok(accessor.with(|mut access| {
            let mut view = access.get();
            let opened = view.open_bucket(STORE, &identifier);
            Ok(opened.and_then(|bucket| view.keep(bucket))?)
        }))
    }
}

impl atomics::Host for View<'_> {}

impl<T: Capable> atomics::HostWithStore<T> for OfInstance<T> {
    async fn increment(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Answer<i64> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        Ok(bucket.add(&caller, &key, delta).await.map_err(Into::into))
    }
}

impl cas::Host for View<'_> {}

impl<T: Capable> cas::HostWithStore<T> for OfInstance<T> {
    async fn current(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Answer<Option<Entry>> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let entry = bucket.entry(&caller, &key).await;
        Ok(entry.map(|entry| entry.map(Into::into)).map_err(Into::into))
    }

    async fn swap(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
        options: CasOptions,
    ) -> Answer<CasResult> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let CasOptions { require_version, require_value } = options;
        let condition =
            Condition { version: require_version, value: require_value.map(Bytes::from) };
        Ok(match bucket.swap_if(&caller, &key, &condition, value.into()).await {
            Ok(Swapped::Done) => Ok(CasResult::Swapped),
            Ok(Swapped::Stale(now)) => Ok(CasResult::Stale(now.map(Into::into))),
            Err(failure) => Err(failure.into()),
        })
    }
}

impl batch::Host for View<'_> {}

impl<T: Capable> batch::HostWithStore<T> for OfInstance<T> {
    async fn get_many(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        let values = bucket.get_many(&caller, &keys).await.map(|values| {
            let each = keys.into_iter().zip(values);
            each.map(|(key, value)| Some((key, value?.into()))).collect()
        });
        Ok(values.map_err(Into::into))
    }

    async fn set_many(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        Ok(bucket.set_many(&caller, pairs(key_values)).await.map_err(Into::into))
    }

    async fn delete_many(
        accessor: &Accessor<T, Self>,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<()> {
        let (bucket, caller) = opened(accessor, &bucket)?;
        Ok(bucket.delete_many(&caller, &keys).await.map_err(Into::into))
    }
}
