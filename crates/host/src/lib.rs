//! Runs workloads: the library that the command line and a host of a lattice embed.
//!
//! [`Workload::prepare`] turns an artifact, its grants and its limits into something that can be
//! called; a trigger then calls it: [`command`] from the command line, [`invoke`] by the name of a
//! function, [`serve`] for HTTP. A [`deploy::Host`] does that for whole applications, and puts a new
//! revision of one in place of the other while it runs.

pub mod command;
pub mod deploy;
mod failure;
pub mod fetch;
pub mod invoke;
mod pipe;
pub mod remote;
pub mod serve;
mod task;
mod workload;

pub use failure::{Failure, Trap};
pub use workload::{PrepareError, Remote, Spec, Workload};
