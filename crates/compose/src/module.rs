//! What the outermost level of a binary says, without any library's view of it.

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::TypesRef;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload, ValidPayload, Validator,
    WasmFeatures,
};

use crate::{ComposeError, MAX_PART, Part};

/// Components nest a few levels deep in practice.
const MAX_DEPTH: usize = 64;

/// Imports or exports of one component. The largest published worlds have some hundred.
const MAX_ITEMS: usize = 1_000;

/// Functions and types of its interfaces, those of one that is named twice counted twice: reading them
/// as WIT keeps each in memory.
const MAX_WITHIN: usize = 100_000;

/// A name on the outside of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: ComponentExternalKind,
}

/// Imports and exports in the order of the binary.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) imports: Vec<Item>,
    pub(crate) exports: Vec<Item>,
}

/// Whether the binary is a component or a core module. Nothing but its header is read.
pub(crate) fn encoding(part: Part<'_>) -> Result<Encoding, ComposeError> {
    if part.bytes.len() > MAX_PART {
        return Err(ComposeError::TooLarge {
            component: part.name.to_owned(),
            bytes: part.bytes.len(),
            most: MAX_PART,
        });
    }
    match Parser::new(0).parse_all(part.bytes).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Err(error)) => Err(unreadable(part.name, error)),
        _ => Err(unreadable(part.name, "it is empty")),
    }
}

/// Reads a component's names, and holds all of it but the code of its functions to the rules of the
/// format: a runtime checks that when it compiles.
pub(crate) fn outside(name: &str, bytes: &[u8]) -> Result<Outside, ComposeError> {
    let invalid = |error: wasmparser::Error| unreadable(name, error);
    let too_many = |what, most| ComposeError::TooMany { component: name.to_owned(), what, most };
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut outside = Outside::default();
    let mut depth = 0_usize;
    let mut types = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { .. } if depth == MAX_DEPTH => {
                return Err(too_many("levels of nesting", MAX_DEPTH));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let ValidPayload::End(all) = validator.payload(&payload).map_err(invalid)? {
            types = Some(all);
        }
        match payload {
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(invalid)?;
                    let kind = kind_of(import.ty);
                    outside.imports.push(Item { name: import.name.name.to_owned(), kind });
                    if outside.imports.len() > MAX_ITEMS {
                        return Err(too_many("imports", MAX_ITEMS));
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    let name = export.name.name.to_owned();
                    outside.exports.push(Item { name, kind: export.kind });
                    if outside.exports.len() > MAX_ITEMS {
                        return Err(too_many("exports", MAX_ITEMS));
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(types) = &types {
        let types = types.as_ref();
        let imports = outside.imports.iter();
        let imports = imports.filter_map(|item| types.component_item_for_import(&item.name));
        let exports = outside.exports.iter();
        let exports = exports.filter_map(|item| types.component_item_for_export(&item.name));
        let mut left = MAX_WITHIN;
        if !imports.chain(exports).all(|item| affordable(types, &item.ty, &mut left)) {
            return Err(too_many("functions and types", MAX_WITHIN));
        }
    }
    for import in &outside.imports {
        let kind = match import.kind {
            ComponentExternalKind::Module => "core module",
            ComponentExternalKind::Component => "component",
            ComponentExternalKind::Value => "value",
            _ => continue,
        };
        let (component, import) = (name.to_owned(), import.name.clone());
        return Err(ComposeError::Kind { component, import, kind });
    }
    Ok(outside)
}

/// Counts an item and what is within it; false when there is too much.
fn affordable(types: TypesRef<'_>, item: &ComponentEntityType, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match item {
        ComponentEntityType::Instance(id) => {
            types[*id].exports.values().all(|item| affordable(types, &item.ty, left))
        }
        ComponentEntityType::Component(id)
        | ComponentEntityType::Type { created: ComponentAnyTypeId::Component(id), .. } => {
            let component = &types[*id];
            let items = component.imports.values().chain(component.exports.values());
            items.into_iter().all(|item| affordable(types, &item.ty, left))
        }
        _ => true,
    }
}

fn kind_of(ty: ComponentTypeRef) -> ComponentExternalKind {
    match ty {
        ComponentTypeRef::Module(_) => ComponentExternalKind::Module,
        ComponentTypeRef::Func(_) => ComponentExternalKind::Func,
        ComponentTypeRef::Value(_) => ComponentExternalKind::Value,
        ComponentTypeRef::Type(_) => ComponentExternalKind::Type,
        ComponentTypeRef::Instance(_) => ComponentExternalKind::Instance,
        ComponentTypeRef::Component(_) => ComponentExternalKind::Component,
    }
}

pub(crate) fn unreadable(
    name: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ComposeError {
    ComposeError::Unreadable { component: name.to_owned(), cause: cause.into() }
}
