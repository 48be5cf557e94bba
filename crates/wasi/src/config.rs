//! Configuration: `wasi:config` in each of its drafts, and what Spin has in its place.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use crate::guest::ComponentGuest;

/// The drafts: one interface under several names.
const DRAFTS: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/runtime@0.2.0-draft",
];
/// Spin's variables, as its second version has them.
const SPIN: &str = "fermyon:spin/variables@2.0.0";

/// `wasi:config/store.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// `fermyon:spin/variables.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum SpinError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

type Store<'a> = StoreContextMut<'a, ComponentGuest>;
type All = Vec<(String, String)>;

/// Offers the interfaces whose package is `wanted`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasi:config/") {
        for draft in DRAFTS {
            let mut instance = linker.instance(draft)?;
            instance.func_wrap("get", |store: Store<'_>, (key,): (String,)| {
                let value = store.data().config().get(&key).cloned();
                Ok((Ok::<_, Error>(value),))
            })?;
            instance.func_wrap("get-all", |store: Store<'_>, (): ()| {
                let all = store.data().config().iter();
                let all: All = all.map(|(key, value)| (key.clone(), value.clone())).collect();
                Ok((Ok::<_, Error>(all),))
            })?;
        }
    }
    if wanted("fermyon:spin/") {
        linker.instance(SPIN)?.func_wrap("get", |store: Store<'_>, (name,): (String,)| {
            let value = store.data().config().get(&name).cloned();
            Ok((value.ok_or_else(|| SpinError::Undefined(format!("no variable `{name}`"))),))
        })?;
    }
    Ok(())
}
