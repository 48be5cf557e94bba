//! Values.

use bytes::Bytes;

use crate::{Path, Type};

/// A value; what is not said by it is said by its [`Type`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `bool`.
    Bool(bool),
    /// `s8`.
    S8(i8),
    /// `u8`.
    U8(u8),
    /// `s16`.
    S16(i16),
    /// `u16`.
    U16(u16),
    /// `s32`.
    S32(i32),
    /// `u32`.
    U32(u32),
    /// `s64`.
    S64(i64),
    /// `u64`.
    U64(u64),
    /// `f32`.
    F32(f32),
    /// `f64`.
    F64(f64),
    /// `char`.
    Char(char),
    /// `string`.
    String(String),
    /// Bytes in one piece: `list<u8>`, a `stream<u8>` that is there, a resource. Decoding yields no
    /// [`Value::List`] of bytes; encoding takes one.
    Bytes(Bytes),
    /// A list of any length, or a stream that is there: not an empty one, which has no form but that
    /// of one that comes later.
    List(Vec<Value>),
    /// A tuple or a record: its members in order.
    Tuple(Vec<Value>),
    /// A variant: which case, and what it carries.
    Variant(u32, Option<Box<Value>>),
    /// An enum: which case.
    Enum(u32),
    /// `option<T>`.
    Option(Option<Box<Value>>),
    /// `result<T, E>`.
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// Flags, eight a byte, the first of each in its lowest bit.
    Flags(Bytes),
    /// A future that is there.
    Ready(Option<Box<Value>>),
    /// A stream or a future that comes later: which, as its owner counts them. Decoding counts them
    /// from 0 in the order they stand in.
    Later(usize),
}

/// A stream or a future that comes later, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// The number in its [`Value::Later`].
    pub number: usize,
    /// The name of its channel.
    pub path: Path,
    /// [`Type::Stream`] or [`Type::Future`].
    pub ty: Type,
}

impl Value {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::S8(_) => "s8",
            Self::U8(_) => "u8",
            Self::S16(_) => "s16",
            Self::U16(_) => "u16",
            Self::S32(_) => "s32",
            Self::U32(_) => "u32",
            Self::S64(_) => "s64",
            Self::U64(_) => "u64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::Char(_) => "char",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Variant(..) => "variant",
            Self::Enum(_) => "enum",
            Self::Option(_) => "option",
            Self::Result(_) => "result",
            Self::Flags(_) => "flags",
            Self::Ready(_) => "future",
            Self::Later(_) => "stream or future that comes later",
        }
    }
}
