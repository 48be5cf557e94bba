//! Several components as one, and core modules as components. Bytes in, bytes out.
//!
//! - [`plug`] satisfies imports of a component by exports of others.
//! - [`in_front`] puts HTTP middleware in front of a handler.
//! - [`componentize`] makes a component of a core module.
//! - [`uncarried`] says which imports only a part of the same composition can satisfy.
//!
//! What is composed is one component afterwards: one store, one memory limit, one set of grants. So a
//! part that is not to have the grants is cut off from them here: see [`Plug::inherit`].
//!
//! Every part has to be a component that WIT can describe, which is what toolchains make. No input makes
//! anything here panic, and sizes and nesting are bounded.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a failed test says enough"))]

mod carried;
mod componentize;
mod contain;
mod decode;
mod deny;
mod encode;
mod error;
mod graph;
mod middleware;
mod module;
mod name;
mod outer;
mod own;
mod plug;

pub use carried::{Uncarried, uncarried};
pub use componentize::{componentize, is_binding};
pub use error::{At, ComposeError, Listed};
pub use middleware::{HANDLERS, Layer, in_front};
pub use name::of_track;
pub use own::{Own, check_no_own, own_import};
pub use plug::{Plug, plug};

/// The largest part that is read, in bytes. Interpreters with their libraries are a tenth of it.
pub const MAX_PART: usize = 512 << 20;

/// Most parts of one composition.
pub const MAX_PARTS: usize = 256;

/// A component, or a core module that [`componentize`] makes one of.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What messages call it: the workload's name, or where it came from.
    pub name: &'a str,
    pub bytes: &'a [u8],
}
