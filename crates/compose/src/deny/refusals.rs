//! A component that has the interfaces of the host, and refuses: calls fail as the interface has it for
//! what is not allowed, lists are empty, and what has no such answer traps.
//! Source: Component Model, "CanonicalABI", lifting of results.

use std::collections::{BTreeSet, HashMap};

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, Instruction, MemorySection, MemoryType, Module, NameMap,
    NameSection, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{
    Function as WitFunction, Handle, Int, InterfaceId, LiftLowerAbi, ManglingAndAbi, Resolve,
    ResourceIntrinsic, SizeAlign, Type, TypeDefKind, TypeId, TypeOwner, WasmExport, WasmExportKind,
    WasmImport, WorldItem, WorldKey,
};

use crate::contain::{GaveUp, contained};
use crate::decode::Component;

const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// What interfaces call it when something is not allowed, the plainest first.
const REFUSALS: &[&str] = &[
    "access-denied",
    "permission-denied",
    "access",
    "not-permitted",
    "denied",
    "HTTP-request-denied",
    "unauthorized",
    "forbidden",
    "unsupported",
    "not-supported",
];

/// For errors that are texts.
const MESSAGE: &str = "refused: this part of the composition does not inherit the grants";

/// Where the answers begin in memory. Zero is no address.
const ANSWERS: u32 = 16;

/// Refuses what `part` imports by these names.
pub(super) fn component(part: &Component<'_>, refused: &BTreeSet<&str>) -> Result<Vec<u8>, GaveUp> {
    contained(|| {
        let (mut resolve, world) = (part.resolve.clone(), part.world);
        let moved: Vec<WorldKey> = resolve.worlds[world]
            .imports
            .keys()
            .filter(|key| refused.contains(&*resolve.name_world_key(key)))
            .cloned()
            .collect();
        resolve.exportize(
            world,
            None,
            Some(&|key: &WorldKey, _: &WorldItem| moved.contains(key)),
        )?;
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        let mut core = Core::new(&resolve, sizes);
        for (key, item) in &resolve.worlds[world].exports {
            if let WorldItem::Interface { id, .. } = item {
                core.interfaces.insert(*id, key);
            }
        }
        for (key, item) in &resolve.worlds[world].exports {
            if let WorldItem::Interface { id, .. } = item {
                for function in resolve.interfaces[*id].functions.values() {
                    core.refuse(key, function);
                }
            }
        }
        let mut module = core.finish();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            StringEncoding::UTF8,
        )?;
        ComponentEncoder::default().module(&module)?.validate(true).encode()
    })
}

/// What a function does when it is called.
enum Answer {
    Trap,
    /// Its only core result.
    Value(i32),
    /// Where its result lies in memory.
    At(u32),
    /// A resource that every method of refuses.
    New(TypeId),
}

struct Refused {
    name: String,
    /// For a backtrace.
    shown: String,
    params: Vec<ValType>,
    results: Vec<ValType>,
    answer: Answer,
}

/// The core module of the component.
struct Core<'a> {
    resolve: &'a Resolve,
    sizes: SizeAlign,
    interfaces: HashMap<InterfaceId, &'a WorldKey>,
    functions: Vec<Refused>,
    /// Memory from `ANSWERS` on.
    memory: Vec<u8>,
}

impl<'a> Core<'a> {
    fn new(resolve: &'a Resolve, sizes: SizeAlign) -> Self {
        let memory = MESSAGE.as_bytes().to_vec();
        Self { resolve, sizes, interfaces: HashMap::new(), functions: Vec::new(), memory }
    }

    fn refuse(&mut self, interface: &WorldKey, function: &WitFunction) {
        let signature = self.resolve.wasm_signature(AbiVariant::GuestExport, function);
        let export = WasmExport::Func {
            interface: Some(interface),
            func: function,
            kind: WasmExportKind::Normal,
        };
        let answer = match &function.result {
            None => Answer::Trap,
            Some(ty) => self.answer(ty, signature.retptr),
        };
        let place = self.resolve.name_world_key(interface);
        self.functions.push(Refused {
            name: self.resolve.wasm_export_name(ABI, export),
            shown: format!("not granted: {place}#{}", function.name),
            params: signature.params.iter().map(core_type).collect(),
            results: signature.results.iter().map(core_type).collect(),
            answer,
        });
    }

    fn answer(&mut self, ty: &Type, in_memory: bool) -> Answer {
        if let Some(TypeDefKind::Handle(Handle::Own(id))) = self.definition(ty) {
            let resource = self.resource(*id);
            return match self.resolve.types[resource].owner {
                TypeOwner::Interface(owner) if self.interfaces.contains_key(&owner) => {
                    Answer::New(resource)
                }
                _ => Answer::Trap,
            };
        }
        let mut image = vec![0; self.sizes.size(ty).size_wasm32()];
        if !self.fill(ty, &mut image) {
            return Answer::Trap;
        }
        if !in_memory {
            // One core value is a discriminant alone.
            return Answer::Value(image.first().copied().unwrap_or_default().into());
        }
        while !self.memory.len().is_multiple_of(16) {
            self.memory.push(0);
        }
        let at = ANSWERS + self.memory.len() as u32;
        self.memory.extend(image);
        Answer::At(at)
    }

    /// Writes a result that refuses. False where the type has none.
    fn fill(&self, ty: &Type, image: &mut [u8]) -> bool {
        match self.definition(ty) {
            // Empty, and none: all zero.
            Some(TypeDefKind::List(_) | TypeDefKind::Option(_) | TypeDefKind::Map(..)) => true,
            Some(TypeDefKind::Result(result)) => {
                let cases = [result.ok.as_ref(), result.err.as_ref()];
                let payload = self.sizes.payload_offset(Int::U8, cases).size_wasm32();
                let Some((discriminant, _)) = image.split_first_mut() else { return false };
                *discriminant = 1;
                match (&result.err, image.get_mut(payload..)) {
                    (None, _) => true,
                    (Some(error), Some(image)) => self.error(error, image),
                    (Some(_), None) => false,
                }
            }
            _ => false,
        }
    }

    fn error(&self, ty: &Type, image: &mut [u8]) -> bool {
        if *ty == Type::String {
            return text(image);
        }
        let (index, tag) = match self.definition(ty) {
            Some(TypeDefKind::Enum(cases)) => {
                let named = |name: &&str| cases.cases.iter().position(|case| case.name == **name);
                (REFUSALS.iter().find_map(named), cases.tag())
            }
            Some(TypeDefKind::Variant(cases)) => {
                let bare = |name: &&str| {
                    cases.cases.iter().position(|case| case.name == **name && case.ty.is_none())
                };
                let types = cases.cases.iter().map(|case| case.ty.as_ref());
                let payload = self.sizes.payload_offset(cases.tag(), types).size_wasm32();
                let said = || {
                    cases.cases.iter().position(|case| match &case.ty {
                        Some(Type::String) => true,
                        Some(ty) => matches!(self.definition(ty), Some(TypeDefKind::Option(_))),
                        None => false,
                    })
                };
                let index = REFUSALS.iter().find_map(bare).or_else(said);
                let ty = index.and_then(|index| cases.cases[index].ty.as_ref());
                if ty == Some(&Type::String) && !image.get_mut(payload..).is_some_and(text) {
                    return false;
                }
                (index, cases.tag())
            }
            _ => return false,
        };
        let Some(index) = index else { return false };
        let width = match tag {
            Int::U8 => 1,
            Int::U16 => 2,
            Int::U32 | Int::U64 => 4,
        };
        let Some(image) = image.get_mut(..width) else { return false };
        image.copy_from_slice(&(index as u32).to_le_bytes()[..width]);
        true
    }

    /// What a type is, behind its names.
    fn definition(&self, ty: &Type) -> Option<&'a TypeDefKind> {
        let mut ty = *ty;
        loop {
            let Type::Id(id) = ty else { return None };
            match &self.resolve.types[id].kind {
                TypeDefKind::Type(of) => ty = *of,
                // A resource as a value is a handle that owns it.
                kind => return Some(kind),
            }
        }
    }

    fn resource(&self, mut id: TypeId) -> TypeId {
        while let TypeDefKind::Type(Type::Id(of)) = self.resolve.types[id].kind {
            id = of;
        }
        id
    }

    fn finish(self) -> Vec<u8> {
        let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
        let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
        let (mut code, mut names) = (CodeSection::new(), NameMap::new());
        // What makes handles comes first, as imports do.
        let mut makers: HashMap<TypeId, u32> = HashMap::new();
        for refused in &self.functions {
            let Answer::New(resource) = refused.answer else { continue };
            let TypeOwner::Interface(owner) = self.resolve.types[resource].owner else { continue };
            if makers.contains_key(&resource) {
                continue;
            }
            let import = WasmImport::ResourceIntrinsic {
                interface: self.interfaces.get(&owner).copied(),
                resource,
                intrinsic: ResourceIntrinsic::ExportedNew,
            };
            let (module, field) = self.resolve.wasm_import_name(ABI, import);
            types.ty().function([ValType::I32], [ValType::I32]);
            imports.import(&module, &field, EntityType::Function(types.len() - 1));
            makers.insert(resource, makers.len() as u32);
        }
        let first = makers.len() as u32;
        for (index, refused) in self.functions.iter().enumerate() {
            types.ty().function(refused.params.iter().copied(), refused.results.iter().copied());
            functions.function(types.len() - 1);
            exports.export(&refused.name, ExportKind::Func, first + index as u32);
            names.append(first + index as u32, &refused.shown);
            let mut body = Function::new([]);
            match &refused.answer {
                Answer::Trap => body.instruction(&Instruction::Unreachable),
                Answer::Value(value) => body.instruction(&Instruction::I32Const(*value)),
                Answer::At(address) => body.instruction(&Instruction::I32Const(*address as i32)),
                Answer::New(resource) => match makers.get(resource) {
                    Some(maker) => body
                        .instruction(&Instruction::I32Const(0))
                        .instruction(&Instruction::Call(*maker)),
                    None => body.instruction(&Instruction::Unreachable),
                },
            };
            body.instruction(&Instruction::End);
            code.function(&body);
        }
        let scratch = (ANSWERS + self.memory.len() as u32).next_multiple_of(16);
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        functions.function(types.len() - 1);
        exports.export("cabi_realloc", ExportKind::Func, first + self.functions.len() as u32);
        code.function(&allocator(scratch));
        exports.export("memory", ExportKind::Memory, 0);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: u64::from(scratch).div_ceil(PAGE),
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(ANSWERS as i32), self.memory);
        let mut name_section = NameSection::new();
        name_section.functions(&names);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&memories);
        module.section(&exports).section(&code).section(&data).section(&name_section);
        module.finish()
    }
}

const PAGE: u64 = 65536;

/// Arguments are never read, so all of them go to the same place, which grows as large as the largest.
fn allocator(scratch: u32) -> Function {
    let pages = 4;
    let mut body = Function::new([(1, ValType::I32)]);
    for instruction in [
        // The pages that hold `scratch` and the new size, the fourth parameter.
        Instruction::LocalGet(3),
        Instruction::I64ExtendI32U,
        Instruction::I64Const((u64::from(scratch) + PAGE - 1) as i64),
        Instruction::I64Add,
        Instruction::I64Const(16),
        Instruction::I64ShrU,
        Instruction::I32WrapI64,
        Instruction::MemorySize(0),
        Instruction::I32Sub,
        Instruction::LocalTee(pages),
        Instruction::I32Const(0),
        Instruction::I32GtS,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::LocalGet(pages),
        Instruction::MemoryGrow(0),
        Instruction::I32Const(-1),
        Instruction::I32Eq,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
        Instruction::End,
        Instruction::I32Const(scratch as i32),
        Instruction::End,
    ] {
        body.instruction(&instruction);
    }
    body
}

/// A string: its address, and its length in bytes.
fn text(image: &mut [u8]) -> bool {
    let Some(image) = image.get_mut(..8) else { return false };
    image[..4].copy_from_slice(&ANSWERS.to_le_bytes());
    image[4..].copy_from_slice(&(MESSAGE.len() as u32).to_le_bytes());
    true
}

fn core_type(ty: &WasmType) -> ValType {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
    }
}
