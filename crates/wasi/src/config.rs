//! Configuration: `wasi:config` in each of its drafts, and what Spin has in its place.

use wasmtime::{
    StoreContextMut,
    component::{Accessor, ComponentType, Lift, Linker, Lower},
};

use crate::guest::ComponentGuest;

/// The drafts: one interface under several names.
const DRAFTS: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/runtime@0.2.0-draft",
];
/// Spin's variables: before they had versions, as its second version has them, and its third, which only
/// differs in that the guest may do something else meanwhile.
const SPIN_1: &str = "fermyon:spin/config";
const SPIN_2: &str = "fermyon:spin/variables@2.0.0";
const SPIN_3: &str = "spin:variables/variables@3.0.0";

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

/// `fermyon:spin/config.error`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Spin1Error {
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "invalid-key")]
    InvalidKey(String),
    #[component(name = "invalid-schema")]
    InvalidSchema(String),
    #[component(name = "other")]
    Other(String),
}

type Store<'a> = StoreContextMut<'a, ComponentGuest>;
type All = Vec<(String, String)>;

/// Offers the interfaces whose package is `wanted`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    concurrent: bool,
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
    if wanted(SPIN_1) {
        linker.instance(SPIN_1)?.func_wrap(
            "get-config",
            |store: Store<'_>, (key,): (String,)| {
                // Spin says so, too.
                Ok((store.data().variable(&key).map_err(Spin1Error::Provider),))
            },
        )?;
    }
    if wanted("fermyon:spin/variables") {
        linker.instance(SPIN_2)?.func_wrap("get", |store: Store<'_>, (name,): (String,)| {
            Ok((store.data().variable(&name).map_err(SpinError::Undefined),))
        })?;
    }
    if concurrent && wanted("spin:variables/") {
        linker.instance(SPIN_3)?.func_wrap_concurrent(
            "get",
            |accessor: &Accessor<ComponentGuest>, (name,): (String,)| {
                let value = accessor.with(|mut access| access.data_mut().variable(&name));
                Box::pin(async move { Ok((value.map_err(SpinError::Undefined),)) })
            },
        )?;
    }
    Ok(())
}

impl ComponentGuest {
    fn variable(&self, name: &str) -> Result<String, String> {
        self.config().get(name).cloned().ok_or_else(|| format!("no variable `{name}`"))
    }
}
