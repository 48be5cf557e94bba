//! What a registry client is made from.

use std::{path::PathBuf, time::Duration};

/// What a [`Registry`](crate::Registry) is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where fetched artifacts are kept; without it, only for as long as this process runs.
    pub store: Option<PathBuf>,
    /// Bytes that may be kept. 4 GiB by default.
    pub store_limit: u64,
    /// Hosts, with a port or without one, that are spoken to without TLS, as this machine itself is.
    pub insecure: Vec<String>,
    /// The Bindle server of names that have none, such as `https://bindle.example.com/v1`.
    pub bindle_server: Option<String>,
    /// The largest artifact in bytes. 2 GiB by default, more than any engine takes.
    pub largest: u64,
    /// How often something is tried. 4 by default.
    pub tries: u32,
    /// Until there is a connection. 10 s by default.
    pub connect: Duration,
    /// Until the next piece of an answer. 30 s by default.
    pub stall: Duration,
    /// For one artifact, whatever is tried. 30 min by default.
    pub whole: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: None,
            store_limit: 4 << 30,
            insecure: Vec::new(),
            bindle_server: None,
            largest: 2 << 30,
            tries: 4,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            whole: Duration::from_secs(30 * 60),
        }
    }
}
