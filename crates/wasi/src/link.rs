//! What guests can import.

use reef_engine::Flavour;
use wasmtime::{Linker, component};
use wasmtime_wasi::I32Exit;

use crate::{
    guest::{ComponentGuest, ModuleGuest},
    next, response, sockets, trace,
};

/// The imports of core modules: `wasi_snapshot_preview1` and, where `unstable` asks for it,
/// `wasi_unstable`. Linking is a part of every short run, so what nobody imports is left out.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn module_linker(
    engine: &wasmtime::Engine,
    unstable: bool,
) -> wasmtime::Result<Linker<ModuleGuest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, ModuleGuest::wasi)?;
    if unstable {
        wasmtime_wasi::p0::add_to_linker_async(&mut linker, ModuleGuest::wasi)?;
    }
    // Wasmtime takes a status above 125 for a trap. Here it is the guest's own, as in any shell.
    linker.allow_shadowing(true);
    let modules = ["wasi_snapshot_preview1", "wasi_unstable"];
    for module in &modules[..1 + usize::from(unstable)] {
        linker.func_wrap(module, "proc_exit", |status: i32| -> wasmtime::Result<()> {
            Err(I32Exit(status).into())
        })?;
    }
    linker.allow_shadowing(false);
    Ok(linker)
}

/// The imports of components: WASI 0.2, and WASI 0.3 for the flavour that has it.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn component_linker(
    engine: &wasmtime::Engine,
    flavour: Flavour,
) -> wasmtime::Result<component::Linker<ComponentGuest>> {
    let mut linker = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sockets::check_names(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    if flavour == Flavour::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        sockets::check_names_concurrent(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        response::read_early(&mut linker)?;
        trace::follow_callers(&mut linker)?;
        next::add_to_linker(&mut linker)?;
    }
    Ok(linker)
}
