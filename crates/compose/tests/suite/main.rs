//! What the crate promises, shown on components made here from WIT.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test says enough"
)]

mod guests;
mod hostile;
mod links;
mod middleware;
mod modules;
mod own;
mod without_grants;
