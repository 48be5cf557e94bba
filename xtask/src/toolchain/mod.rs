//! The compilers for guests, each installed when it is first needed and kept in the cache.

pub(crate) mod clang;
pub(crate) mod debian;
pub(crate) mod go;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod ruby;
pub(crate) mod rust;
pub(crate) mod rustup;
pub(crate) mod sysroot;
pub(crate) mod wit;
pub(crate) mod zig;
