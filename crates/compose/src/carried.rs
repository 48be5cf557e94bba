//! What of a component's imports only a component of the same process can answer.

use std::sync::Arc;

use reef_wrpc::{Reason, Signature, Type as Wire, TypeError, Why};
use wit_parser::{Function, InterfaceId, Resolve, Type, TypeDefKind, WorldItem};

use crate::decode::Component;
use crate::{ComposeError, Part};

/// Types within each other that are looked at; more are refused.
const DEEPEST: usize = 100;

/// An interface that a component imports and that a component on another host cannot answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncarried {
    /// The interface, with its version.
    pub import: String,
    /// Why: the first of its functions that cannot be called, and what of it is in the way.
    pub reason: Reason,
}

/// The interfaces that a component imports and that cannot be called over wRPC. (A host decides the same by the types
/// of the runtime when it makes a workload; this needs none.)
///
/// A core module is looked at as the component that [`componentize`](crate::componentize) makes of it; one that it makes
/// none of imports no interfaces.
///
/// # Errors
/// When the component cannot be read, or is beyond WIT: then it is not known.
pub fn uncarried(part: Part<'_>) -> Result<Vec<Uncarried>, ComposeError> {
    let component = match Component::read(part) {
        Err(ComposeError::NoWorld { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let resolve = &component.resolve;
    let mut all = Vec::new();
    for (key, item) in &resolve.worlds[component.world].imports {
        let WorldItem::Interface { id, .. } = item else { continue };
        if let Err(reason) = interface(resolve, *id) {
            all.push(Uncarried { import: resolve.name_world_key(key), reason });
        }
    }
    Ok(all)
}

fn interface(resolve: &Resolve, id: InterfaceId) -> Result<(), Reason> {
    let interface = &resolve.interfaces[id];
    interface.functions.values().try_for_each(|function| carries(resolve, function))?;
    let resource = interface.types.iter().find(|(_, id)| is_resource(resolve, **id));
    match resource {
        Some((name, _)) => Err(Reason {
            function: name.clone(),
            place: "the interface".to_owned(),
            why: Why::Resource,
        }),
        None => Ok(()),
    }
}

/// Whether a type is a resource, by whatever names.
fn is_resource(resolve: &Resolve, id: wit_parser::TypeId) -> bool {
    let mut id = id;
    for _ in 0..DEEPEST {
        match resolve.types[id].kind {
            TypeDefKind::Resource => return true,
            TypeDefKind::Type(Type::Id(of)) => id = of,
            _ => return false,
        }
    }
    false
}

fn carries(resolve: &Resolve, function: &Function) -> Result<(), Reason> {
    let reason = |place: String| {
        let function = function.name.clone();
        move |why| Reason { function, place, why }
    };
    let mut params = Vec::new();
    for param in &function.params {
        let reason = reason(format!("its parameter `{}`", param.name));
        match wire(resolve, &param.ty, DEEPEST) {
            Ok(ty) if ty.is_later() && !function.kind.is_async() => return Err(reason(Why::Waits)),
            Ok(ty) => params.push(ty),
            Err(why) => return Err(reason(why)),
        }
    }
    let result = function.result.as_ref().map(|ty| wire(resolve, ty, DEEPEST)).transpose();
    let results: Vec<_> = result.map_err(reason("its result".to_owned()))?.into_iter().collect();
    let types = reason("a type of its own".to_owned());
    Signature::new(params, results).map(drop).map_err(|error| types(Why::Type(error)))
}

/// What a type is on the wire. How many types there are in one is bounded where the binary is validated.
fn wire(resolve: &Resolve, ty: &Type, depth: usize) -> Result<Wire, Why> {
    let depth = depth.checked_sub(1).ok_or(Why::Type(TypeError::TooDeep))?;
    let id = match ty {
        Type::Bool => return Ok(Wire::Bool),
        Type::U8 => return Ok(Wire::U8),
        Type::U16 => return Ok(Wire::U16),
        Type::U32 => return Ok(Wire::U32),
        Type::U64 => return Ok(Wire::U64),
        Type::S8 => return Ok(Wire::S8),
        Type::S16 => return Ok(Wire::S16),
        Type::S32 => return Ok(Wire::S32),
        Type::S64 => return Ok(Wire::S64),
        Type::F32 => return Ok(Wire::F32),
        Type::F64 => return Ok(Wire::F64),
        Type::Char => return Ok(Wire::Char),
        Type::String => return Ok(Wire::String),
        Type::ErrorContext => return Err(Why::ErrorContext),
        Type::Id(id) => *id,
    };
    let within = |ty: &Type| wire(resolve, ty, depth);
    let inner = |ty: &Type| within(ty).map(Arc::new);
    let maybe = |ty: &Option<Type>| ty.as_ref().map(inner).transpose();
    let element = |ty: &Option<Type>| match ty.as_ref().map(inner) {
        Some(Ok(ty)) if is_element(&ty) => Ok(Some(ty)),
        _ => Err(Why::Elements),
    };
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(match &resolve.types[id].kind {
        // A name for another one is on no level of its own.
        TypeDefKind::Type(ty) => within(ty)?,
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| within(&field.ty));
            Wire::Tuple(fields.collect::<Result<_, _>>()?)
        }
        TypeDefKind::Tuple(tuple) => {
            Wire::Tuple(tuple.types.iter().map(within).collect::<Result<_, _>>()?)
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| case.ty.as_ref().map(within).transpose());
            Wire::Variant(cases.collect::<Result<_, _>>()?)
        }
        TypeDefKind::Enum(cases) => Wire::Enum(count(cases.cases.len())),
        TypeDefKind::Flags(flags) => Wire::Flags(count(flags.flags.len())),
        TypeDefKind::Option(ty) => Wire::Option(inner(ty)?),
        TypeDefKind::Result(result) => Wire::Result(maybe(&result.ok)?, maybe(&result.err)?),
        TypeDefKind::List(ty) => Wire::List(inner(ty)?),
        TypeDefKind::FixedLengthList(ty, length) => Wire::FixedList(inner(ty)?, *length),
        TypeDefKind::Map(key, value) => Wire::map(within(key)?, within(value)?),
        TypeDefKind::Stream(ty) => Wire::Stream(element(ty)?),
        TypeDefKind::Future(ty) => Wire::Future(element(ty)?),
        TypeDefKind::Handle(_) | TypeDefKind::Resource | TypeDefKind::Unknown => {
            return Err(Why::Resource);
        }
    })
}

/// Whether a host reads and writes streams of these.
fn is_element(ty: &Wire) -> bool {
    matches!(
        ty,
        Wire::Bool
            | Wire::S8
            | Wire::U8
            | Wire::S16
            | Wire::U16
            | Wire::S32
            | Wire::U32
            | Wire::S64
            | Wire::U64
            | Wire::F32
            | Wire::F64
            | Wire::Char
            | Wire::String
    )
}

#[cfg(test)]
mod tests;
