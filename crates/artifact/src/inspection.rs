//! The full reading of an artifact, as people and machines get it.

use semver::Version;
use serde::Serialize;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{CompositeInnerType, GlobalType, MemoryType, TableType};

use crate::artifact::{Artifact, Form, Import, Sort};
use crate::error::{Error, visible};
use crate::name::InterfaceName;
use crate::needs::Needs;
use crate::producers::{Language, Producers};
use crate::scan::{self, Scan};
use crate::wit::{self, Signatures};
use crate::{Digest, Kind};

/// Of the JSON document: raised when a field changes its meaning or goes. New fields do not raise it.
pub const SCHEMA_VERSION: u32 = 1;

/// Written types may be this many times as long as the binary, and [`FREE_LENGTH`] more: one type
/// with a thousand parameters can be named by a million imports.
const MAX_GROWTH: usize = 16;
const FREE_LENGTH: usize = 1 << 20;

/// Everything that can be read off an artifact. Serialises to the JSON document of `reef inspect
/// --json`, whose fields are these; absent options are left out of lists' entries and `null` at the
/// top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// [`SCHEMA_VERSION`].
    pub reef_inspect: u32,
    /// As given.
    pub name: String,
    pub form: Form,
    /// The word of the preferred kind.
    pub kind: &'static str,
    /// Every way it can be run, the preferred first.
    pub kinds: Vec<Kind>,
    pub digest: Digest,
    /// Of the binary, in bytes.
    pub size: usize,
    /// Given as text and assembled; digest and size are those of the result.
    pub text_form: bool,
    pub languages: Vec<Language>,
    pub producers: Producers,
    pub imports: Vec<Item>,
    pub exports: Vec<Item>,
    /// Of all modules, nested ones included.
    pub memories: Vec<Memory>,
    pub needs: Needs,
    /// Core modules inside a component, in order of appearance, at any depth.
    pub modules: Vec<Nested>,
    /// Components inside a component, likewise.
    pub components: Vec<Nested>,
    pub custom_sections: Vec<CustomSection>,
    /// The outermost level runs code when it is instantiated.
    pub start: bool,
    /// Some level has a name section: backtraces show function names.
    pub names: bool,
    /// Some level has DWARF debug information: backtraces show source lines.
    pub dwarf: bool,
    /// Functions with a body, in all levels.
    pub functions: u64,
}

/// One import or export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Of a core import: the module it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Without the version.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    pub sort: Sort,
    /// Of a core item its type, of a function of the world itself its WIT signature.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// Of an interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Function>,
}

impl Item {
    /// `name@version`, or `module.name` of a core import.
    pub fn full_name(&self) -> String {
        match (&self.module, &self.version) {
            (Some(module), _) => format!("{module}.{}", self.name),
            (None, Some(version)) => format!("{}@{version}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

impl Item {
    /// Without the module, under which a list groups it.
    pub(crate) fn full_name_in_module(&self) -> String {
        if self.module.is_some() { self.name.clone() } else { self.full_name() }
    }
}

/// One function of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function {
    /// As linkers know it: `[method]input-stream.read`.
    pub name: String,
    /// As WIT writes it: `input-stream.read: func(len: u64) -> …`; none where WIT cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// One linear memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The nested module it belongs to, as an index into `modules`; none for the outermost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<u32>,
    pub minimum_pages: u64,
    pub maximum_pages: Option<u64>,
    /// In bytes.
    pub page_size: u64,
    pub memory64: bool,
    pub shared: bool,
    /// `module.name` of its import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// The last name it is exported under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exported: Option<String>,
}

/// A module or component inside a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nested {
    /// In bytes.
    pub size: usize,
    /// From its name section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A custom section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CustomSection {
    pub name: String,
    /// Of its contents, in bytes.
    pub size: usize,
    /// The nested module that holds it, as an index into `modules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<u32>,
    /// The nested component that holds it, as an index into `components`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<u32>,
}

/// A tool or language with its version, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

impl Inspection {
    pub(crate) fn of(artifact: &Artifact) -> Result<Inspection, Error> {
        let scan = scan::scan(artifact.name(), artifact.bytes())?;
        let budget = artifact.bytes().len().saturating_mul(MAX_GROWTH).saturating_add(FREE_LENGTH);
        let mut items = Items { types: scan.types.as_ref(), budget };
        let (imports, exports) = match artifact.form() {
            Form::Module => (items.core_imports(), items.core_exports()),
            Form::Component => {
                let signatures = wit::signatures(artifact, items.types);
                (
                    items.component_imports(artifact, signatures.as_ref()),
                    items.component_exports(artifact, signatures.as_ref()),
                )
            }
        };
        let Scan {
            types: _,
            needs,
            producers,
            memories,
            modules,
            components,
            custom_sections,
            start,
            names,
            dwarf,
            functions,
            traces,
        } = scan;
        Ok(Inspection {
            reef_inspect: SCHEMA_VERSION,
            name: artifact.name().to_owned(),
            form: artifact.form(),
            kind: artifact.kind().word(),
            kinds: artifact.kinds().to_vec(),
            digest: *artifact.digest(),
            size: artifact.bytes().len(),
            text_form: artifact.is_text_form(),
            languages: producers.languages(traces.iter().map(String::as_str)),
            producers,
            imports,
            exports,
            memories,
            needs,
            modules,
            components,
            custom_sections,
            start,
            names,
            dwarf,
            functions,
        })
    }
}

/// Lists imports and exports with their types, within a budget of bytes for the types.
struct Items<'a> {
    types: TypesRef<'a>,
    budget: usize,
}

impl Items<'_> {
    fn core_imports(&mut self) -> Vec<Item> {
        let imports = self.types.core_imports();
        imports
            .into_iter()
            .flatten()
            .map(|(module, name, ty)| self.core(Some(module.to_owned()), name, ty))
            .collect()
    }

    fn core_exports(&mut self) -> Vec<Item> {
        let exports = self.types.core_exports();
        exports.into_iter().flatten().map(|(name, ty)| self.core(None, name, ty)).collect()
    }

    fn core(&mut self, module: Option<String>, name: &str, ty: EntityType) -> Item {
        let sort = match ty {
            EntityType::Func(_) | EntityType::FuncExact(_) => Sort::Function,
            EntityType::Tag(_) => Sort::Tag,
            EntityType::Table(_) => Sort::Table,
            EntityType::Memory(_) => Sort::Memory,
            EntityType::Global(_) => Sort::Global,
        };
        let ty = (self.budget > 0).then(|| match ty {
            EntityType::Func(id) | EntityType::FuncExact(id) | EntityType::Tag(id) => {
                self.function_type(id)
            }
            EntityType::Table(table) => table_type(&table),
            EntityType::Memory(memory) => memory_type(&memory),
            EntityType::Global(global) => global_type(&global),
        });
        self.budget = self.budget.saturating_sub(ty.as_ref().map_or(0, String::len));
        Item { module, name: name.to_owned(), version: None, sort, ty, functions: Vec::new() }
    }

    fn function_type(&self, id: wasmparser::types::CoreTypeId) -> String {
        let CompositeInnerType::Func(function) = &self.types[id].composite_type.inner else {
            return "unknown".to_owned();
        };
        let list = |types: &[wasmparser::ValType]| {
            types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match function.results() {
            [] => format!("({})", list(function.params())),
            [result] => format!("({}) -> {result}", list(function.params())),
            results => format!("({}) -> ({})", list(function.params()), list(results)),
        }
    }

    fn component_imports(&self, artifact: &Artifact, known: Option<&Signatures>) -> Vec<Item> {
        let imports = artifact.imports().iter().filter_map(|import| match import {
            Import::Component { name, sort } => Some((name, *sort)),
            Import::Core { .. } => None,
        });
        imports
            .map(|(name, sort)| {
                let full = name.to_string();
                let signatures = known.and_then(|known| known.imports.get(&full));
                let ty = self.types.component_item_for_import(&full).map(|item| item.ty);
                self.component(name, sort, ty, signatures)
            })
            .collect()
    }

    fn component_exports(&self, artifact: &Artifact, known: Option<&Signatures>) -> Vec<Item> {
        let exports = artifact.exports().iter();
        exports
            .map(|export| {
                let full = export.full_name().to_string();
                let signatures = known.and_then(|known| known.exports.get(&full));
                let ty = self.types.component_item_for_export(&full).map(|item| item.ty);
                self.component(export.full_name(), export.sort(), ty, signatures)
            })
            .collect()
    }

    fn component(
        &self,
        name: &InterfaceName,
        sort: Sort,
        ty: Option<ComponentEntityType>,
        signatures: Option<&Vec<Function>>,
    ) -> Item {
        let functions = match (signatures, ty) {
            (Some(functions), _) => functions.clone(),
            // Beyond WIT: the names alone.
            (None, Some(ComponentEntityType::Instance(id))) => self.types[id]
                .exports
                .iter()
                .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                .map(|(name, _)| Function { name: visible(name, 200), signature: None })
                .collect(),
            (None, _) => Vec::new(),
        };
        let (ty, functions) = match sort {
            Sort::Instance => (None, functions),
            _ => {
                let first = functions.into_iter().next();
                // `name: func(…)` without the name, which the item has already.
                let ty = first.and_then(|function| {
                    function.signature.and_then(|s| Some(s.split_once(": ")?.1.to_owned()))
                });
                (ty, Vec::new())
            }
        };
        Item {
            module: None,
            name: name.name.clone(),
            version: name.version.clone(),
            sort,
            ty,
            functions,
        }
    }
}

fn memory_type(memory: &MemoryType) -> String {
    let mut text = pages(memory.initial, memory.maximum);
    if memory.memory64 {
        text.push_str(", 64-bit");
    }
    if memory.shared {
        text.push_str(", shared");
    }
    text
}

/// The size of a memory in words: "2 to 16 pages".
pub(crate) fn pages(minimum: u64, maximum: Option<u64>) -> String {
    let plural = |number| if number == 1 { "page" } else { "pages" };
    match maximum {
        Some(maximum) => format!("{minimum} to {maximum} {}", plural(maximum)),
        None => format!("{minimum} {} or more", plural(minimum)),
    }
}

fn table_type(table: &TableType) -> String {
    match table.maximum {
        Some(maximum) => format!("{} to {maximum} of {}", table.initial, table.element_type),
        None => format!("{} or more of {}", table.initial, table.element_type),
    }
}

fn global_type(global: &GlobalType) -> String {
    let mutable = if global.mutable { "mutable " } else { "" };
    format!("{mutable}{}", global.content_type)
}
