//! Key-value stores: `wasi:keyvalue` in both of its drafts, Spin's in each of its versions, and wasmCloud's.

mod draft;
mod draft2;
mod labels;
mod spin;
mod spin3;
mod wasmcloud;

use bytes::Bytes;
use reef_capability::{Caller, Failure};
use reef_key_value::{Bucket, Version};
use wasmtime::{
    StoreContextMut,
    component::{Accessor, ComponentType, Linker, LinkerInstance, Lower, Resource},
};

pub(crate) use labels::add_labelled;

use crate::{Capable, OfInstance, View};

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

/// What a part of a composition may have for its own.
pub(crate) const PARTS: &[&str] =
    &[PROVIDED[0], PROVIDED[1], PROVIDED[2], PROVIDED[3], PROVIDED[4], PROVIDED[5]];

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

/// Offers one of these interfaces to a part of a composition.
pub(crate) fn add_part_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    import: &str,
    interface: &'static str,
    part: u32,
) -> wasmtime::Result<()> {
    use draft::wasi::keyvalue as first;
    use draft2::wasi::keyvalue as second;
    let mut instance = linker.instance(import)?;
    let (instance, data) = (&mut instance, T::capabilities);
    match interface {
        "wasi:keyvalue/atomics@0.2.0-draft" => {
            first::atomics::add_to_linker_instance::<_, OfInstance<T>>(instance, data)
        }
        "wasi:keyvalue/batch@0.2.0-draft" => {
            first::batch::add_to_linker_instance::<_, OfInstance<T>>(instance, data)
        }
        "wasi:keyvalue/store@0.2.0-draft" => {
            first::store::add_to_linker_instance::<_, OfInstance<T>>(instance, data)?;
            open_of_part::<T, first::store::Error>(instance, interface, part)
        }
        "wasi:keyvalue/atomics@0.2.0-draft2" => {
            second::atomics::add_to_linker_instance::<_, OfInstance<T>>(instance, data)
        }
        "wasi:keyvalue/batch@0.2.0-draft2" => {
            second::batch::add_to_linker_instance::<_, OfInstance<T>>(instance, data)
        }
        "wasi:keyvalue/store@0.2.0-draft2" => {
            second::store::add_to_linker_instance::<_, OfInstance<T>>(instance, data)?;
            open_of_part::<T, second::store::Error>(instance, interface, part)
        }
        _ => wasmtime::bail!("`{interface}` cannot be a part's own"),
    }
}

/// `open` by the links of a part. The bucket carries its link, so that all else is as it is for everybody.
fn open_of_part<T: Capable, E: From<Failure> + ComponentType + Lower + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &'static str,
    part: u32,
) -> wasmtime::Result<()> {
    instance.func_wrap(
        "open",
        move |mut store: StoreContextMut<'_, T>, (identifier,): (String,)| {
            let mut view = store.data_mut().capabilities();
            let opened = view.part(part).and_then(|part| {
                let (link, place) = part.granted.key_value.find(interface, None, &identifier)?;
                Bucket::new(link, place)
            });
            let kept = opened.and_then(|bucket| view.keep(bucket));
            Ok((kept.map_err(E::from),))
        },
    )
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
    /// The bucket that an identifier means, over the link of a label if there is one.
    fn open_bucket(
        &mut self,
        import: &str,
        label: Option<&str>,
        identifier: &str,
    ) -> Result<Bucket, Failure> {
        let granted = self.instance.granted();
        let interface = import.split('@').next().unwrap_or(import);
        if let Some(label) = label {
            granted.key_value.named(import, label)?;
        }
        let selected = label.or_else(|| self.instance.selected(interface));
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
    accessor.with(|mut access| {
        let view = access.get();
        Ok((view.bucket(bucket)?, view.instance.caller.clone()))
    })
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
