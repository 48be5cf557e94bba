//! A component as WIT sees it.

use std::borrow::Cow;

use wit_parser::decoding::DecodedWasm;
use wit_parser::{InterfaceId, Resolve, TypeDefKind, WorldId, WorldItem, WorldKey};

use crate::contain::contained;
use crate::module::{self, Item, Outside};
use crate::name::Name;
use crate::{ComposeError, Part, componentize};

/// A component that is part of a composition.
#[derive(Debug)]
pub(crate) struct Component<'a> {
    pub(crate) name: String,
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) imports: Vec<Item>,
    pub(crate) exports: Vec<Item>,
    pub(crate) resolve: Resolve,
    pub(crate) world: WorldId,
}

impl<'a> Component<'a> {
    /// Reads a component; of a core module one is made first.
    pub(crate) fn read(part: Part<'a>) -> Result<Self, ComposeError> {
        Self::from_bytes(part.name.to_owned(), componentize(part)?)
    }

    pub(crate) fn from_bytes(name: String, bytes: Cow<'a, [u8]>) -> Result<Self, ComposeError> {
        let Outside { imports, exports } = module::outside(&name, &bytes)?;
        let decoded = contained(|| wit_parser::decoding::decode(&bytes))
            .map_err(|error| module::unreadable(&name, error))?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(module::unreadable(&name, "it is a WIT package: types without code"));
        };
        Ok(Self { name, bytes, imports, exports, resolve, world })
    }

    /// The interface that is imported by this name; none where it is a function or a type.
    pub(crate) fn imported(&self, name: &str) -> Option<InterfaceId> {
        let imports = &self.resolve.worlds[self.world].imports;
        imports.iter().find_map(|(key, item)| self.interface(name, key, item))
    }

    pub(crate) fn exported(&self, name: &str) -> Option<InterfaceId> {
        let exports = &self.resolve.worlds[self.world].exports;
        exports.iter().find_map(|(key, item)| self.interface(name, key, item))
    }

    fn interface(&self, name: &str, key: &WorldKey, item: &WorldItem) -> Option<InterfaceId> {
        match item {
            WorldItem::Interface { id, .. } if self.resolve.name_world_key(key) == name => {
                Some(*id)
            }
            _ => None,
        }
    }

    /// Whether an import is nothing but the description of data: nobody has to provide it.
    pub(crate) fn only_describes(&self, import: &Item) -> bool {
        let Some(id) = self.imported(&import.name) else {
            return import.kind == wasmparser::ComponentExternalKind::Type;
        };
        let interface = &self.resolve.interfaces[id];
        let resource =
            |id: &wit_parser::TypeId| matches!(self.resolve.types[*id].kind, TypeDefKind::Resource);
        interface.functions.is_empty() && !interface.types.values().any(resource)
    }

    pub(crate) fn import_names(&self) -> impl Iterator<Item = &str> {
        self.imports.iter().map(|item| &*item.name)
    }

    pub(crate) fn export_names(&self) -> impl Iterator<Item = &str> {
        self.exports.iter().map(|item| &*item.name)
    }

    /// The export that goes by this name: this very version of it, or else the newest compatible one, or
    /// any where no version is asked for.
    pub(crate) fn find_export(&self, wanted: &Name<'_>) -> Option<&Item> {
        let same = self.exports.iter().filter(|item| Name::parse(&item.name).same_item(wanted));
        same.filter(|item| {
            let version = Name::parse(&item.name).version;
            wanted.version.is_none() || crate::name::compatible(&wanted.version, &version)
        })
        .max_by_key(|item| {
            let version = Name::parse(&item.name).version;
            (version == wanted.version, version)
        })
    }
}
