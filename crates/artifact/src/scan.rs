//! The full reading: validates every level and every function, and notes what it sees.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentDefinedType, ComponentType,
    ComponentTypeDeclaration, Encoding, FuncValidatorAllocations, FunctionBody,
    InstanceTypeDeclaration, KnownCustom, MemoryType, Name, Parser, Payload, TypeRef, ValidPayload,
    Validator, WasmFeatures, types::Types,
};

use crate::error::{Error, visible};
use crate::inspection::{CustomSection, Memory, Nested};
use crate::needs::Needs;
use crate::producers::Producers;

/// Components nest a few levels deep in practice; each level costs the validator memory.
const MAX_DEPTH: usize = 64;

/// Names that tell a language; a handful in practice.
const MAX_TRACES: usize = 32;

/// Everything that the full reading notes.
pub(crate) struct Scan {
    /// Of the outermost level.
    pub(crate) types: Types,
    pub(crate) needs: Needs,
    pub(crate) producers: Producers,
    pub(crate) memories: Vec<Memory>,
    pub(crate) modules: Vec<Nested>,
    pub(crate) components: Vec<Nested>,
    pub(crate) custom_sections: Vec<CustomSection>,
    pub(crate) start: bool,
    pub(crate) names: bool,
    pub(crate) dwarf: bool,
    pub(crate) functions: u64,
    /// Names of sections, modules, core imports and core exports that tell a language.
    pub(crate) traces: Vec<String>,
}

/// Validates `bytes` with every proposal allowed, so that what is not supported can be named.
pub(crate) fn scan(name: &str, bytes: &[u8]) -> Result<Scan, Error> {
    Scanner::default().run(name, bytes)
}

#[derive(Default)]
struct Scanner {
    levels: Vec<Level>,
    needs: Needs,
    producers: Producers,
    memories: Vec<Memory>,
    modules: Vec<Nested>,
    components: Vec<Nested>,
    custom_sections: Vec<CustomSection>,
    start: bool,
    names: bool,
    dwarf: bool,
    functions: u64,
    traces: Vec<String>,
}

/// A module or component that is being read.
struct Level {
    place: Place,
    /// Of a module: its memories so far, in index order.
    memories: Vec<Memory>,
}

/// Where something was found.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Outermost,
    /// The index among nested modules, in order of appearance.
    Module(u32),
    /// The index among nested components.
    Component(u32),
}

impl Scanner {
    fn run(mut self, name: &str, bytes: &[u8]) -> Result<Scan, Error> {
        let invalid = |error: wasmparser::Error| Error::invalid(name, &error);
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut allocations = FuncValidatorAllocations::default();
        let mut nested = Place::Outermost;
        let mut types = None;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            if let Payload::Version { encoding, range, .. } = &payload {
                if self.levels.len() == MAX_DEPTH {
                    return Err(Error::Invalid {
                        name: name.to_owned(),
                        offset: range.start,
                        message: format!("components nest deeper than {MAX_DEPTH} levels"),
                    });
                }
                debug_assert!(
                    !matches!((nested, encoding), (Place::Module(_), Encoding::Component)),
                    "the validator refuses a component where a module belongs"
                );
                self.levels.push(Level { place: nested, memories: Vec::new() });
            }
            match validator.payload(&payload).map_err(invalid)? {
                ValidPayload::Func(function, body) => {
                    let mut function = function.into_validator(allocations);
                    function.validate(&body).map_err(invalid)?;
                    allocations = function.into_allocations();
                    self.body(&body).map_err(invalid)?;
                }
                ValidPayload::End(ended) => types = Some(ended),
                ValidPayload::Ok | ValidPayload::Parser(_) => {}
            }
            match &payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    nested = Place::Module(self.modules.len() as u32);
                    self.modules.push(Nested { size: unchecked_range.len(), name: None });
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    nested = Place::Component(self.components.len() as u32);
                    self.components.push(Nested { size: unchecked_range.len(), name: None });
                }
                Payload::End(_) => self.end(),
                other => self.payload(other).map_err(invalid)?,
            }
        }
        // The parser ends either with an error or with the end of the outermost level.
        let Some(types) = types else {
            return Err(Error::Truncated {
                name: name.to_owned(),
                offset: bytes.len(),
                missing: 1,
            });
        };
        Ok(Scan {
            types,
            needs: self.needs,
            producers: self.producers,
            memories: self.memories,
            modules: self.modules,
            components: self.components,
            custom_sections: self.custom_sections,
            start: self.start,
            names: self.names,
            dwarf: self.dwarf,
            functions: self.functions,
            traces: self.traces,
        })
    }

    fn end(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.needs.multi_memory |= level.memories.len() > 1;
            self.memories.extend(level.memories);
        }
    }

    fn place(&self) -> Place {
        self.levels.last().map_or(Place::Outermost, |level| level.place)
    }

    /// Nothing here decides validity: the validator has seen the payload before.
    fn payload(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    for ty in group?.types() {
                        self.needs.sub_type(ty);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    self.import(&import?);
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    self.needs.table(&table?.ty);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    self.memory(&memory?, None);
                }
            }
            Payload::TagSection(_) => self.needs.exceptions = true,
            Payload::GlobalSection(section) => {
                for global in section.clone() {
                    let global = global?;
                    self.needs.value_type(global.ty.content_type);
                    self.needs.shared_everything_threads |= global.ty.shared;
                    let mut operators = global.init_expr.get_operators_reader();
                    while !operators.eof() {
                        self.needs.operator(&operators.read()?);
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    self.export(&export?);
                }
            }
            Payload::StartSection { .. } | Payload::ComponentStartSection { .. } => {
                self.start |= self.place() == Place::Outermost;
            }
            Payload::ComponentTypeSection(section) => {
                for ty in section.clone() {
                    self.component_type(&ty?);
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section.clone() {
                    self.canonical(&function?);
                }
            }
            Payload::CustomSection(section) => self.custom(section),
            _ => {}
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> wasmparser::Result<()> {
        self.functions += 1;
        for local in body.get_locals_reader()? {
            self.needs.value_type(local?.1);
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            self.needs.operator(&operators.read()?);
        }
        Ok(())
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) {
        match &import.ty {
            TypeRef::Memory(memory) => {
                let from = format!("{}.{}", visible(import.module, 200), visible(import.name, 200));
                self.memory(memory, Some(from));
            }
            TypeRef::Table(table) => self.needs.table(table),
            TypeRef::Global(global) => self.needs.value_type(global.content_type),
            TypeRef::Tag(_) => self.needs.exceptions = true,
            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                self.needs.threads |= import.module == "wasi" && import.name == "thread-spawn";
            }
        }
        self.trace(import.module);
    }

    fn memory(&mut self, ty: &MemoryType, imported: Option<String>) {
        self.needs.memory(ty);
        let module = match self.place() {
            Place::Module(index) => Some(index),
            Place::Outermost | Place::Component(_) => None,
        };
        if let Some(level) = self.levels.last_mut() {
            level.memories.push(Memory {
                module,
                minimum_pages: ty.initial,
                maximum_pages: ty.maximum,
                page_size: 1u64 << ty.page_size_log2.unwrap_or(16).min(16),
                memory64: ty.memory64,
                shared: ty.shared,
                imported,
                exported: None,
            });
        }
    }

    fn export(&mut self, export: &wasmparser::Export<'_>) {
        if export.kind == wasmparser::ExternalKind::Memory
            && let Some(level) = self.levels.last_mut()
            && let Some(memory) = level.memories.get_mut(export.index as usize)
        {
            memory.exported = Some(visible(export.name, 200));
        }
        self.trace(export.name);
    }

    fn trace(&mut self, name: &str) {
        if self.traces.len() < MAX_TRACES
            && crate::producers::is_trace(name)
            && !self.traces.iter().any(|known| known == name)
        {
            self.traces.push(name.to_owned());
        }
    }

    fn custom(&mut self, section: &wasmparser::CustomSectionReader<'_>) {
        let place = self.place();
        let name = section.name();
        self.names |= name == "name";
        self.dwarf |= name.starts_with(".debug_");
        self.trace(name);
        self.custom_sections.push(CustomSection {
            name: visible(name, 200),
            size: section.data().len(),
            module: if let Place::Module(index) = place { Some(index) } else { None },
            component: if let Place::Component(index) = place { Some(index) } else { None },
        });
        match (section.as_known(), place) {
            (KnownCustom::Producers(producers), _) => self.producers.add(producers),
            (KnownCustom::Name(names), Place::Module(index)) => {
                for name in names {
                    match name {
                        Ok(Name::Module { name, .. }) => {
                            self.trace(name);
                            if let Some(module) = self.modules.get_mut(index as usize) {
                                module.name = Some(visible(name, 100));
                            }
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            }
            (KnownCustom::ComponentName(names), Place::Component(index)) => {
                for name in names {
                    match name {
                        Ok(wasmparser::ComponentName::Component { name, .. }) => {
                            if let Some(component) = self.components.get_mut(index as usize) {
                                component.name = Some(visible(name, 100));
                            }
                        }
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            }
            _ => {}
        }
    }

    fn component_type(&mut self, ty: &ComponentType<'_>) {
        // The reader bounds how deep types nest (100 levels).
        match ty {
            ComponentType::Func(function) => self.needs.component_model_async |= function.async_,
            ComponentType::Defined(
                ComponentDefinedType::Future(_) | ComponentDefinedType::Stream(_),
            ) => self.needs.component_model_async = true,
            ComponentType::Component(declarations) => {
                for declaration in declarations {
                    if let ComponentTypeDeclaration::Type(ty) = declaration {
                        self.component_type(ty);
                    }
                }
            }
            ComponentType::Instance(declarations) => {
                for declaration in declarations {
                    if let InstanceTypeDeclaration::Type(ty) = declaration {
                        self.component_type(ty);
                    }
                }
            }
            ComponentType::Defined(_) | ComponentType::Resource { .. } => {}
        }
    }

    fn canonical(&mut self, function: &CanonicalFunction) {
        use CanonicalFunction as F;
        match function {
            F::Lift { options, .. } | F::Lower { options, .. } => {
                self.needs.component_model_async |= options
                    .iter()
                    .any(|o| matches!(o, CanonicalOption::Async | CanonicalOption::Callback(_)));
            }
            F::ResourceNew { .. } | F::ResourceDrop { .. } | F::ResourceRep { .. } => {}
            F::ErrorContextNew { .. }
            | F::ErrorContextDebugMessage { .. }
            | F::ErrorContextDrop => self.needs.component_model_error_context = true,
            F::ThreadSpawnRef { .. }
            | F::ThreadSpawnIndirect { .. }
            | F::ThreadAvailableParallelism
            | F::ThreadIndex
            | F::ThreadNewIndirect { .. }
            | F::ThreadResumeLater
            | F::ThreadSuspend { .. }
            | F::ThreadSuspendThenResume { .. }
            | F::ThreadYieldThenResume { .. }
            | F::ThreadSuspendThenPromote { .. }
            | F::ThreadYieldThenPromote { .. } => self.needs.component_model_threads = true,
            _ => self.needs.component_model_async = true,
        }
    }
}
