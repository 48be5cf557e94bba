//! Imports of a part that stay its own, beside those of the others.

use crate::ComposeError;
use crate::decode::Component;
use crate::name::Name;

/// What the namespaces of such imports begin with. A part of a composition that has them was composed
/// before; anywhere else they are refused, or they would reach what belongs to another.
const PREFIX: &str = "reef-part";

/// What a part reaches by imports of its own, under names that no other part's have.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Which part: the names of its imports say it, and [`own_import`] reads it again.
    pub part: u32,
    /// Which imports: interfaces or packages, with or without versions.
    pub imports: &'a [String],
}

/// An import of one part of a composition, by its name: which part, and what it imports.
///
/// `reef-part3-wasi:keyvalue/store@0.2.0-draft2` is `wasi:keyvalue/store@0.2.0-draft2` of part 3.
pub fn own_import(name: &str) -> Option<(u32, &str)> {
    let (part, name) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((part.parse().ok()?, name))
}

/// The name of an import, or of a namespace, as that of one part.
pub(crate) fn own_name(part: u32, name: &str) -> String {
    format!("{PREFIX}{part}-{name}")
}

/// The same, with what it lists: the part's node has it.
#[derive(Clone, Debug)]
pub(crate) struct OwnImports {
    pub(crate) part: u32,
    imports: Vec<String>,
}

impl OwnImports {
    pub(crate) fn of(own: Own<'_>) -> Self {
        Self { part: own.part, imports: own.imports.to_vec() }
    }

    pub(crate) fn covers(&self, import: &str) -> bool {
        let import = Name::parse(import);
        self.imports.iter().any(|own| Name::parse(own).covers(&import))
    }

    /// Whether a component imports any of them.
    pub(crate) fn any_of(&self, component: &Component<'_>) -> bool {
        component.import_names().any(|name| self.covers(name))
    }
}

/// That a component, of which nothing is known, has no name of these.
///
/// # Errors
/// When it has one, or cannot be read.
pub fn check_no_own(
    name: &str,
    imports: impl IntoIterator<Item = String>,
) -> Result<(), ComposeError> {
    match imports.into_iter().find(|import| import.starts_with(PREFIX)) {
        None => Ok(()),
        Some(import) => Err(ComposeError::NotIts { component: name.to_owned(), import }),
    }
}
