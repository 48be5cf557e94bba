//! The real binary, over real sockets, files and pipes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod build;
mod cache;
mod capabilities;
mod check;
mod client;
mod dev;
mod formats;
mod help;
mod host;
mod inspect;
mod invoke;
mod languages;
mod manage;
mod messages;
mod network;
mod new;
mod origin;
mod process;
mod run;
mod serve;
mod serve_faults;
mod serve_limits;
mod serve_outbound;
mod serve_telemetry;
mod serve_tls;
mod server;
mod sites;
mod sources;
mod support;
mod swap;
mod tasks;
mod test_command;
mod up;
