//! What brings a lattice to what is wanted of it.
//!
//! | part | what for |
//! | --- | --- |
//! | [`Core`] | the reconciler and its lease, as a state machine: what happens goes in, writes and a time to wake come out |
//! | [`Controller`] | the core on a lattice: watches, hears, writes |
//! | [`api`] | requests of clients on the bus, and the [`Client`](api::Client) that sends them |
//! | [`autoscale`] | from load to a number of instances |
//! | [`wadm`] | the interface of wadm, for clients that are there already |
//!
//! Any number of controllers run at once. All of them follow the store and the hosts' heartbeats and answer clients;
//! one of them, by a lease, writes what hosts are to do. Each of its writes expects the revision that it knows and is
//! given up when the lease ends, so one that was deposed without noticing cannot act.
//!
//! Everything is level-triggered: the core looks at all that is wanted and all that is heard, and a write that was lost,
//! refused or done twice is made good by looking again. Once everything is as it is wanted, nothing is written.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

pub mod api;
pub mod autoscale;
mod core;
mod driver;
#[cfg(test)]
mod simulator;
pub mod wadm;

pub use self::core::{
    AppKey, Core, Host, Kept, Name, Note, Outcome, Records, Settings, Turn, Wanted, Write,
};
pub use self::driver::{Controller, Options, Retention};
