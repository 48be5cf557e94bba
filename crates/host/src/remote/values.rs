//! Values from Wasmtime's form to the wire's, and back.

use bytes::Bytes;
use reef_rpc::{Arriving, Outgoing, Received, Source};
use reef_wrpc::Value;
use wasmtime::{
    AsContextMut, bail,
    component::{Type, Val},
    error::Context as _,
    format_err,
};

use super::later::{self, Sending};

/// What a guest hands over, for another host; `sending` is told of what it streams.
///
/// # Errors
/// When the values are not of the types.
pub(super) fn outgoing(
    mut store: impl AsContextMut<Data: Send>,
    values: &[Val],
    types: impl ExactSizeIterator<Item = Type>,
    sending: &Sending,
) -> wasmtime::Result<Outgoing> {
    let mut out = Out { store: &mut store, later: Vec::new(), sending };
    if values.len() != types.len() {
        bail!("{} values for {} types", values.len(), types.len());
    }
    let values = values.iter().zip(types).map(|(value, ty)| out.value(value, &ty));
    let values = values.collect::<wasmtime::Result<_>>()?;
    Ok(Outgoing { values, later: out.later })
}

/// What another host hands over, for a guest.
///
/// # Errors
/// When the values are not of the types.
pub(super) fn received(
    mut store: impl AsContextMut<Data: Send>,
    received: Received,
    types: impl ExactSizeIterator<Item = Type>,
) -> wasmtime::Result<Vec<Val>> {
    let Received { values, later } = received;
    if values.len() != types.len() {
        bail!("{} values for {} types", values.len(), types.len());
    }
    let later = later.into_iter().map(Some).collect();
    let mut taken = In { store: &mut store, later };
    let values = values.into_iter().zip(types);
    values.map(|(value, ty)| taken.value(value, &ty)).collect()
}

struct Out<'a, S> {
    store: &'a mut S,
    later: Vec<Source>,
    sending: &'a Sending,
}

struct In<'a, S> {
    store: &'a mut S,
    later: Vec<Option<Arriving>>,
}

fn position<'n>(mut names: impl Iterator<Item = &'n str>, name: &str) -> wasmtime::Result<u32> {
    let at = names.position(|is| is == name);
    let at = at.and_then(|at| u32::try_from(at).ok());
    at.with_context(|| format!("the type has no `{name}`"))
}

impl<S: AsContextMut<Data: Send>> Out<'_, S> {
    fn all<'v>(
        &mut self,
        values: impl Iterator<Item = (&'v Val, Type)>,
    ) -> wasmtime::Result<Vec<Value>> {
        values.map(|(value, ty)| self.value(value, &ty)).collect()
    }

    fn carried(
        &mut self,
        value: Option<&Val>,
        ty: Option<&Type>,
    ) -> wasmtime::Result<Option<Box<Value>>> {
        match (value, ty) {
            (None, _) => Ok(None),
            (Some(value), Some(ty)) => Ok(Some(Box::new(self.value(value, ty)?))),
            (Some(_), None) => bail!("there is a value where the type has none"),
        }
    }

    fn value(&mut self, value: &Val, ty: &Type) -> wasmtime::Result<Value> {
        Ok(match (value, ty) {
            (Val::Bool(value), Type::Bool) => Value::Bool(*value),
            (Val::S8(value), Type::S8) => Value::S8(*value),
            (Val::U8(value), Type::U8) => Value::U8(*value),
            (Val::S16(value), Type::S16) => Value::S16(*value),
            (Val::U16(value), Type::U16) => Value::U16(*value),
            (Val::S32(value), Type::S32) => Value::S32(*value),
            (Val::U32(value), Type::U32) => Value::U32(*value),
            (Val::S64(value), Type::S64) => Value::S64(*value),
            (Val::U64(value), Type::U64) => Value::U64(*value),
            (Val::Float32(value), Type::Float32) => Value::F32(*value),
            (Val::Float64(value), Type::Float64) => Value::F64(*value),
            (Val::Char(value), Type::Char) => Value::Char(*value),
            (Val::String(value), Type::String) => Value::String(value.clone()),
            (Val::List(values), Type::List(list)) => self.list(values, &list.ty())?,
            (Val::FixedLengthList(values), Type::FixedLengthList(list)) => {
                self.list(values, &list.ty())?
            }
            (Val::Map(pairs), Type::Map(map)) => {
                let (key, is) = (map.key(), map.value());
                let pairs = pairs.iter().map(|(k, v)| {
                    Ok(Value::Tuple(vec![self.value(k, &key)?, self.value(v, &is)?]))
                });
                Value::List(pairs.collect::<wasmtime::Result<_>>()?)
            }
            (Val::Record(fields), Type::Record(record)) => {
                let types = record.fields().map(|field| field.ty);
                Value::Tuple(self.all(fields.iter().map(|(_, value)| value).zip(types))?)
            }
            (Val::Tuple(values), Type::Tuple(tuple)) => {
                Value::Tuple(self.all(values.iter().zip(tuple.types()))?)
            }
            (Val::Variant(name, value), Type::Variant(variant)) => {
                let at = position(variant.cases().map(|case| case.name), name)?;
                let ty = variant.cases().nth(at as usize).and_then(|case| case.ty);
                Value::Variant(at, self.carried(value.as_deref(), ty.as_ref())?)
            }
            (Val::Enum(name), Type::Enum(cases)) => Value::Enum(position(cases.names(), name)?),
            (Val::Option(value), Type::Option(option)) => {
                Value::Option(self.carried(value.as_deref(), Some(&option.ty()))?)
            }
            (Val::Result(value), Type::Result(result)) => Value::Result(match value {
                Ok(value) => Ok(self.carried(value.as_deref(), result.ok().as_ref())?),
                Err(value) => Err(self.carried(value.as_deref(), result.err().as_ref())?),
            }),
            (Val::Flags(set), Type::Flags(flags)) => {
                let mut bytes = vec![0_u8; flags.names().len().div_ceil(8)];
                for name in set {
                    let at = position(flags.names(), name)? as usize;
                    if let Some(byte) = bytes.get_mut(at / 8) {
                        *byte |= 1 << (at % 8);
                    }
                }
                Value::Flags(bytes.into())
            }
            (Val::Stream(stream), Type::Stream(ty)) => {
                let source =
                    later::stream(&mut *self.store, stream.clone(), ty.ty(), self.sending)?;
                self.comes_later(source)
            }
            (Val::Future(future), Type::Future(ty)) => {
                let source =
                    later::future(&mut *self.store, future.clone(), ty.ty(), self.sending)?;
                self.comes_later(source)
            }
            (_, ty) => bail!("a value is not of its type {ty:?}"),
        })
    }

    fn list(&mut self, values: &[Val], element: &Type) -> wasmtime::Result<Value> {
        if *element != Type::U8 {
            let values = values.iter().map(|value| self.value(value, element));
            return Ok(Value::List(values.collect::<wasmtime::Result<_>>()?));
        }
        let bytes = values.iter().map(|value| match value {
            Val::U8(byte) => Ok(*byte),
            _ => Err(format_err!("a list of bytes has something else in it")),
        });
        Ok(Value::Bytes(Bytes::from(bytes.collect::<wasmtime::Result<Vec<u8>>>()?)))
    }

    fn comes_later(&mut self, source: Source) -> Value {
        self.later.push(source);
        Value::Later(self.later.len() - 1)
    }
}

impl<S: AsContextMut<Data: Send>> In<'_, S> {
    fn carried(
        &mut self,
        value: Option<Box<Value>>,
        ty: Option<&Type>,
    ) -> wasmtime::Result<Option<Box<Val>>> {
        match (value, ty) {
            (None, None) => Ok(None),
            (Some(value), Some(ty)) => Ok(Some(Box::new(self.value(*value, ty)?))),
            _ => bail!("a case carries something, and its type says nothing, or the reverse"),
        }
    }

    fn value(&mut self, value: Value, ty: &Type) -> wasmtime::Result<Val> {
        Ok(match (value, ty) {
            (Value::Bool(value), Type::Bool) => Val::Bool(value),
            (Value::S8(value), Type::S8) => Val::S8(value),
            (Value::U8(value), Type::U8) => Val::U8(value),
            (Value::S16(value), Type::S16) => Val::S16(value),
            (Value::U16(value), Type::U16) => Val::U16(value),
            (Value::S32(value), Type::S32) => Val::S32(value),
            (Value::U32(value), Type::U32) => Val::U32(value),
            (Value::S64(value), Type::S64) => Val::S64(value),
            (Value::U64(value), Type::U64) => Val::U64(value),
            (Value::F32(value), Type::Float32) => Val::Float32(value),
            (Value::F64(value), Type::Float64) => Val::Float64(value),
            (Value::Char(value), Type::Char) => Val::Char(value),
            (Value::String(value), Type::String) => Val::String(value),
            (values, Type::List(list)) => Val::List(self.list(values, &list.ty())?),
            (values, Type::FixedLengthList(list)) => {
                Val::FixedLengthList(self.list(values, &list.ty())?)
            }
            (Value::List(pairs), Type::Map(map)) => {
                let (key, is) = (map.key(), map.value());
                let pairs = pairs.into_iter().map(|pair| match pair {
                    Value::Tuple(pair) => match <[Value; 2]>::try_from(pair) {
                        Ok([k, v]) => Ok((self.value(k, &key)?, self.value(v, &is)?)),
                        Err(_) => bail!("a pair of a map has not two parts"),
                    },
                    _ => bail!("a map has something else than pairs in it"),
                });
                Val::Map(pairs.collect::<wasmtime::Result<_>>()?)
            }
            (Value::Tuple(values), Type::Record(record)) => {
                let mut fields = Vec::with_capacity(values.len());
                for (value, field) in values.into_iter().zip(record.fields()) {
                    fields.push((field.name.to_owned(), self.value(value, &field.ty)?));
                }
                Val::Record(fields)
            }
            (Value::Tuple(values), Type::Tuple(tuple)) => {
                let values = values.into_iter().zip(tuple.types());
                let values = values.map(|(value, ty)| self.value(value, &ty));
                Val::Tuple(values.collect::<wasmtime::Result<_>>()?)
            }
            (Value::Variant(at, value), Type::Variant(variant)) => {
                let case = variant.cases().nth(at as usize).context("a case is none")?;
                let (name, ty) = (case.name.to_owned(), case.ty);
                Val::Variant(name, self.carried(value, ty.as_ref())?)
            }
            (Value::Enum(at), Type::Enum(cases)) => {
                Val::Enum(cases.names().nth(at as usize).context("a case is none")?.to_owned())
            }
            (Value::Option(value), Type::Option(option)) => Val::Option(match value {
                None => None,
                some => self.carried(some, Some(&option.ty()))?,
            }),
            (Value::Result(value), Type::Result(result)) => Val::Result(match value {
                Ok(value) => Ok(self.carried(value, result.ok().as_ref())?),
                Err(value) => Err(self.carried(value, result.err().as_ref())?),
            }),
            (Value::Flags(bytes), Type::Flags(flags)) => {
                let is_set =
                    |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
                let set = flags.names().enumerate().filter(|(at, _)| is_set(*at));
                Val::Flags(set.map(|(_, name)| name.to_owned()).collect())
            }
            (value, Type::Stream(ty)) => {
                let from = self.from(value)?;
                Val::Stream(later::stream_of(&mut *self.store, from, ty.ty())?)
            }
            (value, Type::Future(ty)) => {
                let from = self.from(value)?;
                Val::Future(later::future_of(&mut *self.store, from, ty.ty())?)
            }
            (_, ty) => bail!("a value is not of its type {ty:?}"),
        })
    }

    /// Where a stream or future comes from: the value itself, or the other side, later.
    fn from(&mut self, value: Value) -> wasmtime::Result<later::From> {
        Ok(match value {
            Value::Later(number) => {
                let arriving = self.later.get_mut(number).and_then(Option::take);
                later::From::Later(arriving.context("what comes later is not there")?)
            }
            Value::Ready(Some(value)) => later::From::There(*value),
            there => later::From::There(there),
        })
    }

    fn list(&mut self, values: Value, element: &Type) -> wasmtime::Result<Vec<Val>> {
        match values {
            Value::Bytes(bytes) if *element == Type::U8 => {
                let mut values = Vec::with_capacity(bytes.len());
                values.extend(bytes.into_iter().map(Val::U8));
                Ok(values)
            }
            Value::List(values) => {
                values.into_iter().map(|value| self.value(value, element)).collect()
            }
            _ => bail!("a value is no list"),
        }
    }
}
