//! Which proposals beyond the baseline the code really uses.
//!
//! The baseline is what every current toolchain emits and every runtime takes: WebAssembly 2.0
//! without its vector instructions. Found by looking at types and at every instruction, because the
//! `target_features` section is optional and says what was allowed, not what is used.

use serde::Serialize;
use wasmparser::{
    CompositeInnerType, HeapType, MemoryType, Operator, RefType, SubType, TableType, ValType,
};

macro_rules! needs {
    ($( $(#[doc = $doc:literal])* $field:ident: $word:literal, )*) => {
        /// What the code uses beyond the baseline.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct Needs {
            $( $(#[doc = $doc])* pub $field: bool, )*
        }

        impl Needs {
            /// The words for people, in a fixed order.
            pub fn words(&self) -> Vec<&'static str> {
                let mut words = Vec::new();
                $( if self.$field { words.push($word); } )*
                words
            }
        }
    };
}

needs! {
    /// Shared memory, atomic instructions, or the import `wasi.thread-spawn`.
    threads: "threads",
    /// 128-bit vectors.
    simd: "SIMD",
    relaxed_simd: "relaxed SIMD",
    /// Structs, arrays and the reference types that come with them.
    gc: "GC",
    /// Exception tags, `throw` and `try_table`.
    exceptions: "exceptions",
    /// The withdrawn form of exceptions: `try` and `catch`.
    legacy_exceptions: "legacy exceptions",
    tail_calls: "tail calls",
    /// Typed function references: `call_ref` and the like.
    function_references: "typed function references",
    /// A memory or table with 64-bit indexes.
    memory64: "64-bit memory",
    /// More than one memory in one module.
    multi_memory: "multiple memories",
    /// Memories whose pages are not 64 KiB.
    custom_page_sizes: "custom page sizes",
    /// 128-bit integer arithmetic.
    wide_arithmetic: "wide arithmetic",
    stack_switching: "stack switching",
    /// Shared globals, tables and functions.
    shared_everything_threads: "shared-everything threads",
    custom_descriptors: "custom descriptors",
    memory_control: "memory control",
    /// Async functions, streams or futures of the component model (WASI 0.3).
    component_model_async: "component-model async",
    /// Threads of the component model.
    component_model_threads: "component-model threads",
    /// Error contexts of the component model.
    component_model_error_context: "component-model error contexts",
}

impl Needs {
    /// Notes what one instruction needs.
    pub(crate) fn operator(&mut self, operator: &Operator<'_>) {
        macro_rules! note {
            (mvp) => {
                ()
            };
            (sign_extension) => {
                ()
            };
            (saturating_float_to_int) => {
                ()
            };
            (bulk_memory) => {
                ()
            };
            (reference_types) => {
                ()
            };
            (threads) => {
                self.threads = true
            };
            (simd) => {
                self.simd = true
            };
            (relaxed_simd) => {{
                self.simd = true;
                self.relaxed_simd = true
            }};
            (gc) => {
                self.gc = true
            };
            (exceptions) => {
                self.exceptions = true
            };
            (legacy_exceptions) => {
                self.legacy_exceptions = true
            };
            (tail_call) => {
                self.tail_calls = true
            };
            (function_references) => {
                self.function_references = true
            };
            (memory_control) => {
                self.memory_control = true
            };
            (shared_everything_threads) => {
                self.shared_everything_threads = true
            };
            (stack_switching) => {
                self.stack_switching = true
            };
            (wide_arithmetic) => {
                self.wide_arithmetic = true
            };
            (custom_descriptors) => {
                self.custom_descriptors = true
            };
        }
        macro_rules! by_proposal {
            ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
                match operator {
                    $( Operator::$op { .. } => note!($proposal), )*
                    _ => {}
                }
            };
        }
        wasmparser::for_each_operator!(by_proposal);
        match operator {
            Operator::RefNull { hty } => self.heap_type(*hty),
            Operator::TypedSelect { ty } => self.value_type(*ty),
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                if let wasmparser::BlockType::Type(ty) = blockty {
                    self.value_type(*ty);
                }
            }
            _ => {}
        }
    }

    /// Notes what one entry of a type section needs.
    pub(crate) fn sub_type(&mut self, ty: &SubType) {
        if ty.supertype_idx.is_some() {
            self.gc = true;
        }
        if ty.composite_type.shared {
            self.shared_everything_threads = true;
        }
        match &ty.composite_type.inner {
            CompositeInnerType::Func(function) => {
                for ty in function.params().iter().chain(function.results()) {
                    self.value_type(*ty);
                }
            }
            CompositeInnerType::Array(_) | CompositeInnerType::Struct(_) => self.gc = true,
            CompositeInnerType::Cont(_) => self.stack_switching = true,
        }
    }

    pub(crate) fn value_type(&mut self, ty: ValType) {
        match ty {
            ValType::V128 => self.simd = true,
            ValType::Ref(reference) => self.ref_type(reference),
            ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 => {}
        }
    }

    fn ref_type(&mut self, ty: RefType) {
        if !ty.is_nullable() {
            self.function_references = true;
        }
        self.heap_type(ty.heap_type());
    }

    fn heap_type(&mut self, ty: HeapType) {
        use wasmparser::AbstractHeapType::{
            Any, Array, Cont, Eq, Exn, Extern, Func, I31, NoCont, NoExn, NoExtern, NoFunc, None,
            Struct,
        };
        match ty {
            HeapType::Abstract { shared, ty } => {
                self.shared_everything_threads |= shared;
                match ty {
                    Func | Extern => {}
                    Any | None | NoExtern | NoFunc | Eq | Struct | Array | I31 => self.gc = true,
                    Exn | NoExn => self.exceptions = true,
                    Cont | NoCont => self.stack_switching = true,
                }
            }
            HeapType::Concrete(_) => self.function_references = true,
            HeapType::Exact(_) => self.custom_descriptors = true,
        }
    }

    pub(crate) fn table(&mut self, ty: &TableType) {
        self.memory64 |= ty.table64;
        self.shared_everything_threads |= ty.shared;
        self.ref_type(ty.element_type);
    }

    pub(crate) fn memory(&mut self, ty: &MemoryType) {
        self.threads |= ty.shared;
        self.memory64 |= ty.memory64;
        self.custom_page_sizes |= ty.page_size_log2.is_some();
    }
}
