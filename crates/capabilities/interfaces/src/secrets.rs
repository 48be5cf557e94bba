//! Secrets: `wasmcloud:secrets`, of which a guest gets a handle first, and then has to say that it wants to see it.

use reef_config::Value;
use wasmtime::{
    StoreContextMut,
    component::{
        Accessor, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
    },
};

use crate::{Capable, instance::Reader};
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

/// What a part of a composition may have for its own.
pub(crate) const PARTS: &[&str] = &[PLAIN[0][0], PLAIN[0][1], PLAIN[1][0], PLAIN[1][1]];

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
    for [store, reveal] in PLAIN {
        handles(&mut linker.instance(store)?, store, None)?;
        reveals(&mut linker.instance(reveal)?)?;
    }
    if !concurrent {
        return Ok(());
    }
    let [store, reveal] = CONCURRENT;
    let mut instance = linker.instance(store)?;
    secret(&mut instance)?;
    instance.func_wrap_concurrent("get", move |accessor: &Accessor<T>, (key,): (String,)| {
        Box::pin(async move {
            let reader = accessor.with(|mut access| Reader::of_data(access.data_mut(), None));
            let found = find(reader, store, &key).await;
            let kept =
                accessor.with(|mut access| found.and_then(|found| keep(access.data_mut(), found)));
            Ok((kept,))
        })
    })?;
    linker.instance(reveal)?.func_wrap_concurrent(
        "reveal",
        |accessor: &Accessor<T>, (secret,): (Resource<Held>,)| {
            let shown = accessor.with(|mut access| show(access.data_mut(), &secret));
            Box::pin(async move { Ok((shown?,)) })
        },
    )
}

/// Offers one of these interfaces to a part of a composition.
pub(crate) fn add_part_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    import: &str,
    interface: &'static str,
    part: u32,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(import)?;
    if interface.contains("/reveal@") {
        // A handle is its value, whoever has it.
        return reveals(&mut instance);
    }
    handles(&mut instance, interface, Some(part))
}

fn handles<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &'static str,
    part: Option<u32>,
) -> wasmtime::Result<()> {
    secret(instance)?;
    instance.func_wrap_async(
        "get",
        move |mut context: StoreContextMut<'_, T>, (key,): (String,)| {
            Box::new(async move {
                let reader = Reader::of_data(context.data_mut(), part);
                let found = find(reader, interface, &key).await;
                Ok((found.and_then(|found| keep(context.data_mut(), found)),))
            })
        },
    )
}

fn reveals<T: Capable>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "reveal",
        |mut context: StoreContextMut<'_, T>, (secret,): (Resource<Held>,)| {
            Ok((show(context.data_mut(), &secret)?,))
        },
    )
}

fn secret<T: Capable>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.resource("secret", ResourceType::host::<Held>(), |mut context, handle| {
        let view = T::capabilities(context.data_mut());
        view.table.delete(Resource::<Held>::new_own(handle))?;
        Ok(())
    })
}

async fn find(reader: Result<Reader, Failure>, import: &str, key: &str) -> Result<Held, Error> {
    let reader = reader?;
    if reader.granted.secrets.is_empty() {
        // Says what to add.
        reader.granted.secrets.named(import, "")?;
    }
    let found = reader.secrets().get(&reader.caller, key).await?;
    found.map(Held).ok_or(Error::NotFound)
}

fn keep<T: Capable>(data: &mut T, secret: Held) -> Result<Resource<Held>, Error> {
    Ok(data.capabilities().keep(secret)?)
}

fn show<T: Capable>(data: &mut T, secret: &Resource<Held>) -> wasmtime::Result<Revealed> {
    Ok(data.capabilities().table.get(secret)?.into())
}
