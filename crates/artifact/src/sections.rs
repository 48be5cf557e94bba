//! The quick reading: section headers of the outermost level, and its imports and exports.
//!
//! Bodies of code, data, nested modules and custom sections are stepped over, so the cost follows
//! the number of sections and imports, not the size of the file.
//! Source: WebAssembly 3.0, "Binary Format", Modules; Component Model, "Binary.md".

use wasmparser::{
    BinaryReader, ComponentExportSectionReader, ComponentExternalKind,
    ComponentImportSectionReader, ComponentTypeRef, ExportSectionReader, ExternalKind,
    ImportSectionReader, TypeBounds, TypeRef,
};

use crate::artifact::{Export, Form, Import, Sort};
use crate::error::Error;
use crate::name::InterfaceName;

/// Of the JavaScript API's implementation limits and of Wasmtime's; applies to imports and exports
/// each, because neither is bounded by the section reader.
const MAX_ITEMS: usize = 1_000_000;

pub(crate) const MAGIC: &[u8; 4] = b"\0asm";
const HEADER_LENGTH: usize = 8;

const MODULE_IMPORTS: u8 = 2;
const MODULE_EXPORTS: u8 = 7;
const COMPONENT_IMPORTS: u8 = 10;
const COMPONENT_EXPORTS: u8 = 11;

/// What the quick reading finds.
pub(crate) struct Outline {
    pub(crate) form: Form,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<Export>,
}

pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Outline, Error> {
    let form = header(name, bytes)?;
    let mut outline = Outline { form, imports: Vec::new(), exports: Vec::new() };
    let mut offset = HEADER_LENGTH;
    while offset < bytes.len() {
        let section = Section::at(name, bytes, offset)?;
        let read = match (form, section.id) {
            (Form::Module, MODULE_IMPORTS) => module_imports(&section, &mut outline.imports),
            (Form::Module, MODULE_EXPORTS) => module_exports(&section, &mut outline.exports),
            (Form::Component, COMPONENT_IMPORTS) => {
                component_imports(&section, &mut outline.imports)
            }
            (Form::Component, COMPONENT_EXPORTS) => {
                component_exports(&section, &mut outline.exports)
            }
            _ => Ok(()),
        };
        read.map_err(|error| match error {
            Failure::Wasm(error) => Error::invalid(name, &error),
            Failure::TooMany(what) => {
                Error::TooMany { name: name.to_owned(), what, limit: MAX_ITEMS }
            }
        })?;
        offset = section.end();
    }
    Ok(outline)
}

fn header(name: &str, bytes: &[u8]) -> Result<Form, Error> {
    let Some(version) = bytes.get(MAGIC.len()..HEADER_LENGTH) else {
        return Err(Error::Truncated {
            name: name.to_owned(),
            offset: bytes.len(),
            missing: (HEADER_LENGTH - bytes.len()) as u64,
        });
    };
    let what = match *version {
        [1, 0, 0, 0] => return Ok(Form::Module),
        [0x0d, 0, 1, 0] => return Ok(Form::Component),
        [v, 0, 1, 0] if v < 0x0d => {
            format!("it is a component in the draft binary format {v:#x}, from before 2024")
        }
        [v, w, 1, 0] => format!(
            "it is a component in binary format {:#x}, which is not known here",
            u16::from_le_bytes([v, w])
        ),
        [a, b, c, d] => format!(
            "its binary format version is {:#x}, which is not known here",
            u32::from_le_bytes([a, b, c, d])
        ),
        _ => "its header is unreadable".to_owned(),
    };
    Err(Error::UnsupportedVersion { name: name.to_owned(), what })
}

struct Section<'a> {
    id: u8,
    body: &'a [u8],
    /// Of the body, in the file.
    offset: usize,
}

impl<'a> Section<'a> {
    fn at(name: &str, bytes: &'a [u8], start: usize) -> Result<Section<'a>, Error> {
        let truncated =
            |missing: u64| Error::Truncated { name: name.to_owned(), offset: bytes.len(), missing };
        let id = *bytes.get(start).ok_or_else(|| truncated(1))?;
        let mut offset = start + 1;
        let mut size: u64 = 0;
        for shift in (0..35).step_by(7) {
            let byte = *bytes.get(offset).ok_or_else(|| truncated(1))?;
            offset += 1;
            size |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            if shift == 28 {
                size = u64::MAX;
            }
        }
        let size = u32::try_from(size).map_err(|_| Error::Invalid {
            name: name.to_owned(),
            offset: start + 1,
            message: "the size of a section is not a 32-bit number".to_owned(),
        })? as usize;
        let rest = &bytes[offset..];
        let body = rest.get(..size).ok_or_else(|| truncated((size - rest.len()) as u64))?;
        Ok(Section { id, body, offset })
    }

    fn end(&self) -> usize {
        self.offset + self.body.len()
    }

    fn reader(&self) -> BinaryReader<'a> {
        BinaryReader::new(self.body, self.offset)
    }
}

enum Failure {
    Wasm(wasmparser::Error),
    TooMany(&'static str),
}

impl From<wasmparser::Error> for Failure {
    fn from(error: wasmparser::Error) -> Failure {
        Failure::Wasm(error)
    }
}

fn push<T>(items: &mut Vec<T>, what: &'static str, item: T) -> Result<(), Failure> {
    if items.len() == MAX_ITEMS {
        return Err(Failure::TooMany(what));
    }
    items.push(item);
    Ok(())
}

fn module_imports(section: &Section<'_>, imports: &mut Vec<Import>) -> Result<(), Failure> {
    for import in ImportSectionReader::new(section.reader())?.into_imports() {
        let import = import?;
        let sort = match import.ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => Sort::Function,
            TypeRef::Table(_) => Sort::Table,
            TypeRef::Memory(_) => Sort::Memory,
            TypeRef::Global(_) => Sort::Global,
            TypeRef::Tag(_) => Sort::Tag,
        };
        let (module, name) = (import.module.to_owned(), import.name.to_owned());
        push(imports, "imports", Import::Core { module, name, sort })?;
    }
    Ok(())
}

fn module_exports(section: &Section<'_>, exports: &mut Vec<Export>) -> Result<(), Failure> {
    for export in ExportSectionReader::new(section.reader())? {
        let export = export?;
        let sort = match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => Sort::Function,
            ExternalKind::Table => Sort::Table,
            ExternalKind::Memory => Sort::Memory,
            ExternalKind::Global => Sort::Global,
            ExternalKind::Tag => Sort::Tag,
        };
        push(exports, "exports", Export::core(export.name.to_owned(), sort))?;
    }
    Ok(())
}

fn component_imports(section: &Section<'_>, imports: &mut Vec<Import>) -> Result<(), Failure> {
    for import in ComponentImportSectionReader::new(section.reader())? {
        let import = import?;
        let sort = match import.ty {
            ComponentTypeRef::Instance(_) => Sort::Instance,
            ComponentTypeRef::Func(_) => Sort::Function,
            ComponentTypeRef::Value(_) => Sort::Value,
            ComponentTypeRef::Type(TypeBounds::Eq(_)) => Sort::Type,
            ComponentTypeRef::Type(TypeBounds::SubResource) => Sort::Resource,
            ComponentTypeRef::Module(_) => Sort::Module,
            ComponentTypeRef::Component(_) => Sort::Component,
        };
        // Under a label of the component's own, the interface is what has to be there.
        let name = import.name.implements.unwrap_or(import.name.name);
        let name = InterfaceName::parse(name);
        push(imports, "imports", Import::Component { name, sort })?;
    }
    Ok(())
}

fn component_exports(section: &Section<'_>, exports: &mut Vec<Export>) -> Result<(), Failure> {
    for export in ComponentExportSectionReader::new(section.reader())? {
        let export = export?;
        let sort = match export.kind {
            ComponentExternalKind::Instance => Sort::Instance,
            ComponentExternalKind::Func => Sort::Function,
            ComponentExternalKind::Value => Sort::Value,
            ComponentExternalKind::Type => Sort::Type,
            ComponentExternalKind::Module => Sort::Module,
            ComponentExternalKind::Component => Sort::Component,
        };
        push(exports, "exports", Export::component(InterfaceName::parse(export.name.name), sort))?;
    }
    Ok(())
}
