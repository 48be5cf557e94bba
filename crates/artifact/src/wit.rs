//! The interface types of a component: as WIT text, and as the signatures of its functions.
//! Source: Component Model, "WIT.md".

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::TypesRef;
use wit_component::{Output, WitPrinter};
use wit_parser::decoding::DecodedWasm;
use wit_parser::{Function as WitFunction, FunctionKind, Handle, Resolve, Type, TypeDefKind};
use wit_parser::{TypeId, WorldItem};

use crate::artifact::{Artifact, Form};
use crate::error::{Error, is_unsafe, visible};
use crate::inspection::Function;
use crate::scan;

/// Items of interfaces, those within interfaces counted at each use. The largest published worlds
/// have some thousands; decoding keeps each one in memory.
const MAX_ITEMS: usize = 100_000;

/// Of the WIT text, in bytes. Anonymous types are written out at each use, so a small binary can
/// describe an immense text.
const MAX_TEXT: usize = 16 << 20;

/// The component's world and the interfaces that it names, as WIT.
pub(crate) fn text(artifact: &Artifact) -> Result<String, Error> {
    if artifact.form() == Form::Module {
        return Err(Error::NoWit { name: artifact.name().to_owned() });
    }
    let scan = scan::scan(artifact.name(), artifact.bytes())?;
    let failed = |message| Error::Wit { name: artifact.name().to_owned(), message };
    let decoded = decode(artifact, scan.types.as_ref()).map_err(failed)?;
    contained(|| {
        let (resolve, main) = (decoded.resolve(), decoded.package());
        let nested: Vec<_> =
            resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
        let mut printer = WitPrinter::new(Text::default());
        printer.print(resolve, main, &nested).map_err(|error| format!("{error:#}"))?;
        Ok(printer.output.text)
    })
    .map_err(failed)
}

/// Functions by the full name of the interface that holds them; those of the world itself under
/// their own name.
#[derive(Default)]
pub(crate) struct Signatures {
    pub(crate) imports: HashMap<String, Vec<Function>>,
    pub(crate) exports: HashMap<String, Vec<Function>>,
}

/// The signatures of everything that the component imports and exports. None where its types are
/// beyond WIT: such a component is valid and can be listed without signatures.
pub(crate) fn signatures(artifact: &Artifact, types: TypesRef<'_>) -> Option<Signatures> {
    let decoded = decode(artifact, types).ok()?;
    contained(|| {
        let DecodedWasm::Component(resolve, world) = &decoded else {
            return Ok(Signatures::default());
        };
        let mut budget = MAX_TEXT;
        let mut list = |items: &wit_parser::IndexMap<wit_parser::WorldKey, WorldItem>| {
            let mut found = HashMap::new();
            for (key, item) in items {
                let functions = match item {
                    WorldItem::Interface { id, .. } => resolve.interfaces[*id]
                        .functions
                        .values()
                        .map(|function| signature(resolve, function, &mut budget))
                        .collect(),
                    WorldItem::Function(function) => {
                        vec![signature(resolve, function, &mut budget)]
                    }
                    WorldItem::Type { .. } => continue,
                };
                found.insert(resolve.name_world_key(key), functions);
            }
            found
        };
        let world = &resolve.worlds[*world];
        Ok(Signatures { imports: list(&world.imports), exports: list(&world.exports) })
    })
    .ok()
}

fn decode(artifact: &Artifact, types: TypesRef<'_>) -> Result<DecodedWasm, String> {
    let names = artifact.imports().iter().filter_map(|import| match import {
        crate::Import::Component { name, .. } => types.component_item_for_import(&name.to_string()),
        crate::Import::Core { .. } => None,
    });
    let exports = artifact
        .exports()
        .iter()
        .filter_map(|export| types.component_item_for_export(&export.full_name().to_string()));
    let mut left = MAX_ITEMS;
    if !names.chain(exports).all(|item| afford(types, &item.ty, &mut left)) {
        return Err(format!("its interfaces have more than {MAX_ITEMS} items"));
    }
    contained(|| wit_parser::decoding::decode(artifact.bytes()).map_err(|e| format!("{e:#}")))
}

/// Counts an item and what is within it off `left`; false when nothing is left.
fn afford(types: TypesRef<'_>, item: &ComponentEntityType, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match item {
        ComponentEntityType::Instance(id) => {
            types[*id].exports.values().all(|item| afford(types, &item.ty, left))
        }
        ComponentEntityType::Component(id)
        | ComponentEntityType::Type { created: ComponentAnyTypeId::Component(id), .. } => {
            let component = &types[*id];
            component
                .imports
                .values()
                .chain(component.exports.values())
                .all(|item| afford(types, &item.ty, left))
        }
        _ => true,
    }
}

fn signature(resolve: &Resolve, function: &WitFunction, budget: &mut usize) -> Function {
    let own_name = function.item_name();
    let mut out = Limited { text: String::new(), budget };
    let resource = |id: &TypeId| resolve.types[*id].name.clone().unwrap_or_default();
    let mut skip = 0;
    match &function.kind {
        FunctionKind::Freestanding | FunctionKind::AsyncFreestanding => {
            out.push(own_name);
            out.push(": ");
        }
        FunctionKind::Method(id) | FunctionKind::AsyncMethod(id) => {
            skip = 1;
            out.push(&format!("{}.{own_name}: ", resource(id)));
        }
        FunctionKind::Static(id) | FunctionKind::AsyncStatic(id) => {
            out.push(&format!("{}.{own_name}: static ", resource(id)));
        }
        FunctionKind::Constructor(id) => {
            out.push(&format!("{}: ", resource(id)));
        }
    }
    let constructor = matches!(function.kind, FunctionKind::Constructor(_));
    if function.kind.is_async() {
        out.push("async ");
    }
    out.push(if constructor { "constructor(" } else { "func(" });
    for (index, param) in function.params.iter().skip(skip).enumerate() {
        if index > 0 {
            out.push(", ");
        }
        out.push(&param.name);
        out.push(": ");
        out.ty(resolve, &param.ty);
    }
    out.push(")");
    if let Some(result) = function.result.as_ref().filter(|_| !constructor) {
        out.push(" -> ");
        out.ty(resolve, result);
    }
    Function { name: function.name.clone(), signature: Some(out.text) }
}

/// Text that stops growing when a budget shared with others is spent.
struct Limited<'a> {
    text: String,
    budget: &'a mut usize,
}

impl Limited<'_> {
    fn push(&mut self, text: &str) {
        if *self.budget == 0 {
            return;
        }
        if text.len() > *self.budget {
            *self.budget = 0;
            self.text.push('…');
            return;
        }
        *self.budget -= text.len();
        self.text.push_str(text);
    }

    fn ty(&mut self, resolve: &Resolve, ty: &Type) {
        if *self.budget == 0 {
            return;
        }
        let name = match ty {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Char => "char",
            Type::String => "string",
            Type::ErrorContext => "error-context",
            Type::Id(id) => return self.definition(resolve, *id),
        };
        self.push(name);
    }

    fn definition(&mut self, resolve: &Resolve, id: TypeId) {
        let definition = &resolve.types[id];
        if let Some(name) = &definition.name {
            return self.push(name);
        }
        match &definition.kind {
            TypeDefKind::Handle(Handle::Own(id)) => self.definition(resolve, *id),
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                self.push("borrow<");
                self.definition(resolve, *id);
                self.push(">");
            }
            TypeDefKind::Tuple(tuple) => self.generic(resolve, "tuple", &tuple.types),
            TypeDefKind::Option(ty) => self.generic(resolve, "option", &[*ty]),
            TypeDefKind::List(ty) => self.generic(resolve, "list", &[*ty]),
            TypeDefKind::Map(key, value) => self.generic(resolve, "map", &[*key, *value]),
            TypeDefKind::FixedLengthList(ty, length) => {
                self.push("list<");
                self.ty(resolve, ty);
                self.push(&format!(", {length}>"));
            }
            TypeDefKind::Future(ty) => self.generic(resolve, "future", ty.as_slice()),
            TypeDefKind::Stream(ty) => self.generic(resolve, "stream", ty.as_slice()),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => self.push("result"),
                (Some(ok), None) => self.generic(resolve, "result", &[*ok]),
                (Some(ok), Some(error)) => self.generic(resolve, "result", &[*ok, *error]),
                (None, Some(error)) => {
                    self.push("result<_, ");
                    self.ty(resolve, error);
                    self.push(">");
                }
            },
            TypeDefKind::Type(ty) => self.ty(resolve, ty),
            // WIT gives all of these a name.
            other => self.push(other.as_str()),
        }
    }

    fn generic(&mut self, resolve: &Resolve, name: &str, arguments: &[Type]) {
        self.push(name);
        for (index, ty) in arguments.iter().enumerate() {
            self.push(if index == 0 { "<" } else { ", " });
            self.ty(resolve, ty);
        }
        if !arguments.is_empty() {
            self.push(">");
        }
    }
}

/// WIT text that ends the printing when it grows out of bounds.
#[derive(Default)]
struct Text {
    text: String,
    indent: usize,
    line_start: bool,
}

/// Thrown (without a message on standard error) out of a printer that has no way to stop early.
struct TooLong;

impl Output for Text {
    fn push_str(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_TEXT {
            panic::resume_unwind(Box::new(TooLong));
        }
        // Documentation comes from the file as it is.
        self.text.extend(text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }));
    }

    fn indent_if_needed(&mut self) -> bool {
        let indent = std::mem::take(&mut self.line_start);
        if indent {
            self.text.extend(std::iter::repeat_n("  ", self.indent));
        }
        indent
    }

    fn indent_start(&mut self) {
        self.text.push_str(" {\n");
        self.indent += 1;
        self.line_start = true;
    }

    fn indent_end(&mut self) {
        self.indent = self.indent.saturating_sub(1);
        self.indent_if_needed();
        self.text.push_str("}\n");
        self.line_start = true;
    }

    fn newline(&mut self) {
        self.text.push('\n');
        self.line_start = true;
    }
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a third-party decoder that asserts on hostile input, and turns its panic into an error.
///
/// While it runs, the panic message of this thread is not printed: it is in the error.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    if !std::thread::panicking() {
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !CONTAINED.get() {
                    previous(info);
                }
            }));
        });
    }
    let before = CONTAINED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    match outcome {
        Ok(result) => result.map_err(|message| visible(&message, 500)),
        Err(payload) => Err(reason(payload.as_ref())),
    }
}

fn reason(payload: &(dyn Any + Send)) -> String {
    if payload.is::<TooLong>() {
        return format!("the text is longer than {MAX_TEXT} bytes");
    }
    let said = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    visible(&format!("the decoder gave up: {said}"), 500)
}
