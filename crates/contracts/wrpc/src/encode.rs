//! Writing.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Later, Path, Type, Types, Value,
    integer::{put_signed, put_unsigned},
};

/// Why values cannot be written: they are not of the types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Too many or too few.
    #[error("{found} values for {expected} types")]
    Count {
        /// Types.
        expected: usize,
        /// Values.
        found: usize,
    },
    /// Another kind of value.
    #[error("a {found} at {path} is not of the type {expected}")]
    Mismatch {
        /// Where.
        path: Path,
        /// What is there.
        found: &'static str,
        /// What should be, as Rust writes [`Type`].
        expected: String,
    },
    /// A case or a flag that the type has not.
    #[error("case {found} at {path} is beyond the {cases} of its type")]
    Case {
        /// Where.
        path: Path,
        /// The case.
        found: u32,
        /// Cases.
        cases: usize,
    },
    /// A stream that is there, and empty.
    #[error(
        "the stream at {path} is there and empty, which means that it comes later; hand it over as one that comes later and ends"
    )]
    EmptyStream {
        /// Where.
        path: Path,
    },
    /// More elements than are counted.
    #[error("a list or stream has more than 4294967295 elements")]
    TooLong,
}

struct Encoder<'a> {
    out: &'a mut BytesMut,
    path: Vec<u32>,
    later: Vec<Later>,
}

/// Writes parameters or results to `out`, and returns what of them comes later.
///
/// # Errors
/// When they are not of the types; what `out` has gained is of no use then.
pub fn encode(
    types: &Types,
    values: &[Value],
    out: &mut BytesMut,
) -> Result<Vec<Later>, EncodeError> {
    let mut encoder = Encoder { out, path: Vec::new(), later: Vec::new() };
    encoder.members(types.as_slice(), values)?;
    Ok(encoder.later)
}

/// Writes the next elements of a stream to `out`: [`Value::List`] or [`Value::Bytes`], and returns
/// what of them comes later. `first` counts the elements before them. None end the stream.
///
/// # Errors
/// When `stream` is none, or they are not of its type.
pub fn encode_chunk(
    stream: &Later,
    first: u32,
    elements: &Value,
    out: &mut BytesMut,
) -> Result<Vec<Later>, EncodeError> {
    let mut encoder = Encoder { out, path: stream.path.steps().to_vec(), later: Vec::new() };
    let Type::Stream(element) = &stream.ty else {
        return Err(encoder.mismatch(elements, &stream.ty));
    };
    encoder.elements(element.as_deref(), first, elements, &stream.ty)?;
    Ok(encoder.later)
}

/// Writes what a future became to `out`, and returns what of it comes later. Nothing is written for a
/// future of nothing.
///
/// # Errors
/// When `future` is none, or the value is not of its type.
pub fn encode_ready(
    future: &Later,
    value: Option<&Value>,
    out: &mut BytesMut,
) -> Result<Vec<Later>, EncodeError> {
    let mut encoder = Encoder { out, path: future.path.steps().to_vec(), later: Vec::new() };
    match (&future.ty, value) {
        (Type::Future(None), None) => {}
        (Type::Future(Some(ty)), Some(value)) => encoder.value(ty, value)?,
        (ty, value) => return Err(encoder.mismatch(value.unwrap_or(&Value::Ready(None)), ty)),
    }
    Ok(encoder.later)
}

impl Encoder<'_> {
    fn mismatch(&self, found: &Value, expected: &Type) -> EncodeError {
        let (path, found) = (Path::new(self.path.as_slice()), found.name());
        EncodeError::Mismatch { path, found, expected: format!("{expected:?}") }
    }

    fn value(&mut self, ty: &Type, value: &Value) -> Result<(), EncodeError> {
        match (ty, value) {
            (Type::Bool, Value::Bool(value)) => self.out.put_u8((*value).into()),
            (Type::S8, Value::S8(value)) => self.out.put_i8(*value),
            (Type::U8, Value::U8(value)) => self.out.put_u8(*value),
            (Type::S16, Value::S16(value)) => put_signed((*value).into(), self.out),
            (Type::U16, Value::U16(value)) => put_unsigned((*value).into(), self.out),
            (Type::S32, Value::S32(value)) => put_signed((*value).into(), self.out),
            (Type::U32, Value::U32(value)) => put_unsigned((*value).into(), self.out),
            (Type::S64, Value::S64(value)) => put_signed(*value, self.out),
            (Type::U64, Value::U64(value)) => put_unsigned(*value, self.out),
            // There is one NaN between components.
            (Type::F32, Value::F32(value)) if value.is_nan() => self.out.put_u32_le(0x7fc0_0000),
            (Type::F32, Value::F32(value)) => self.out.put_f32_le(*value),
            (Type::F64, Value::F64(value)) if value.is_nan() => {
                self.out.put_u64_le(0x7ff8_0000_0000_0000);
            }
            (Type::F64, Value::F64(value)) => self.out.put_f64_le(*value),
            (Type::Char, Value::Char(value)) => {
                self.out.put_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (Type::String, Value::String(value)) => self.bytes(value.as_bytes())?,
            (Type::Resource, Value::Bytes(value)) => self.bytes(value)?,
            (Type::List(element), value) => self.elements(Some(element), 0, value, ty)?,
            (Type::FixedList(element, length), Value::List(elements))
                if elements.len() == *length as usize =>
            {
                for (at, value) in (0..).zip(elements) {
                    self.step(at, element, value)?;
                }
            }
            (Type::FixedList(element, length), Value::Bytes(bytes))
                if **element == Type::U8 && bytes.len() == *length as usize =>
            {
                self.out.put_slice(bytes);
            }
            (Type::Tuple(types), Value::Tuple(values)) => self.members(types, values)?,
            (Type::Variant(cases), Value::Variant(case, carried)) => {
                let ty = cases.get(*case as usize);
                let ty = ty.ok_or_else(|| self.no_case(*case, cases.len()))?;
                put_unsigned((*case).into(), self.out);
                self.carried(ty.as_ref(), carried.as_deref(), value)?;
            }
            (Type::Enum(cases), Value::Enum(case)) => {
                if case >= cases {
                    return Err(self.no_case(*case, *cases as usize));
                }
                put_unsigned((*case).into(), self.out);
            }
            (Type::Option(_), Value::Option(None)) => self.out.put_u8(0),
            (Type::Option(ty), Value::Option(Some(value))) => {
                self.out.put_u8(1);
                self.value(ty, value)?;
            }
            (Type::Result(ok, _), Value::Result(Ok(carried))) => {
                self.out.put_u8(0);
                self.carried(ok.as_deref(), carried.as_deref(), value)?;
            }
            (Type::Result(_, error), Value::Result(Err(carried))) => {
                self.out.put_u8(1);
                self.carried(error.as_deref(), carried.as_deref(), value)?;
            }
            (Type::Flags(count), Value::Flags(flags)) => self.flags(*count, flags)?,
            // A pending stream is written as one without elements, a pending future as its first case.
            (Type::Stream(_) | Type::Future(_), Value::Later(number)) => {
                let path = Path::new(self.path.as_slice());
                self.later.push(Later { number: *number, path, ty: ty.clone() });
                self.out.put_u8(0);
            }
            (Type::Stream(element), elements) => {
                let empty = match elements {
                    Value::List(elements) => elements.is_empty(),
                    Value::Bytes(bytes) => bytes.is_empty(),
                    _ => false,
                };
                if empty {
                    return Err(EncodeError::EmptyStream { path: Path::new(self.path.as_slice()) });
                }
                self.elements(element.as_deref(), 0, elements, ty)?;
            }
            (Type::Future(ty), Value::Ready(carried)) => {
                self.out.put_u8(1);
                self.carried(ty.as_deref(), carried.as_deref(), value)?;
            }
            (ty, value) => return Err(self.mismatch(value, ty)),
        }
        Ok(())
    }

    fn no_case(&self, found: u32, cases: usize) -> EncodeError {
        EncodeError::Case { path: Path::new(self.path.as_slice()), found, cases }
    }

    fn step(&mut self, at: u32, ty: &Type, value: &Value) -> Result<(), EncodeError> {
        self.path.push(at);
        let written = self.value(ty, value);
        self.path.pop();
        written
    }

    fn members(&mut self, types: &[Type], values: &[Value]) -> Result<(), EncodeError> {
        if types.len() != values.len() {
            return Err(EncodeError::Count { expected: types.len(), found: values.len() });
        }
        for (at, (ty, value)) in (0..).zip(types.iter().zip(values)) {
            self.step(at, ty, value)?;
        }
        Ok(())
    }

    fn elements(
        &mut self,
        element: Option<&Type>,
        first: u32,
        elements: &Value,
        of: &Type,
    ) -> Result<(), EncodeError> {
        match (element, elements) {
            (Some(Type::U8), Value::Bytes(bytes)) => self.bytes(bytes),
            (element, Value::List(values)) => {
                let length = length(values.len())?;
                let after = first.checked_add(length).ok_or(EncodeError::TooLong)?;
                put_unsigned(length.into(), self.out);
                for (at, value) in (first..after).zip(values) {
                    match (element, value) {
                        (Some(element), value) => self.step(at, element, value)?,
                        (None, Value::Tuple(nothing)) if nothing.is_empty() => {}
                        (None, value) => return Err(self.mismatch(value, of)),
                    }
                }
                Ok(())
            }
            (_, other) => Err(self.mismatch(other, of)),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        put_unsigned(length(bytes.len())?.into(), self.out);
        self.out.put_slice(bytes);
        Ok(())
    }

    fn carried(
        &mut self,
        ty: Option<&Type>,
        carried: Option<&Value>,
        within: &Value,
    ) -> Result<(), EncodeError> {
        match (ty, carried) {
            (None, None) => Ok(()),
            (Some(ty), Some(value)) => self.value(ty, value),
            (ty, value) => {
                let found = value.unwrap_or(within).name();
                let expected = ty.map_or_else(|| "nothing".to_owned(), |ty| format!("{ty:?}"));
                let path = Path::new(self.path.as_slice());
                Err(EncodeError::Mismatch { path, found, expected })
            }
        }
    }

    fn flags(&mut self, count: u32, flags: &Bytes) -> Result<(), EncodeError> {
        let (whole, rest) = (count.div_ceil(8) as usize, count % 8);
        let beyond = match flags.last() {
            Some(last) if flags.len() == whole && rest > 0 => last >> rest != 0,
            _ => flags.len() != whole,
        };
        if beyond {
            let found = u32::try_from(8 * flags.len()).unwrap_or(u32::MAX);
            return Err(self.no_case(found, count as usize));
        }
        self.out.put_slice(flags);
        Ok(())
    }
}

fn length(length: usize) -> Result<u32, EncodeError> {
    u32::try_from(length).map_err(|_| EncodeError::TooLong)
}
