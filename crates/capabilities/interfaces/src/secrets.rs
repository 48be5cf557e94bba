//! Secrets: `wasmcloud:secrets`, of which a guest gets a handle first, and then has to say that it wants to see it.

use reef_config::Value;
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{
        Accessor, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
    },
};

use crate::{Capable, View, instance::of_call, reader::Reader, scope::Getter};
use reef_capability::Failure;

/// Versions whose functions are called in turn, and the one whose are asynchronous: what else differs are its labelled
/// imports, which are not offered.
const PLAIN: [[&str; 2]; 2] = [
    ["wasmcloud:secrets/store@0.1.0-draft", "wasmcloud:secrets/reveal@0.1.0-draft"],
    ["wasmcloud:secrets/store@1.0.0", "wasmcloud:secrets/reveal@1.0.0"],
];
const CONCURRENT: [&str; 2] = ["wasmcloud:secrets/store@2.1.0", "wasmcloud:secrets/reveal@2.1.0"];

/// What is offered.
pub(crate) const PROVIDED: &[&str] =
    &[PLAIN[0][0], PLAIN[0][1], PLAIN[1][0], PLAIN[1][1], CONCURRENT[0], CONCURRENT[1]];

/// A secret that a guest has not seen yet.
#[derive(Clone, Debug)]
struct Held(Value);

/// `wasmcloud:secrets/store.secrets-error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
    #[component(name = "not-found")]
    NotFound,
}

/// `wasmcloud:secrets/store.secret-value`.
#[derive(Clone, ComponentType, Lift, Lower)]
#[component(variant)]
enum Revealed {
    #[component(name = "string")]
    Text(String),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound { .. } => Self::NotFound,
            other => Self::Upstream(other.to_string()),
        }
    }
}

impl From<&Held> for Revealed {
    fn from(Held(value): &Held) -> Self {
        match value.text() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(value.bytes().to_vec()),
        }
    }
}

/// Offers the package if it is `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if !wanted("wasmcloud:secrets/") {
        return Ok(());
    }
    for interface in PROVIDED {
        if concurrent || !CONCURRENT.contains(interface) {
            offer(&mut linker.instance(interface)?, interface, concurrent, T::capabilities)?;
        }
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
    let Some(interface) = PROVIDED.iter().copied().find(|one| *one == interface) else {
        return Ok(false);
    };
    let reveal = interface.contains("/reveal@");
    match CONCURRENT.contains(&interface) {
        true if !concurrent => return Ok(false),
        true if reveal => instance.func_wrap_concurrent(
            "reveal",
            move |accessor: &Accessor<T>, (secret,): (Resource<Held>,)| {
                let shown = accessor.with(|mut access| show(&data(access.data_mut()), &secret));
                Box::pin(async move { Ok((shown?,)) })
            },
        )?,
        true => concurrent_handles(instance, interface, data)?,
        false if reveal => instance.func_wrap(
            "reveal",
            move |mut store: StoreContextMut<'_, T>, (secret,): (Resource<Held>,)| {
                Ok((show(&data(store.data_mut()), &secret)?,))
            },
        )?,
        false => handles(instance, interface, data)?,
    }
    Ok(true)
}

fn handles<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &'static str,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    secret(instance, data)?;
    instance.func_wrap_async("get", move |mut store: StoreContextMut<'_, T>, (key,): (String,)| {
        Box::new(async move {
            let reader =
                of_call(store.as_context_mut(), data, |view| Reader::secrets(view, interface));
            let found = find(reader, &key).await;
            Ok((found.and_then(|found| keep(data(store.data_mut()), found)),))
        })
    })
}

fn concurrent_handles<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &'static str,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    secret(instance, data)?;
    instance.func_wrap_concurrent("get", move |accessor: &Accessor<T>, (key,): (String,)| {
        Box::pin(async move {
            let reader = accessor.with(|mut access| {
                of_call(access.as_context_mut(), data, |view| Reader::secrets(view, interface))
            });
            let found = find(reader, &key).await;
            let kept = accessor
                .with(|mut access| found.and_then(|found| keep(data(access.data_mut()), found)));
            Ok((kept,))
        })
    })
}

fn secret<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    instance.resource("secret", ResourceType::host::<Held>(), move |mut store, handle| {
        data(store.data_mut()).table.delete(Resource::<Held>::new_own(handle))?;
        Ok(())
    })
}

async fn find(reader: Result<Reader, Failure>, key: &str) -> Result<Held, Error> {
    let reader = reader?;
    let found = reader.values().get(&reader.caller, key).await?;
    found.map(Held).ok_or(Error::NotFound)
}

fn keep(mut view: View<'_>, secret: Held) -> Result<Resource<Held>, Error> {
    Ok(view.keep(secret)?)
}

fn show(view: &View<'_>, secret: &Resource<Held>) -> wasmtime::Result<Revealed> {
    Ok(view.table.get(secret)?.into())
}
