//! What guests can import.

use reef_engine::Flavour;
use wasmtime::{Linker, Module, component};

use crate::{
    guest::{ComponentGuest, ModuleGuest},
    next, preview1, sockets, trace,
};

const UNSTABLE: &str = "wasi_unstable";

/// What a core module imports of `wasi_snapshot_preview1` and `wasi_unstable`. Linking is a part of
/// every short run, so what it does not import is left out.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn module_linker(module: &Module) -> wasmtime::Result<Linker<ModuleGuest>> {
    let mut linker = Linker::new(module.engine());
    // A module may import the same function several times.
    linker.allow_shadowing(true);
    let mut unstable = false;
    for import in module.imports() {
        match import.module() {
            preview1::MODULE => preview1::define(&mut linker, import.name())?,
            UNSTABLE => unstable = true,
            _ => {}
        }
    }
    if unstable {
        wasmtime_wasi::p0::add_to_linker_async(&mut linker, ModuleGuest::wasi)?;
        preview1::define_exit(&mut linker, UNSTABLE)?;
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
        trace::follow_callers(&mut linker)?;
        next::add_to_linker(&mut linker)?;
    }
    Ok(linker)
}
