//! What can be carried.

use std::sync::Arc;

use reef_wrpc::{Reason, Signature, Type as Wire, TypeError, Why};
use wasmtime::{
    Engine,
    component::{
        Type,
        types::{ComponentFunc, ComponentInstance, ComponentItem},
    },
};

/// Values within each other that are looked at; more are refused.
const DEEPEST: usize = 100;

/// What a function is on the wire.
///
/// # Errors
/// When it cannot be carried.
pub fn carries(name: &str, function: &ComponentFunc) -> Result<Signature, Reason> {
    let reason = |place: String| {
        let function = name.to_owned();
        move |why| Reason { function, place, why }
    };
    let mut params = Vec::new();
    for (param, ty) in function.params() {
        let reason = reason(format!("its parameter `{param}`"));
        match wire(&ty, DEEPEST) {
            Ok(ty) if ty.is_later() && !function.async_() => return Err(reason(Why::Waits)),
            Ok(ty) => params.push(ty),
            Err(why) => return Err(reason(why)),
        }
    }
    let mut results = Vec::new();
    for ty in function.results() {
        results.push(wire(&ty, DEEPEST).map_err(reason("its result".to_owned()))?);
    }
    let types = reason("a type of its own".to_owned());
    Signature::new(params, results).map_err(|error| types(Why::Type(error)))
}

/// The functions of an interface, if all of it can be carried.
///
/// # Errors
/// When one cannot, or it has more than functions and types of values.
pub fn interface(
    engine: &Engine,
    instance: &ComponentInstance,
) -> Result<Vec<(String, ComponentFunc)>, Reason> {
    let mut functions = Vec::new();
    for (name, item) in instance.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(function) => {
                carries(name, &function)?;
                functions.push((name.to_owned(), function));
            }
            ComponentItem::Type(_) => {}
            _ => {
                let place = "the interface".to_owned();
                return Err(Reason { function: name.to_owned(), place, why: Why::Resource });
            }
        }
    }
    Ok(functions)
}

/// Whether Wasmtime reads and writes streams of these by types that are known here.
fn is_element(ty: &Type) -> bool {
    matches!(
        ty,
        Type::Bool
            | Type::S8
            | Type::U8
            | Type::S16
            | Type::U16
            | Type::S32
            | Type::U32
            | Type::S64
            | Type::U64
            | Type::Float32
            | Type::Float64
            | Type::Char
            | Type::String
    )
}

fn wire(ty: &Type, depth: usize) -> Result<Wire, Why> {
    let depth = depth.checked_sub(1).ok_or(Why::Type(TypeError::TooDeep))?;
    let inner = |ty: &Type| wire(ty, depth).map(Arc::new);
    let maybe = |ty: Option<Type>| ty.map(|ty| inner(&ty)).transpose();
    let element = |ty: Option<Type>| match ty {
        Some(ty) if is_element(&ty) => inner(&ty).map(Some),
        _ => Err(Why::Elements),
    };
    Ok(match ty {
        Type::Bool => Wire::Bool,
        Type::S8 => Wire::S8,
        Type::U8 => Wire::U8,
        Type::S16 => Wire::S16,
        Type::U16 => Wire::U16,
        Type::S32 => Wire::S32,
        Type::U32 => Wire::U32,
        Type::S64 => Wire::S64,
        Type::U64 => Wire::U64,
        Type::Float32 => Wire::F32,
        Type::Float64 => Wire::F64,
        Type::Char => Wire::Char,
        Type::String => Wire::String,
        Type::List(list) => Wire::List(inner(&list.ty())?),
        Type::FixedLengthList(list) => Wire::FixedList(inner(&list.ty())?, list.len()),
        Type::Map(map) => Wire::map(wire(&map.key(), depth)?, wire(&map.value(), depth)?),
        Type::Record(record) => {
            let fields = record.fields().map(|field| wire(&field.ty, depth));
            Wire::Tuple(fields.collect::<Result<_, _>>()?)
        }
        Type::Tuple(tuple) => {
            let types = tuple.types().map(|ty| wire(&ty, depth));
            Wire::Tuple(types.collect::<Result<_, _>>()?)
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| case.ty.map(|ty| wire(&ty, depth)).transpose());
            Wire::Variant(cases.collect::<Result<_, _>>()?)
        }
        Type::Enum(cases) => Wire::Enum(u32::try_from(cases.names().len()).unwrap_or(u32::MAX)),
        Type::Option(option) => Wire::Option(inner(&option.ty())?),
        Type::Result(result) => Wire::Result(maybe(result.ok())?, maybe(result.err())?),
        Type::Flags(flags) => Wire::Flags(u32::try_from(flags.names().len()).unwrap_or(u32::MAX)),
        Type::Stream(stream) => Wire::Stream(element(stream.ty())?),
        Type::Future(future) => Wire::Future(element(future.ty())?),
        Type::Own(_) | Type::Borrow(_) => return Err(Why::Resource),
        Type::ErrorContext => return Err(Why::ErrorContext),
    })
}
