//! Components' functions over the bus: an import that another host's export answers.
//!
//! [`carries`] says beforehand whether a function can be carried, and as what, or why not.
//! [`import_over_bus`] puts such functions into a linker, where calls go to a [`Callee`];
//! [`serve_export`] calls the export on the other side. Between them is `reef-rpc`.
//!
//! Values pass through Wasmtime's dynamic form ([`Val`](wasmtime::component::Val)). What that cannot
//! do is refused beforehand, each with its [`Reason`]:
//!
//! * resources: a handle means something to one store only, and nothing tells another host when it is
//!   dropped or its owner is gone;
//! * `error-context`, which wRPC has no form for;
//! * streams and futures whose elements are not numbers, `bool`, `char` or `string`: Wasmtime reads and
//!   writes those of types that are known when the host is compiled only;
//! * streams and futures as parameters of a function that is not `async`: nothing in the store moves
//!   while it waits.

mod carries;
mod export;
mod exported;
mod import;
mod later;
mod values;

pub use reef_wrpc::{Reason, Why};

pub use self::{
    carries::{carries, interface},
    export::serve_export,
    exported::Exported,
    import::{Callee, OptionsOf, Target, import_over_bus},
};
