//! Functions of core modules.

use std::sync::Arc;

use reef_engine::Activity;
use reef_wasi::{ModuleGuest, Stdio};
use wasmtime::{ExternType, FuncType, InstancePre, Val, ValType};

use super::{Call, Running, function};
use crate::{Failure, Workload};

/// Called before any other export of a reactor
/// (<https://github.com/WebAssembly/WASI/blob/main/legacy/application-abi.md>).
const INITIALIZE: &str = "_initialize";

/// A function of a module with its arguments read: everything but the call itself.
pub(super) fn prepare(
    workload: &Workload,
    pre: &InstancePre<ModuleGuest>,
    call: &Call,
) -> Result<(Arc<Activity>, Running<Vec<String>>), Failure> {
    let refused = |reason| Failure::NotCallable { workload: workload.name().clone(), reason };
    let functions: Vec<(&str, FuncType)> = pre
        .module()
        .exports()
        .filter_map(|export| match export.ty() {
            ExternType::Func(ty) => Some((export.name(), ty)),
            _ => None,
        })
        .collect();
    let Some((name, ty)) = functions.iter().find(|(name, _)| *name == call.name()) else {
        let signatures: Vec<_> = functions.iter().map(|(name, ty)| signature(name, ty)).collect();
        let names = functions.iter().map(|(name, _)| *name);
        return Err(refused(function::no_export(call.name(), names, &signatures)));
    };
    let params = arguments(call, name, ty).map_err(refused)?;
    let mut results = vec![Val::I32(0); ty.results().len()];
    for ty in ty.results() {
        if !matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64) {
            return Err(refused(format!("`{name}` returns {ty}, which --invoke cannot print")));
        }
    }

    let initialize = *name != INITIALIZE
        && functions.iter().any(|(name, ty)| {
            *name == INITIALIZE && ty.params().len() == 0 && ty.results().len() == 0
        });
    let name = (*name).to_owned();
    let guest = workload.world.module(&[], &[], Stdio::Inherit)?;
    let (mut store, activity) =
        workload.engine.store(workload.flavour, workload.world.share(), guest)?;
    let (pre, workload) = (pre.clone(), workload.name().clone());
    let running = Box::pin(async move {
        let called = async {
            let instance = pre.instantiate_async(&mut store).await?;
            if initialize {
                let initialize = instance.get_typed_func::<(), ()>(&mut store, INITIALIZE)?;
                initialize.call_async(&mut store, ()).await?;
            }
            let function = instance
                .get_func(&mut store, &name)
                .ok_or_else(|| wasmtime::format_err!("the function is gone"))?;
            function.call_async(&mut store, &params, &mut results).await
        }
        .await;
        match called {
            Ok(()) => Ok(Ok(results.iter().map(text).collect())),
            Err(error) => Failure::ended(error, store.data().limits(), workload).map(Err),
        }
    });
    Ok((activity, running))
}

fn arguments(call: &Call, name: &str, ty: &FuncType) -> Result<Vec<Val>, String> {
    let given = call.arguments();
    if given.len() != ty.params().len() {
        return Err(super::wrong_count(given.len(), ty.params().len(), &signature(name, ty)));
    }
    given
        .iter()
        .zip(ty.params())
        .enumerate()
        .map(|(index, (argument, ty))| {
            let text = call.text(argument);
            let wrong = |reason: String| {
                let at = call.point_at(argument.span.clone());
                format!("argument {}: {reason}{at}", index + 1)
            };
            if argument.source.is_some() {
                return Err(wrong(format!(
                    "expected {ty}; a core module takes numbers only, no @source"
                )));
            }
            let value = match ty {
                ValType::I32 => integer(text, 32).map(|bits| Val::I32(bits as i32)),
                ValType::I64 => integer(text, 64).map(Val::I64),
                ValType::F32 => text.parse::<f32>().ok().map(Val::from),
                ValType::F64 => text.parse::<f64>().ok().map(Val::from),
                _ => return Err(wrong(format!("a value of type {ty} cannot be written out"))),
            };
            value.ok_or_else(|| wrong(format!("`{text}` is not a number of type {ty}")))
        })
        .collect()
}

/// An integer, decimal or hexadecimal, that fits into so many bits with a sign or without.
fn integer(text: &str, bits: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((digits, 10), |digits| (digits, 16));
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    let fits = (-(1_i128 << (bits - 1))..1_i128 << bits).contains(&value);
    // Two's complement: the same bits, whichever way they are read.
    fits.then_some(value as i64)
}

fn text(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => number(f64::from(f32::from_bits(*bits)), f32::from_bits(*bits)),
        Val::F64(bits) => number(f64::from_bits(*bits), f64::from_bits(*bits)),
        other => format!("{other:?}"),
    }
}

fn number(value: f64, shown: impl std::fmt::Display) -> String {
    if value.is_nan() { "nan".to_owned() } else { shown.to_string() }
}

fn signature(name: &str, ty: &FuncType) -> String {
    let join = |types: Vec<String>| types.join(", ");
    let params = join(ty.params().map(|ty| ty.to_string()).collect());
    let results = join(ty.results().map(|ty| ty.to_string()).collect());
    match ty.results().len() {
        0 => format!("{name}({params})"),
        1 => format!("{name}({params}) -> {results}"),
        _ => format!("{name}({params}) -> ({results})"),
    }
}

#[cfg(test)]
mod tests;
