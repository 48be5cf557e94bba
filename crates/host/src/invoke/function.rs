//! The functions of a component, found by name.

use std::fmt;

use wasmtime::component::{
    Component, ComponentExportIndex,
    types::{ComponentFunc, ComponentItem},
};

use super::wave;

/// Most functions that an error lists.
const LISTED: usize = 40;

/// An exported function.
pub(super) struct Function {
    /// The interface it is in; `None` for one that the component exports itself.
    interface: Option<String>,
    name: String,
    pub(super) ty: ComponentFunc,
}

/// Every function that a component exports, itself or in an interface.
pub(super) fn all(component: &Component) -> Vec<Function> {
    let engine = component.engine();
    let mut functions = Vec::new();
    for (name, export) in component.component_type().exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(ty) => {
                functions.push(Function { interface: None, name: name.to_owned(), ty });
            }
            ComponentItem::ComponentInstance(instance) => {
                functions.extend(instance.exports(engine).filter_map(|(inner, export)| {
                    let ComponentItem::ComponentFunc(ty) = export.ty else { return None };
                    Some(Function { interface: Some(name.to_owned()), name: inner.to_owned(), ty })
                }));
            }
            _ => {}
        }
    }
    functions
}

/// The one function that goes by this name.
///
/// # Errors
/// When there is none, or several: with what there is.
pub(super) fn find(functions: Vec<Function>, asked: &str) -> Result<Function, String> {
    let qualified = asked.split_once('#').or_else(|| asked.rsplit_once('.'));
    let (found, others): (Vec<_>, Vec<_>) = functions.into_iter().partition(|function| {
        function.name == asked
            || qualified
                .is_some_and(|(interface, name)| function.name == name && function.is_in(interface))
    });
    if found.is_empty() {
        return Err(unknown(asked, &others));
    }
    let paths: Vec<String> = found.iter().map(Function::path).collect();
    let alone = found.len() == 1;
    // What the component exports itself needs no interface to name it.
    let one = found.into_iter().find(|function| alone || function.interface.is_none());
    one.ok_or_else(|| {
        format!("`{asked}` is in more than one interface; write one of\n  {}", paths.join("\n  "))
    })
}

fn unknown(asked: &str, functions: &[Function]) -> String {
    let signatures = functions.iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = functions.iter().map(|function| function.name.as_str());
    let bare = asked.rsplit('#').next().unwrap_or(asked);
    no_export(bare, names, &signatures)
}

/// Says that there is no function of a name, and what there is.
pub(super) fn no_export<'n>(
    asked: &str,
    names: impl Iterator<Item = &'n str>,
    signatures: &[String],
) -> String {
    let mut text = format!("it exports no function `{asked}`");
    if let Some(nearest) = nearest(asked, names) {
        text.push_str(&format!("; did you mean `{nearest}`?"));
    }
    if signatures.is_empty() {
        text.push_str("; it exports no function at all");
        return text;
    }
    text.push_str("\nIt exports:");
    for signature in signatures.iter().take(LISTED) {
        text.push_str(&format!("\n  {signature}"));
    }
    if signatures.len() > LISTED {
        text.push_str(&format!("\n  and {} more", signatures.len() - LISTED));
    }
    text
}

/// The name that takes the fewest changed letters, if it takes few.
fn nearest<'n>(asked: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let asked: Vec<char> = asked.chars().take(64).collect();
    let (distance, name) =
        names.map(|name| (distance(&asked, name), name)).min_by_key(|(distance, _)| *distance)?;
    (distance <= (asked.len() / 3).max(1) && distance < asked.len()).then_some(name)
}

/// Levenshtein's: letters to insert, remove or replace.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (index, to) in to.chars().enumerate() {
        let mut corner = index;
        row[0] = index + 1;
        for at in 0..from.len() {
            let replaced = corner + usize::from(from[at] != to);
            corner = row[at + 1];
            row[at + 1] = replaced.min(corner + 1).min(row[at] + 1);
        }
    }
    row[from.len()]
}

// === impl Function ===

impl Function {
    /// Its name with the interface before it.
    pub(super) fn path(&self) -> String {
        match &self.interface {
            Some(interface) => format!("{interface}#{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Where the component keeps it.
    pub(super) fn index(&self, component: &Component) -> Option<ComponentExportIndex> {
        let interface = match &self.interface {
            Some(name) => Some(component.get_export_index(None, name.as_str())?),
            None => None,
        };
        component.get_export_index(interface.as_ref(), self.name.as_str())
    }

    /// Whether a name for an interface, in full or in part, is that of this function's.
    fn is_in(&self, asked: &str) -> bool {
        let Some(full) = self.interface.as_deref() else { return false };
        let unversioned = full.split('@').next().unwrap_or(full);
        let last = unversioned.rsplit('/').next().unwrap_or(unversioned);
        [full, unversioned, last].contains(&asked)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.ty.async_() { "async func" } else { "func" };
        write!(f, "{}: {kind}(", self.path())?;
        for (index, (name, ty)) in self.ty.params().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {}", wave::name(&ty))?;
        }
        f.write_str(")")?;
        match self.ty.results().next() {
            Some(ty) => write!(f, " -> {}", wave::name(&ty)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
