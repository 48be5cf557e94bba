//! What guests can import.

use reef_engine::Flavour;
use reef_interfaces::Scopes;
use wasmtime::{
    Linker, Module,
    component::{self, Component},
};
use wasmtime_wasi::p3;

use crate::{
    experimental_http,
    guest::{ComponentGuest, ModuleGuest},
    logging, next, otel, preview1, preview2, response, scratch, sockets, spin_http, tls, trace,
};

/// An import of a part of a composition, which has links of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartImport {
    /// Its whole name.
    pub import: String,
    /// The interface that it stands for.
    pub interface: String,
    /// Which part.
    pub part: u32,
}

const UNSTABLE: &str = "wasi_unstable";

/// Whether what a guest writes is counted: where it has a scratch directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// It is not.
    Plain,
    /// It is, and refused beyond the quota.
    Metered,
}

/// What a core module imports of `wasi_snapshot_preview1`, `wasi_unstable` and `wasi_experimental_http`. Linking is a part of
/// every short run, so what it does not import is left out.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn module_linker(module: &Module, storage: Storage) -> wasmtime::Result<Linker<ModuleGuest>> {
    let mut linker = Linker::new(module.engine());
    // A module may import the same function several times.
    linker.allow_shadowing(true);
    let mut unstable = false;
    for import in module.imports() {
        match import.module() {
            preview1::MODULE => {
                preview1::define(&mut linker, import.name())?;
                if storage == Storage::Metered {
                    scratch::define(&mut linker, import.name())?;
                }
            }
            UNSTABLE => unstable = true,
            experimental_http::MODULE => experimental_http::define(&mut linker, import.name())?,
            _ => {}
        }
    }
    if unstable && storage == Storage::Metered {
        return Err(unmetered());
    }
    if unstable {
        wasmtime_wasi::p0::add_to_linker_async(&mut linker, ModuleGuest::wasi)?;
        preview1::define_exit(&mut linker, UNSTABLE)?;
    }
    linker.allow_shadowing(false);
    Ok(linker)
}

/// What a guest writes by this would not be counted.
fn unmetered() -> wasmtime::Error {
    wasmtime::Error::msg(
        "it has a scratch directory, whose quota Reef does not keep for wasi_unstable: \
         grant it a directory in `dirs` instead, or build it for wasi_snapshot_preview1",
    )
}

/// The imports of a component: WASI 0.2, and WASI 0.3 for the flavour that has it. Packages that it
/// does not import from are left out, for the same reason. `parts`: what parts of it have for their own.
///
/// With it comes which imports have links of their own, for [`World::with_scopes`](crate::World::with_scopes).
///
/// # Errors
/// When more imports have links of their own than are counted.
pub fn component_linker(
    component: &Component,
    flavour: Flavour,
    storage: Storage,
    parts: &[PartImport],
) -> wasmtime::Result<(component::Linker<ComponentGuest>, Scopes)> {
    let engine = component.engine();
    let of = component.component_type();
    // What is imported under a label is of a package, too: its types are imported by their own names.
    let imports: Vec<&str> = of.imports(engine).map(|(name, _)| name).collect();
    let wanted = |package: &str| imports.iter().any(|name| name.starts_with(package));
    let mut linker = packages_linker(engine, flavour, wanted)?;
    let part = |name: &str| {
        let part = parts.iter().find(|part| part.import == name)?;
        Some((part.part, &*part.interface))
    };
    let concurrent = flavour == Flavour::Concurrent;
    let scopes = reef_interfaces::add_scoped(&mut linker, component, concurrent, part)?;
    if storage == Storage::Metered && wanted("wasi:filesystem/") {
        scratch::add_to_linker(&mut linker, flavour)?;
    }
    Ok((linker, scopes))
}

/// The interfaces of the packages that are `wanted`, each asked for as `wasi:NAME/`.
pub(crate) fn packages_linker(
    engine: &wasmtime::Engine,
    flavour: Flavour,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<component::Linker<ComponentGuest>> {
    let mut linker = component::Linker::new(engine);
    let concurrent = flavour == Flavour::Concurrent;
    preview2::add_to_linker(&mut linker, &wanted)?;
    if concurrent {
        if wanted("wasi:cli/") {
            p3::cli::add_to_linker(&mut linker)?;
        }
        if wanted("wasi:clocks/") {
            p3::clocks::add_to_linker(&mut linker)?;
        }
        if wanted("wasi:filesystem/") {
            p3::filesystem::add_to_linker(&mut linker)?;
        }
        if wanted("wasi:random/") {
            p3::random::add_to_linker(&mut linker)?;
        }
    }
    if wanted("wasi:sockets/") {
        sockets::check_names(&mut linker)?;
        if concurrent {
            p3::sockets::add_to_linker(&mut linker)?;
            sockets::check_names_concurrent(&mut linker)?;
        }
    }
    if wanted("wasi:tls/") {
        tls::add_to_linker(&mut linker, concurrent)?;
    }
    spin_http::add_to_linker(&mut linker, &wanted)?;
    reef_interfaces::add_to_linker(&mut linker, concurrent, &wanted)?;
    logging::add_to_linker(&mut linker, &wanted)?;
    otel::add_to_linker(&mut linker, &wanted)?;
    if wanted("wasi:http/") {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        if concurrent {
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
            response::read_early(&mut linker)?;
            trace::follow_callers(&mut linker)?;
            next::add_to_linker(&mut linker)?;
        }
    }
    Ok(linker)
}
