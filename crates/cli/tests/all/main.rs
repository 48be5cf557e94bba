//! The real binary, over real sockets, files and pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod client;
mod serve;
mod server;
mod support;
