//! The imports of a composition: what its parts import and nobody among them satisfies, each once.

use std::collections::HashMap;

use semver::Version;
use wit_component::StringEncoding;
use wit_parser::{
    InterfaceId, Package, PackageName, Resolve, TypeOwner, World, WorldId, WorldItem, WorldKey,
};

use crate::contain::{GaveUp, contained};
use crate::graph::{Graph, Node};
use crate::name::{Name, compatible, track};
use crate::own::own_name;

/// Interfaces that use each other's types, one after the other. Published ones reach a dozen.
const MAX_USES: usize = 64;

/// A component that holds the type of the composition's imports, as `wit-component` encodes a world.
pub(crate) fn world(graph: &mut Graph<'_>, order: &[usize]) -> Result<Vec<u8>, GaveUp> {
    contained(|| {
        check_uses(graph, order)?;
        let newest = newest(graph, order);
        let mut merged = Resolve::default();
        let mut imports = wit_parser::IndexMap::default();
        for node in order {
            let part = &mut graph.nodes[*node];
            let world = prepare(part, *node, &newest)?;
            let resolve = std::mem::take(&mut part.component.resolve);
            let remap = merged.merge(resolve)?;
            let world = remap.map_world(world, Default::default())?;
            for (key, item) in std::mem::take(&mut merged.worlds[world].imports) {
                imports.entry(key).or_insert(item);
            }
        }
        let world = outermost(&mut merged, imports);
        // Moves nothing: it brings interfaces into the order of their uses, and adds those that were
        // left out because only their types are used.
        merged.exportize(world, None, Some(&|_: &WorldKey, _: &WorldItem| false))?;
        wit_component::metadata::encode(&merged, world, StringEncoding::UTF8, None)
    })
}

/// Leaves of a part's types what it needs of the outside, under the names that all parts agree on.
fn prepare(part: &mut Node<'_>, node: usize, newest: &Newest) -> anyhow::Result<WorldId> {
    let own: Vec<(u32, String)> =
        open(part).filter_map(|name| Some((part.owns(name)?, name.to_owned()))).collect();
    let open: Vec<String> = open(part).map(str::to_owned).collect();
    let open: Vec<Name<'_>> = open.iter().map(|name| Name::parse(name)).collect();
    let (resolve, world) = (&mut part.component.resolve, part.component.world);
    resolve.worlds[world].exports.clear();
    if has_versions_of_one(resolve, world) {
        resolve.merge_world_imports_based_on_semver(world)?;
    }
    let names: Vec<(WorldKey, String)> = resolve.worlds[world]
        .imports
        .keys()
        .map(|key| (key.clone(), resolve.name_world_key(key)))
        .collect();
    let mut kept: Vec<InterfaceId> = Vec::new();
    for (key, name) in names {
        let name = Name::parse(&name);
        let wanted =
            |open: &Name<'_>| open.same_item(&name) && compatible(&open.version, &name.version);
        let imports = &mut resolve.worlds[world].imports;
        if !open.iter().any(wanted) {
            imports.shift_remove(&key);
        } else if let Some(WorldItem::Interface { id, .. }) = imports.get(&key) {
            kept.push(*id);
        }
    }
    // What another part satisfies, or this one exports, is not asked of the host.
    for (id, interface) in resolve.interfaces.iter_mut() {
        if !kept.contains(&id) {
            interface.functions.clear();
        }
    }
    rename(resolve, world, (node, &own), newest);
    Ok(world)
}

/// Names of imports that nothing within the composition satisfies.
fn open<'a>(part: &'a Node<'_>) -> impl Iterator<Item = &'a str> {
    let names = part.component.imports.iter().zip(&part.sources);
    names.filter(|(_, source)| source.is_none()).map(|(item, _)| &*item.name)
}

fn has_versions_of_one(resolve: &Resolve, world: WorldId) -> bool {
    let names: Vec<String> =
        resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect();
    let names: Vec<Name<'_>> = names.iter().map(|name| Name::parse(name)).collect();
    names.iter().enumerate().any(|(index, name)| {
        let mut before = names[..index].iter();
        name.version.is_some()
            && before
                .any(|other| other.same_item(name) && compatible(&other.version, &name.version))
    })
}

/// The newest version of each package's compatibility track that any part imports.
type Newest = HashMap<(String, Version), Version>;

fn newest(graph: &Graph<'_>, order: &[usize]) -> Newest {
    let mut newest = Newest::new();
    for name in order.iter().flat_map(|node| open(&graph.nodes[*node])) {
        let Name { package, version: Some(version), .. } = Name::parse(name) else { continue };
        let known = newest.entry((package.to_owned(), track(&version))).or_insert(version.clone());
        if *known < version {
            *known = version;
        }
    }
    newest
}

/// Gives packages the version that all parts use, or the namespace of a part that has them for its own;
/// and the package of the world a name of its own.
fn rename(
    resolve: &mut Resolve,
    world: WorldId,
    (node, own_imports): (usize, &[(u32, String)]),
    newest: &Newest,
) {
    let own_part = |package: &PackageName| {
        let own = own_imports.iter().find(|(_, import)| {
            let import = Name::parse(import);
            import.package == format!("{}:{}", package.namespace, package.name)
                && compatible(&import.version, &package.version)
        });
        own.map(|(part, _)| *part)
    };
    let own = resolve.worlds[world].package;
    let ids: Vec<_> = resolve.packages.iter().map(|(id, _)| id).collect();
    for id in &ids {
        let name = &resolve.packages[*id].name;
        let mut renamed = name.clone();
        if Some(*id) == own {
            renamed.name = format!("component-{node}");
        } else if let Some(part) = own_part(name) {
            renamed.namespace = own_name(part, &name.namespace);
        } else if let Some(version) = &name.version {
            let key = (format!("{}:{}", name.namespace, name.name), track(version));
            let Some(version) = newest.get(&key) else { continue };
            // An older one that is left beside it is used by nothing any more.
            let newer = ids.iter().any(|other| {
                let other = &resolve.packages[*other].name;
                let same = other.namespace == name.namespace && other.name == name.name;
                same && other.version > name.version && compatible(&other.version, &name.version)
            });
            if newer {
                continue;
            }
            renamed.version = Some(version.clone());
        }
        resolve.package_names.shift_remove(&resolve.packages[*id].name);
        resolve.package_names.insert(renamed.clone(), *id);
        resolve.packages[*id].name = renamed;
    }
}

fn outermost(resolve: &mut Resolve, imports: wit_parser::IndexMap<WorldKey, WorldItem>) -> WorldId {
    let name =
        PackageName { namespace: "root".to_owned(), name: "composition".to_owned(), version: None };
    let package = resolve.packages.alloc(Package {
        name: name.clone(),
        docs: Default::default(),
        interfaces: Default::default(),
        worlds: Default::default(),
    });
    resolve.package_names.insert(name, package);
    let types: Vec<_> = imports
        .values()
        .filter_map(|item| match item {
            WorldItem::Type { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    let world = resolve.worlds.alloc(World {
        name: "root".to_owned(),
        imports,
        exports: Default::default(),
        package: Some(package),
        docs: Default::default(),
        stability: Default::default(),
        includes: Default::default(),
        span: Default::default(),
    });
    resolve.packages[package].worlds.insert("root".to_owned(), world);
    for id in types {
        resolve.types[id].owner = TypeOwner::World(world);
    }
    world
}

/// Whatever versions are merged, no interface may come to use itself, and none of them be too deep: the
/// libraries walk down uses without looking back.
fn check_uses(graph: &Graph<'_>, order: &[usize]) -> anyhow::Result<()> {
    type Key = (String, Option<Version>);
    let key = |resolve: &Resolve, id: InterfaceId| -> Option<Key> {
        let name = resolve.id_of(id)?;
        let parsed = Name::parse(&name);
        let version = parsed.version.as_ref().map(track);
        Some((format!("{}/{}", parsed.package, parsed.item), version))
    };
    let mut uses: HashMap<Key, Vec<Key>> = HashMap::new();
    for node in order {
        let resolve = &graph.nodes[*node].component.resolve;
        for (id, _) in resolve.interfaces.iter() {
            // One without a name is used by nothing.
            let Some(from) = key(resolve, id) else { continue };
            let of = resolve.interface_direct_deps(id).filter_map(|of| key(resolve, of));
            let of: Vec<Key> = of.filter(|of| *of != from).collect();
            uses.entry(from).or_default().extend(of);
        }
    }
    // Takes away what uses nothing that is left, as often as uses may be deep.
    for _ in 0..MAX_USES {
        let gone: Vec<Key> = uses
            .iter()
            .filter(|(_, of)| !of.iter().any(|of| uses.contains_key(of)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            uses.remove(key);
        }
        if uses.is_empty() {
            return Ok(());
        }
        if gone.is_empty() {
            break;
        }
    }
    let one = uses.keys().next().map(|(name, _)| name.as_str()).unwrap_or_default();
    anyhow::bail!(
        "interfaces use each other's types in a circle, or more than {MAX_USES} deep: {one}"
    )
}
