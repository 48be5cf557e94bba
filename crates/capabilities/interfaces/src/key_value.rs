//! Key-value stores: `wasi:keyvalue` in both of its drafts, Spin's in each of its versions, and wasmCloud's.

mod draft;
mod draft2;
mod spin;
mod spin3;
mod wasmcloud;

use bytes::Bytes;
use reef_capability::{Caller, Failure};
use reef_key_value::{Bucket, Version};
use wasmtime::component::{Accessor, Linker, LinkerInstance, Resource};

use crate::{
    Capable, OfInstance, View,
    instance::of_caller,
    scope::{Getter, offered},
};

/// What is offered.
pub(crate) const PROVIDED: &[&str] = &[
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
    "wasi:keyvalue/store@0.2.0-draft2",
    "fermyon:spin/key-value",
    "fermyon:spin/key-value@2.0.0",
    "spin:key-value/key-value@3.0.0",
    "wasmcloud:keyvalue/types@0.2.0",
    "wasmcloud:keyvalue/store@0.2.0",
    "wasmcloud:keyvalue/atomics@0.2.0",
    "wasmcloud:keyvalue/cas@0.2.0",
    "wasmcloud:keyvalue/batch@0.2.0",
];

/// Offers the packages that are `wanted`; those with asynchronous functions only where there is concurrency.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasi:keyvalue/") {
        draft::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        draft2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if wanted("fermyon:spin/key-value") {
        spin::v1::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        spin::v2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if concurrent && wanted("spin:key-value/") {
        spin3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    if concurrent && wanted("wasmcloud:keyvalue/") {
        wasmcloud::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// Offers one interface, if it is one of these.
pub(crate) fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    use draft::wasi::keyvalue as first;
    use draft2::wasi::keyvalue as second;
    use wasmcloud::wasmcloud::keyvalue as wasm_cloud;
    Ok(offered!(instance, interface, data, {
        "wasi:keyvalue/atomics@0.2.0-draft" => first::atomics,
        "wasi:keyvalue/batch@0.2.0-draft" => first::batch,
        "wasi:keyvalue/store@0.2.0-draft" => first::store,
        "wasi:keyvalue/atomics@0.2.0-draft2" => second::atomics,
        "wasi:keyvalue/batch@0.2.0-draft2" => second::batch,
        "wasi:keyvalue/store@0.2.0-draft2" => second::store,
        "fermyon:spin/key-value" => spin::v1::fermyon::spin::key_value,
        "fermyon:spin/key-value@2.0.0" => spin::v2::fermyon::spin::key_value,
        "spin:key-value/key-value@3.0.0" if concurrent => spin3::spin::key_value::key_value,
        "wasmcloud:keyvalue/types@0.2.0" if concurrent => wasm_cloud::types,
        "wasmcloud:keyvalue/store@0.2.0" if concurrent => wasm_cloud::store,
        "wasmcloud:keyvalue/atomics@0.2.0" if concurrent => wasm_cloud::atomics,
        "wasmcloud:keyvalue/cas@0.2.0" if concurrent => wasm_cloud::cas,
        "wasmcloud:keyvalue/batch@0.2.0" if concurrent => wasm_cloud::batch,
    }))
}

/// A key as it was when a guest looked.
#[derive(Clone, Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct Cas {
    bucket: Bucket,
    key: String,
    seen: Option<(Bytes, Version)>,
}

impl View<'_> {
    /// The bucket that an identifier means.
    fn open_bucket(&self, import: &str, identifier: &str) -> Result<Bucket, Failure> {
        let granted = self.granted()?;
        if let Some(label) = self.label() {
            granted.key_value.named(import, label)?;
        }
        let selected = self.selected(import);
        let (link, place) = granted.key_value.find(import, selected, identifier)?;
        Bucket::new(link, place)
    }

    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.table.get(bucket)?.clone())
    }
}

/// A bucket that the guest has, and for whom it uses it.
fn opened<T: Capable>(
    accessor: &Accessor<T, OfInstance<T>>,
    bucket: &Resource<Bucket>,
) -> wasmtime::Result<(Bucket, Caller)> {
    of_caller(accessor, |view| Ok((view.bucket(bucket)?, view.instance.caller.clone())))
}

/// The look at a key that a compare-and-swap begins with.
async fn look(bucket: Bucket, key: String, caller: &Caller) -> Result<Cas, Failure> {
    let seen = bucket.entry(caller, &key).await?;
    Ok(Cas { bucket, key, seen: seen.map(|entry| (entry.value, entry.version)) })
}

/// Whether a failure means that there is no such store, or no right to it.
enum Refusal {
    NoSuchStore,
    Denied,
    Other(String),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { .. } => Self::NoSuchStore,
            Failure::Denied(_) => Self::Denied,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Pairs as the backend takes them.
fn pairs(pairs: Vec<(String, Vec<u8>)>) -> Vec<(String, Bytes)> {
    pairs.into_iter().map(|(key, value)| (key, value.into())).collect()
}
