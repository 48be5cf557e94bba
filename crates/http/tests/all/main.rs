//! The server over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod drain;
mod edge;
mod files;
mod http1;
mod http2;
mod load;
mod support;
mod timeouts;
mod tls;
