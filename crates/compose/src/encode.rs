//! The component that holds the others.

use std::collections::HashMap;

use wasm_encoder::reencode::{ReencodeComponent, RoundtripReencoder};
use wasm_encoder::{Alias, ComponentBuilder, ComponentExportKind, ComponentTypeRef};
use wasmparser::{ComponentExternalKind, ComponentType, ComponentTypeDeclaration, Parser, Payload};

use crate::graph::Graph;
use crate::name::{Name, compatible};
use crate::own::own_name;
use crate::{ComposeError, module, outer};

/// Items that the component imports, by name.
type Imported = HashMap<String, (ComponentExportKind, u32)>;

/// Writes the graph as a component with the exports of its first node.
pub(crate) fn component(mut graph: Graph<'_>) -> Result<Vec<u8>, ComposeError> {
    let order = graph.order()?;
    let components = graph.names();
    let world = outer::world(&mut graph, &order).map_err(|error| ComposeError::Conflict {
        components: components.clone(),
        cause: error.into(),
    })?;
    let mismatch = |cause: Box<dyn std::error::Error + Send + Sync>| ComposeError::Mismatch {
        components: components.clone(),
        cause,
    };
    let mut builder = ComponentBuilder::default();
    let imported = import(&mut builder, &world).map_err(|error| mismatch(error.into()))?;
    let mut instances: HashMap<usize, u32> = HashMap::new();
    // The same twice in a chain is there once, and compiled once.
    let mut codes: HashMap<&[u8], u32> = HashMap::new();
    for node in order {
        let part = &graph.nodes[node];
        let bytes: &[u8] = &part.component.bytes;
        let code = *codes.entry(bytes).or_insert_with(|| builder.component_raw(None, bytes));
        let mut args = Vec::with_capacity(part.sources.len());
        for (item, source) in part.component.imports.iter().zip(&part.sources) {
            let kind = kind_of(item.kind);
            let found = match source {
                Some(source) => instances.get(&source.node).map(|instance| {
                    let name = &source.export;
                    let alias = Alias::InstanceExport { instance: *instance, kind, name };
                    (kind, builder.alias(None, alias))
                }),
                None => match part.owns(&item.name) {
                    Some(own) => lookup(&imported, &own_name(own, &item.name)),
                    None => lookup(&imported, &item.name),
                },
            };
            let Some((kind, index)) = found else {
                let text =
                    format!("the import `{}` of `{}` was lost", item.name, part.component.name);
                return Err(mismatch(text.into()));
            };
            args.push((item.name.clone(), kind, index));
        }
        instances.insert(node, builder.instantiate(None, code, args));
    }
    if let Some(instance) = instances.get(&0) {
        for item in &graph.nodes[0].component.exports {
            let kind = kind_of(item.kind);
            let alias = Alias::InstanceExport { instance: *instance, kind, name: &item.name };
            let index = builder.alias(None, alias);
            builder.export(&*item.name, kind, index, None);
        }
    }
    let bytes = builder.finish();
    match module::outside("the composition", &bytes) {
        Ok(_) => Ok(bytes),
        Err(ComposeError::Unreadable { cause, .. }) => Err(mismatch(cause)),
        Err(error) => Err(error),
    }
}

/// Imports what a world imports. The declarations of a component's type are those of a component, one
/// level further in, so they are copied as they are.
fn import(
    builder: &mut ComponentBuilder,
    world: &[u8],
) -> Result<Imported, wasm_encoder::reencode::Error> {
    let mut imported = Imported::new();
    for payload in Parser::new(0).parse_all(world) {
        let Payload::ComponentTypeSection(section) = payload? else { continue };
        for ty in section {
            let ComponentType::Component(declarations) = ty? else { continue };
            for declaration in declarations {
                if let ComponentTypeDeclaration::Type(ComponentType::Component(inner)) = declaration
                {
                    for declaration in inner {
                        declare(builder, &mut imported, declaration)?;
                    }
                }
            }
        }
    }
    Ok(imported)
}

fn declare(
    builder: &mut ComponentBuilder,
    imported: &mut Imported,
    declaration: ComponentTypeDeclaration<'_>,
) -> Result<(), wasm_encoder::reencode::Error> {
    let mut as_it_is = RoundtripReencoder;
    match declaration {
        ComponentTypeDeclaration::CoreType(ty) => {
            as_it_is.parse_component_core_type(builder.core_type(None).1, ty)?;
        }
        ComponentTypeDeclaration::Type(ty) => {
            as_it_is.parse_component_type(builder.ty(None).1, ty)?;
        }
        ComponentTypeDeclaration::Alias(alias) => {
            builder.alias(None, as_it_is.component_alias(alias)?);
        }
        ComponentTypeDeclaration::Import(import) => {
            let ty = as_it_is.component_type_ref(import.ty)?;
            let kind = match ty {
                ComponentTypeRef::Module(_) => ComponentExportKind::Module,
                ComponentTypeRef::Func(_) => ComponentExportKind::Func,
                ComponentTypeRef::Value(_) => ComponentExportKind::Value,
                ComponentTypeRef::Type(_) => ComponentExportKind::Type,
                ComponentTypeRef::Instance(_) => ComponentExportKind::Instance,
                ComponentTypeRef::Component(_) => ComponentExportKind::Component,
            };
            let name = import.name.name.to_owned();
            let index = builder.import(import.name, ty);
            imported.insert(name, (kind, index));
        }
        ComponentTypeDeclaration::Export { .. } => {}
    }
    Ok(())
}

/// What is imported for a part's import: by this name, or by that of the version that all parts share.
fn lookup(imported: &Imported, name: &str) -> Option<(ComponentExportKind, u32)> {
    if let Some(found) = imported.get(name) {
        return Some(*found);
    }
    let wanted = Name::parse(name);
    let mut shared = imported.iter().filter(|(name, _)| {
        let name = Name::parse(name);
        name.same_item(&wanted) && compatible(&name.version, &wanted.version)
    });
    shared.next().map(|(_, found)| *found)
}

fn kind_of(kind: ComponentExternalKind) -> ComponentExportKind {
    kind.into()
}
