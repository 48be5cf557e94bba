//! Imports that are used with links of their own: those of a part of a composition, and those under a label.
//!
//! One component has one import of an interface, whoever in it uses that. So a part's own import has a name of its own;
//! and so has an import under a label (`(implements …)`), which goes over the link that is called as the label. Each of
//! them has a number, which the [`View`] of its calls carries: adapters are the same for all.

use std::sync::Arc;

use reef_capability::Failure;
use wasmtime::component::{Component, Linker, LinkerInstance};

use crate::{
    Capabilities, Capable, Part, View, blob_store, config, key_value, messaging, secrets, servers,
    sql,
};

/// What one import is used as.
#[derive(Clone, Debug)]
struct Scope {
    /// By which part of the composition, if not by the whole.
    part: Option<u32>,
    /// Over the link of which name, if it says so.
    label: Option<Arc<str>>,
}

/// The imports of a component that have links of their own, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Scopes(Arc<[Scope]>);

/// How adapters get from the store's data to what they work with.
pub(crate) type Getter<T> = fn(&mut T) -> View<'_>;

/// Interfaces that can be a part's own, or be imported under labels.
pub const SCOPED: &[&[&str]] = &[
    blob_store::PROVIDED,
    config::PROVIDED,
    key_value::PROVIDED,
    messaging::PROVIDED,
    secrets::PROVIDED,
    servers::PROVIDED,
    sql::PROVIDED,
];

/// Offers the imports of a component that have links of their own: those under labels, and those of parts, of which
/// `part` says whose they are and what they stand for, by their names.
///
/// # Errors
/// When a part has an interface that there is none of, or there are too many of such imports.
pub fn add_scoped<'a, T: Capable>(
    linker: &mut Linker<T>,
    component: &Component,
    concurrent: bool,
    part: impl Fn(&str) -> Option<(u32, &'a str)>,
) -> wasmtime::Result<Scopes> {
    let engine = linker.engine().clone();
    let of = component.component_type();
    let (mut scopes, numbered) = (Vec::new(), numbered::<T>());
    for (name, import) in of.imports(&engine) {
        let (scope, interface) = match (part(name), import.implements) {
            (Some((part, interface)), _) => (Scope { part: Some(part), label: None }, interface),
            (None, Some(interface)) => (Scope { part: None, label: Some(name.into()) }, interface),
            (None, None) => continue,
        };
        let Some(data) = numbered.get(scopes.len()) else {
            wasmtime::bail!("more than {} imports have links of their own", numbered.len());
        };
        let known = offer(&mut linker.instance(name)?, interface, concurrent, *data)?;
        if !known && scope.part.is_some() {
            wasmtime::bail!("`{interface}` cannot be a part's own");
        }
        scopes.push(scope);
    }
    Ok(Scopes(scopes.into()))
}

/// Offers one interface, if it is one of these.
fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    Ok(blob_store::offer(instance, interface, concurrent, data)?
        || config::offer(instance, interface, concurrent, data)?
        || key_value::offer(instance, interface, concurrent, data)?
        || messaging::offer(instance, interface, concurrent, data)?
        || secrets::offer(instance, interface, concurrent, data)?
        || servers::offer(instance, interface, concurrent, data)?
        || sql::offer(instance, interface, concurrent, data)?)
}

/// One for each number. Generated code takes functions that know nothing beside their types.
fn numbered<T: Capable>() -> [Getter<T>; 256] {
    fn data<T: Capable, const NUMBER: usize>(data: &mut T) -> View<'_> {
        let view = data.capabilities();
        View { number: Some(NUMBER), ..view }
    }
    macro_rules! sixteen_times {
        ($($row:literal)*) => {
            [$(
                data::<T, { $row * 16 }>, data::<T, { $row * 16 + 1 }>,
                data::<T, { $row * 16 + 2 }>, data::<T, { $row * 16 + 3 }>,
                data::<T, { $row * 16 + 4 }>, data::<T, { $row * 16 + 5 }>,
                data::<T, { $row * 16 + 6 }>, data::<T, { $row * 16 + 7 }>,
                data::<T, { $row * 16 + 8 }>, data::<T, { $row * 16 + 9 }>,
                data::<T, { $row * 16 + 10 }>, data::<T, { $row * 16 + 11 }>,
                data::<T, { $row * 16 + 12 }>, data::<T, { $row * 16 + 13 }>,
                data::<T, { $row * 16 + 14 }>, data::<T, { $row * 16 + 15 }>,
            )*]
        };
    }
    sixteen_times!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
}

/// Offers one interface by what is generated for it, if it is one of these: `true` then.
macro_rules! offered {
    ($instance:expr, $interface:expr, $data:expr,
     { $($name:literal $(if $guard:expr)? => $($module:ident)::+,)* }) => {
        match $interface {
            $($name $(if $guard)? => {
                $($module)::+::add_to_linker_instance::<_, $crate::OfInstance<T>>($instance, $data)?;
                true
            })*
            _ => false,
        }
    };
}

pub(crate) use offered;

impl View<'_> {
    fn scope(&self) -> Option<&Scope> {
        self.instance.scopes().0.get(self.number?)
    }

    fn part(&self) -> Result<Option<&Part>, Failure> {
        let Some(part) = self.scope().and_then(|scope| scope.part) else { return Ok(None) };
        let found = self.instance.parts().get(&part);
        found.map(Some).ok_or_else(|| Failure::Denied(format!("part {part} has no links")))
    }

    /// What the caller may use. It outlives the borrow of the store's data.
    pub(crate) fn granted(&self) -> Result<Arc<Capabilities>, Failure> {
        let part = self.part()?;
        Ok(part.map_or_else(|| self.instance.granted(), |part| part.granted.clone()))
    }

    /// The caller's own configuration.
    pub(crate) fn config(&self) -> Result<Arc<Values>, Failure> {
        Ok(self.part()?.map_or_else(|| self.instance.own(), |part| &part.config).clone())
    }

    /// The label that the interface is imported under.
    pub(crate) fn label(&self) -> Option<&str> {
        self.scope()?.label.as_deref()
    }

    /// The link that is meant where nothing else is said: that of the label, or which the guest chose for the interface of
    /// `import`.
    pub(crate) fn selected(&self, import: &str) -> Option<&str> {
        let interface = import.split('@').next().unwrap_or(import);
        match self.scope() {
            // What was chosen was chosen for the whole.
            Some(Scope { label, .. }) => label.as_deref(),
            None => self.instance.selected(interface),
        }
    }
}

type Values = std::collections::BTreeMap<String, reef_config::Value>;

#[cfg(test)]
mod tests;
