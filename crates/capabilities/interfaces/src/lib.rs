//! The published interfaces of capabilities, as guests import them: an adapter for each version of each package.
//!
//! An adapter turns calls into uses of a workload's [`Links`] and [`Failure`](reef_capability::Failure)s into its
//! interface's own errors. It decides nothing: what is granted, limited and repeated is the link's.
//!
//! Another version is a file of WIT in `wit/`, a module that implements what is generated from it for [`View`],
//! a line in `add_to_linker`, and its names in [`PROVIDED`].

mod blob_store;
mod instance;
mod key_value;

use wasmtime::component::{HasData, Linker};

pub use instance::{Capabilities, Capable, Instance, View};

/// The interfaces that are offered, as `inspect` names them.
pub const PROVIDED: &[&[&str]] = &[key_value::PROVIDED, blob_store::PROVIDED];

/// Offers the packages that are `wanted`, each asked for by what its interfaces' names begin with.
///
/// # Errors
/// Never in practice: names are defined once each.
pub fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    key_value::add_to_linker(linker, &wanted)?;
    blob_store::add_to_linker(linker, &wanted)
}

/// How the store's data lead to what an adapter works with.
struct OfInstance<T>(std::marker::PhantomData<T>);

impl<T: Capable> HasData for OfInstance<T> {
    type Data<'a> = View<'a>;
}
