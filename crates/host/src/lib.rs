//! Runs workloads: the library that the command line embeds, and later the lattice and the
//! containerd shim.
//!
//! [`Workload::prepare`] turns an artifact, its grants and its limits into something that can be
//! called; a trigger then calls it: [`command`] from the command line, [`invoke`] by the name of a
//! function, [`serve`] for HTTP.

pub mod command;
mod failure;
pub mod invoke;
pub mod serve;
mod workload;

pub use failure::{Failure, Trap};
pub use workload::{PrepareError, Spec, Workload};
