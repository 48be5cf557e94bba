//! Configuration: `wasi:config` in each of its drafts, which are one interface under several names, and the variables of
//! Spin, in its three versions.

use reef_capability::Failure;
use wasmtime::{
    AsContextMut as _, StoreContextMut,
    component::{Accessor, ComponentType, Lift, Linker, LinkerInstance, Lower},
};

use crate::{Capable, instance::of_call, reader::Reader, scope::Getter};

/// The drafts. The last was wasmCloud's first, too.
const DRAFTS: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/runtime@0.2.0-draft",
];
const SPIN_1: &str = "fermyon:spin/config";
const SPIN_2: &str = "fermyon:spin/variables@2.0.0";
const SPIN_3: &str = "spin:variables/variables@3.0.0";

/// What is offered.
pub(crate) const PROVIDED: &[&str] =
    &[DRAFTS[0], DRAFTS[1], DRAFTS[2], DRAFTS[3], SPIN_1, SPIN_2, SPIN_3];

/// `wasi:config/store.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// `fermyon:spin/config.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum ConfigError {
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "invalid-key")]
    InvalidKey(String),
    #[component(name = "invalid-schema")]
    InvalidSchema(String),
    #[component(name = "other")]
    Other(String),
}

/// `fermyon:spin/variables.error`, and that of `spin:variables/variables`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum VariableError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Upstream(failure.to_string())
    }
}

impl From<Failure> for VariableError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(why) => Self::InvalidName(why),
            Failure::Denied(why) => Self::Other(why),
            other => Self::Provider(other.to_string()),
        }
    }
}

impl From<VariableError> for ConfigError {
    fn from(error: VariableError) -> Self {
        match error {
            VariableError::InvalidName(why) => Self::InvalidKey(why),
            VariableError::Undefined(why) | VariableError::Provider(why) => Self::Provider(why),
            VariableError::Other(why) => Self::Other(why),
        }
    }
}

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    for interface in PROVIDED.iter().filter(|name| wanted(name)) {
        if concurrent || *interface != SPIN_3 {
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
    match interface {
        SPIN_1 => instance.func_wrap_async(
            "get-config",
            move |mut store: StoreContextMut<'_, T>, (name,): (String,)| {
                let reader =
                    of_call(store.as_context_mut(), data, |view| Reader::config(view, SPIN_1));
                Box::new(
                    async move { Ok((variable(reader, name).await.map_err(ConfigError::from),)) },
                )
            },
        )?,
        SPIN_2 => instance.func_wrap_async(
            "get",
            move |mut store: StoreContextMut<'_, T>, (name,): (String,)| {
                let reader =
                    of_call(store.as_context_mut(), data, |view| Reader::config(view, SPIN_2));
                Box::new(async move { Ok((variable(reader, name).await,)) })
            },
        )?,
        SPIN_3 if concurrent => instance.func_wrap_concurrent(
            "get",
            move |accessor: &Accessor<T>, (name,): (String,)| {
                let reader = accessor.with(|mut access| {
                    of_call(access.as_context_mut(), data, |view| Reader::config(view, SPIN_3))
                });
                Box::pin(async move { Ok((variable(reader, name).await,)) })
            },
        )?,
        draft if DRAFTS.contains(&draft) => values(instance, data)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn values<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    instance.func_wrap_async(
        "get",
        move |mut store: StoreContextMut<'_, T>, (key,): (String,)| {
            let reader =
                of_call(store.as_context_mut(), data, |view| Reader::config(view, DRAFTS[0]));
            Box::new(async move { Ok((get(reader, &key).await,)) })
        },
    )?;
    instance.func_wrap_async("get-all", move |mut store: StoreContextMut<'_, T>, (): ()| {
        let reader = of_call(store.as_context_mut(), data, |view| Reader::config(view, DRAFTS[0]));
        Box::new(async move { Ok((all(reader).await,)) })
    })
}

async fn get(reader: Result<Reader, Failure>, key: &str) -> Result<Option<String>, Error> {
    let reader = reader?;
    let found = reader.values().get(&reader.caller, key).await?;
    Ok(match found {
        Some(value) => Some(value.text_of(key)?.to_owned()),
        None => None,
    })
}

/// Those that are text.
async fn all(reader: Result<Reader, Failure>) -> Result<Vec<(String, String)>, Error> {
    let reader = reader?;
    let all = reader.values().all(&reader.caller).await?;
    let texts = all.into_iter().filter_map(|(name, value)| {
        let text = value.text()?.to_owned();
        Some((name, text))
    });
    Ok(texts.collect())
}

async fn variable(reader: Result<Reader, Failure>, name: String) -> Result<String, VariableError> {
    let reader = reader?;
    match reader.values().get(&reader.caller, &name).await? {
        Some(value) => Ok(value.text_of(&name)?.to_owned()),
        None if is_name(&name) => Err(VariableError::Undefined(format!("no variable `{name}`"))),
        None => Err(VariableError::InvalidName(format!(
            "`{}` is no name of a variable: it has lower-case letters, digits and single underscores, and begins with a letter",
            name.escape_debug()
        ))),
    }
}

/// Whether Spin takes it for a variable's name (its `spin-expressions`).
fn is_name(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.split('_').all(word)
}
