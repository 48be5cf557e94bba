//! The published interfaces of capabilities, as guests import them: an adapter for each version of each package.
//!
//! An adapter turns calls into uses of a workload's [`Links`] and [`Failure`](reef_capability::Failure)s into its
//! interface's own errors. It decides nothing: what is granted, limited and repeated is the link's.
//!
//! Another version is a file of WIT in `wit/`, a module that implements what is generated from it for [`View`],
//! a line in `add_to_linker`, and its names in [`PROVIDED`].

mod blob_store;
mod bus;
mod config;
mod instance;
mod key_value;
mod messaging;
mod pipe;
mod reader;
mod scope;
mod secrets;
mod servers;
mod sql;

use wasmtime::component::{HasData, Linker};

pub use instance::{Capabilities, Capable, Instance, Part, View};
pub use messaging::{BrokerMessage, Letter, StreamedMessage, Unhandled, WasiError};
pub use scope::{SCOPED, Scopes, add_scoped};

/// The interfaces that are offered, as `inspect` names them.
pub const PROVIDED: &[&[&str]] = &[
    blob_store::PROVIDED,
    bus::PROVIDED,
    config::PROVIDED,
    key_value::PROVIDED,
    messaging::PROVIDED,
    secrets::PROVIDED,
    servers::PROVIDED,
    sql::PROVIDED,
];

/// Packages that have asynchronous functions, in all versions that are offered: what imports one of them needs the
/// component model's concurrency.
pub const ASYNCHRONOUS: &[&str] = &[
    "spin:key-value",
    "spin:mqtt",
    "spin:mysql",
    "spin:redis",
    "spin:variables",
    "wasmcloud:blobstore",
    "wasmcloud:keyvalue",
];

/// Offers the packages that are `wanted`, each asked for by what its interfaces' names begin with;
/// [asynchronous](ASYNCHRONOUS) ones only if the linker's engine is `concurrent`.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    blob_store::add_to_linker(linker, concurrent, &wanted)?;
    bus::add_to_linker(linker, &wanted)?;
    config::add_to_linker(linker, concurrent, &wanted)?;
    key_value::add_to_linker(linker, concurrent, &wanted)?;
    messaging::add_to_linker(linker, concurrent, &wanted)?;
    servers::add_to_linker(linker, concurrent, &wanted)?;
    secrets::add_to_linker(linker, concurrent, &wanted)?;
    sql::add_to_linker(linker, concurrent, &wanted)
}

/// How the store's data lead to what an adapter works with.
struct OfInstance<T>(std::marker::PhantomData<T>);

impl<T: Capable> HasData for OfInstance<T> {
    type Data<'a> = View<'a>;
}
