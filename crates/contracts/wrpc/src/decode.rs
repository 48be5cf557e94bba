//! Reading what comes in pieces.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    Later, Path, Type, Types, Value,
    integer::{Read, signed, unsigned},
};

/// What may be kept of one decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as they are written.
    pub bytes: usize,
    /// Values, each part of another counted: some forty bytes of memory a value.
    pub values: usize,
    /// Streams and futures that come later.
    pub later: usize,
}

/// Why bytes are not values of the types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such value.
    #[error("what is at byte {at} is no {expected}")]
    Invalid {
        /// Bytes before it.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A case that the type has not.
    #[error("case {found} at byte {at} is beyond the {cases} of its type")]
    Case {
        /// Bytes before it.
        at: usize,
        /// The case.
        found: u64,
        /// Cases.
        cases: usize,
    },
    /// More than may be kept.
    #[error("the values have more than {0} bytes, the most that are taken")]
    TooManyBytes(usize),
    /// More than may be kept.
    #[error("there are more than {0} values, the most that are taken")]
    TooManyValues(usize),
    /// More than may be kept.
    #[error("more than {0} streams and futures come later, the most that are taken")]
    TooManyLater(usize),
    /// A stream is longer than can be counted.
    #[error("a stream has more than 4294967295 elements")]
    TooLong,
    /// It ended within a value.
    #[error("it ends after {at} bytes, within a value")]
    Ended {
        /// Bytes of it.
        at: usize,
    },
}

/// Reads values out of pieces of bytes, as they come.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    prefix: Vec<u32>,
    /// What the first element of an outermost list counts as.
    first: u32,
    frames: Vec<Frame>,
    next: Option<Type>,
    /// The start of something that was cut off: a few bytes.
    held: Bytes,
    read: usize,
    values: usize,
    later: Vec<Later>,
}

/// A value around those that are being read.
#[derive(Debug)]
enum Frame {
    Elements { element: Type, first: u32, left: usize, items: Vec<Value> },
    Members { types: Arc<[Type]>, items: Vec<Value> },
    Variant(u32),
    Some,
    Ok,
    Err,
    Ready,
    Blob { kind: Blob, left: usize, got: Vec<u8> },
}

#[derive(Clone, Copy, Debug)]
enum Blob {
    Text,
    Bytes,
    Flags(u32),
}

/// What came of an attempt to read.
enum Step {
    Done(Value),
    /// Read this within the frame that was put.
    Within(Type),
    /// Fill the frame that was put.
    Filling,
    /// More bytes are needed.
    Wanting,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, values: 1 << 20, later: 64 }
    }
}

// === impl Decoder ===

impl Decoder {
    /// For parameters or results, which become one [`Value::Tuple`].
    pub fn new(types: &Types, limits: Limits) -> Self {
        Self::at(Vec::new(), 0, Type::Tuple(types.members()), limits)
    }

    /// For the next elements of a stream, which become a [`Value::List`] or [`Value::Bytes`]; `first`
    /// counts those before them. For a future, what it became; `None` when it is one of nothing.
    pub fn of(later: &Later, first: u32, limits: Limits) -> Option<Self> {
        let ty = match &later.ty {
            // Elements of no type are written as nothing: an empty tuple.
            Type::Stream(None) => Type::List(Arc::new(Type::Tuple(Arc::new([])))),
            Type::Stream(Some(element)) => Type::List(element.clone()),
            Type::Future(ty) => ty.as_deref()?.clone(),
            _ => return None,
        };
        Some(Self::at(later.path.steps().to_vec(), first, ty, limits))
    }

    fn at(prefix: Vec<u32>, first: u32, ty: Type, limits: Limits) -> Self {
        Self {
            limits,
            prefix,
            first,
            frames: Vec::new(),
            next: Some(ty),
            held: Bytes::new(),
            read: 0,
            values: 0,
            later: Vec::new(),
        }
    }

    /// Takes the next bytes out of `input`: all, or as many as the value has left. Returns the value
    /// when it is whole.
    ///
    /// # Errors
    /// When they are no value of the type, or more than may be kept. Nothing can be read after that.
    pub fn feed(&mut self, input: &mut Bytes) -> Result<Option<Value>, DecodeError> {
        if !self.held.is_empty() {
            if input.is_empty() {
                return Ok(None);
            }
            let mut joined = BytesMut::with_capacity(self.held.len() + input.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(input);
            self.held.clear();
            *input = joined.freeze();
        }
        loop {
            let step = match self.next.take() {
                Some(ty) => {
                    let step = self.begin(&ty, input)?;
                    if let Step::Wanting = step {
                        self.held = std::mem::take(input);
                        self.next = Some(ty);
                        return Ok(None);
                    }
                    step
                }
                None => self.fill(input)?,
            };
            match step {
                Step::Within(ty) => self.next = Some(ty),
                Step::Filling => {}
                Step::Wanting => return Ok(None),
                Step::Done(value) => {
                    if let Some(whole) = self.put(value) {
                        return Ok(Some(whole));
                    }
                }
            }
        }
    }

    /// What comes later of the value, in the order of its [`Value::Later`].
    pub fn take_later(&mut self) -> Vec<Later> {
        std::mem::take(&mut self.later)
    }

    /// Whether there was nothing of the value yet.
    pub fn is_untouched(&self) -> bool {
        self.read == 0 && self.held.is_empty()
    }

    /// What is wrong when no bytes come any more.
    pub fn ended(&self) -> DecodeError {
        DecodeError::Ended { at: self.read + self.held.len() }
    }

    fn invalid(&self, expected: &'static str) -> DecodeError {
        DecodeError::Invalid { at: self.read, expected }
    }

    fn took(&mut self, count: usize, input: &mut Bytes) -> Result<(), DecodeError> {
        input.advance(count);
        self.read += count;
        match self.read > self.limits.bytes {
            true => Err(DecodeError::TooManyBytes(self.limits.bytes)),
            false => Ok(()),
        }
    }

    fn array<const N: usize>(&mut self, input: &mut Bytes) -> Result<Option<[u8; N]>, DecodeError> {
        let Some(array) = input.first_chunk::<N>().copied() else { return Ok(None) };
        self.took(N, input).map(|()| Some(array))
    }

    fn unsigned(
        &mut self,
        bits: u32,
        expected: &'static str,
        input: &mut Bytes,
    ) -> Result<Option<u64>, DecodeError> {
        match unsigned(input, bits) {
            Read::Whole(value, count) => self.took(count, input).map(|()| Some(value)),
            Read::Part => Ok(None),
            Read::Wrong => Err(self.invalid(expected)),
        }
    }

    fn signed(
        &mut self,
        bits: u32,
        expected: &'static str,
        input: &mut Bytes,
    ) -> Result<Option<i64>, DecodeError> {
        match signed(input, bits) {
            Read::Whole(value, count) => self.took(count, input).map(|()| Some(value)),
            Read::Part => Ok(None),
            Read::Wrong => Err(self.invalid(expected)),
        }
    }

    /// A byte that says which of two follows.
    fn either(
        &mut self,
        expected: &'static str,
        input: &mut Bytes,
    ) -> Result<Option<bool>, DecodeError> {
        match input.first() {
            None => Ok(None),
            Some(byte @ (0 | 1)) => {
                let second = *byte == 1;
                self.took(1, input).map(|()| Some(second))
            }
            Some(_) => Err(self.invalid(expected)),
        }
    }

    fn character(&mut self, input: &mut Bytes) -> Result<Option<char>, DecodeError> {
        let Some(first) = input.first() else { return Ok(None) };
        let length = match first {
            0x00..0x80 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf8 => 4,
            _ => return Err(self.invalid("character")),
        };
        let Some(bytes) = input.get(..length) else { return Ok(None) };
        let Some(character) = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next())
        else {
            return Err(self.invalid("character"));
        };
        self.took(length, input).map(|()| Some(character))
    }

    /// Reads a value, or its start.
    fn begin(&mut self, ty: &Type, input: &mut Bytes) -> Result<Step, DecodeError> {
        // A truncation that the width of the integer has excluded already.
        macro_rules! integer {
            ($read:ident, $bits:literal, $name:literal, $of:ident) => {
                match self.$read($bits, $name, input)? {
                    Some(value) => Value::$of(value as _),
                    None => return Ok(Step::Wanting),
                }
            };
        }
        macro_rules! some {
            ($read:expr) => {
                match $read {
                    Some(value) => value,
                    None => return Ok(Step::Wanting),
                }
            };
        }
        let value = match ty {
            Type::Bool => Value::Bool(some!(self.either("bool", input)?)),
            Type::S8 => Value::S8(i8::from_le_bytes(some!(self.array(input)?))),
            Type::U8 => Value::U8(u8::from_le_bytes(some!(self.array(input)?))),
            Type::S16 => integer!(signed, 16, "s16", S16),
            Type::U16 => integer!(unsigned, 16, "u16", U16),
            Type::S32 => integer!(signed, 32, "s32", S32),
            Type::U32 => integer!(unsigned, 32, "u32", U32),
            Type::S64 => integer!(signed, 64, "s64", S64),
            Type::U64 => integer!(unsigned, 64, "u64", U64),
            Type::F32 => Value::F32(f32::from_le_bytes(some!(self.array(input)?))),
            Type::F64 => Value::F64(f64::from_le_bytes(some!(self.array(input)?))),
            Type::Char => Value::Char(some!(self.character(input)?)),
            Type::String | Type::Resource => {
                let length = some!(self.unsigned(32, "length", input)?);
                let kind = if *ty == Type::String { Blob::Text } else { Blob::Bytes };
                self.counted()?;
                return self.blob(kind, length);
            }
            Type::List(element) => {
                let length = some!(self.unsigned(32, "length", input)?);
                self.counted()?;
                return self.elements(element, length);
            }
            Type::FixedList(element, length) => {
                self.counted()?;
                return self.elements(element, (*length).into());
            }
            Type::Tuple(types) => {
                let Some(first) = types.first() else {
                    self.counted()?;
                    return Ok(Step::Done(Value::Tuple(Vec::new())));
                };
                let items = Vec::with_capacity(types.len().min(64));
                return self.within(Frame::Members { types: types.clone(), items }, first.clone());
            }
            Type::Variant(cases) => {
                let at = self.read;
                let case = some!(self.unsigned(32, "case", input)?);
                let Some((number, ty)) = u32::try_from(case).ok().zip(cases.get(case as usize))
                else {
                    return Err(DecodeError::Case { at, found: case, cases: cases.len() });
                };
                match ty {
                    Some(ty) => return self.within(Frame::Variant(number), ty.clone()),
                    None => Value::Variant(number, None),
                }
            }
            Type::Enum(cases) => {
                let at = self.read;
                let case = some!(self.unsigned(32, "case", input)?);
                match u32::try_from(case) {
                    Ok(case) if case < *cases => Value::Enum(case),
                    _ => {
                        let cases = *cases as usize;
                        return Err(DecodeError::Case { at, found: case, cases });
                    }
                }
            }
            Type::Option(ty) => match some!(self.either("option", input)?) {
                true => return self.within(Frame::Some, (**ty).clone()),
                false => Value::Option(None),
            },
            Type::Result(ok, error) => match (some!(self.either("result", input)?), ok, error) {
                (false, Some(ok), _) => return self.within(Frame::Ok, (**ok).clone()),
                (false, None, _) => Value::Result(Ok(None)),
                (true, _, Some(error)) => return self.within(Frame::Err, (**error).clone()),
                (true, _, None) => Value::Result(Err(None)),
            },
            Type::Flags(count) => {
                self.counted()?;
                return self.blob(Blob::Flags(*count), count.div_ceil(8).into());
            }
            Type::Stream(element) => match some!(self.unsigned(32, "length", input)?) {
                0 => self.comes_later(ty)?,
                length => {
                    self.counted()?;
                    let nothing = Type::Tuple(Arc::new([]));
                    return self.elements(element.as_deref().unwrap_or(&nothing), length);
                }
            },
            Type::Future(carried) => match (some!(self.either("future", input)?), carried) {
                (false, _) => self.comes_later(ty)?,
                (true, Some(carried)) => return self.within(Frame::Ready, (**carried).clone()),
                (true, None) => Value::Ready(None),
            },
        };
        self.counted()?;
        Ok(Step::Done(value))
    }

    fn counted(&mut self) -> Result<(), DecodeError> {
        self.values += 1;
        match self.values > self.limits.values {
            true => Err(DecodeError::TooManyValues(self.limits.values)),
            false => Ok(()),
        }
    }

    fn within(&mut self, frame: Frame, ty: Type) -> Result<Step, DecodeError> {
        self.counted()?;
        self.frames.push(frame);
        Ok(Step::Within(ty))
    }

    fn comes_later(&mut self, ty: &Type) -> Result<Value, DecodeError> {
        let number = self.later.len();
        if number >= self.limits.later {
            return Err(DecodeError::TooManyLater(self.limits.later));
        }
        self.later.push(Later { number, path: self.path()?, ty: ty.clone() });
        Ok(Value::Later(number))
    }

    /// Where the value stands that is being read.
    fn path(&self) -> Result<Path, DecodeError> {
        let mut steps = self.prefix.clone();
        for frame in &self.frames {
            let (first, before) = match frame {
                Frame::Elements { first, items, .. } => (*first, items.len()),
                Frame::Members { items, .. } => (0, items.len()),
                _ => continue,
            };
            let step = u32::try_from(before).ok().and_then(|before| first.checked_add(before));
            steps.push(step.ok_or(DecodeError::TooLong)?);
        }
        Ok(Path::new(steps))
    }

    fn elements(&mut self, element: &Type, length: u64) -> Result<Step, DecodeError> {
        if *element == Type::U8 {
            return self.blob(Blob::Bytes, length);
        }
        let left = match usize::try_from(length) {
            Ok(left) if left <= self.limits.values - self.values => left,
            _ => return Err(DecodeError::TooManyValues(self.limits.values)),
        };
        if left == 0 {
            return Ok(Step::Done(Value::List(Vec::new())));
        }
        let first = if self.frames.is_empty() { self.first } else { 0 };
        // What is promised may not come.
        let items = Vec::with_capacity(left.min(64));
        self.frames.push(Frame::Elements { element: element.clone(), first, left, items });
        Ok(Step::Within(element.clone()))
    }

    fn blob(&mut self, kind: Blob, length: u64) -> Result<Step, DecodeError> {
        match usize::try_from(length) {
            Ok(left) if left <= self.limits.bytes.saturating_sub(self.read) => {
                self.frames.push(Frame::Blob { kind, left, got: Vec::new() });
                Ok(Step::Filling)
            }
            _ => Err(DecodeError::TooManyBytes(self.limits.bytes)),
        }
    }

    /// Goes on with bytes in one piece.
    fn fill(&mut self, input: &mut Bytes) -> Result<Step, DecodeError> {
        let Some(Frame::Blob { kind, left, got }) = self.frames.last_mut() else {
            // Whole already.
            return Ok(Step::Wanting);
        };
        let kind = *kind;
        let piece = input.split_to(input.len().min(*left));
        self.read += piece.len();
        *left -= piece.len();
        if *left > 0 {
            got.extend_from_slice(&piece);
            return Ok(Step::Wanting);
        }
        let bytes = match got.is_empty() {
            // Not copied.
            true => piece,
            false => {
                got.extend_from_slice(&piece);
                Bytes::from(std::mem::take(got))
            }
        };
        self.frames.pop();
        Ok(Step::Done(match kind {
            Blob::Bytes => Value::Bytes(bytes),
            Blob::Text => match String::from_utf8(bytes.into()) {
                Ok(text) => Value::String(text),
                Err(_) => return Err(self.invalid("string in UTF-8")),
            },
            Blob::Flags(count) => {
                let mut flags = Vec::from(bytes);
                // Bits beyond say nothing.
                if let (Some(last), rest @ 1..) = (flags.last_mut(), count % 8) {
                    *last &= (1 << rest) - 1;
                }
                Value::Flags(flags.into())
            }
        }))
    }

    /// Puts a value where it belongs; returns it when there is nothing around it.
    fn put(&mut self, mut value: Value) -> Option<Value> {
        while let Some(frame) = self.frames.last_mut() {
            value = match frame {
                Frame::Elements { element, left, items, .. } => {
                    items.push(value);
                    *left -= 1;
                    if *left > 0 {
                        self.next = Some(element.clone());
                        return None;
                    }
                    Value::List(std::mem::take(items))
                }
                Frame::Members { types, items } => {
                    items.push(value);
                    if let Some(ty) = types.get(items.len()) {
                        self.next = Some(ty.clone());
                        return None;
                    }
                    Value::Tuple(std::mem::take(items))
                }
                Frame::Variant(case) => Value::Variant(*case, Some(Box::new(value))),
                Frame::Some => Value::Option(Some(Box::new(value))),
                Frame::Ok => Value::Result(Ok(Some(Box::new(value)))),
                Frame::Err => Value::Result(Err(Some(Box::new(value)))),
                Frame::Ready => Value::Ready(Some(Box::new(value))),
                // Taken away before its value is put.
                Frame::Blob { .. } => return None,
            };
            self.frames.pop();
        }
        Some(value)
    }
}
