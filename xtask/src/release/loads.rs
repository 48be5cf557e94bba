//! What a release is optimised for: our own guests, served and run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Builder;
use crate::bench::{load, server::Server};

/// Servers, with what they are told.
const SERVED: [(&str, &[&str]); 3] =
    [("p3-hello-http", &[]), ("p2-hello-http", &[]), ("p2-hello-http", &["--reuse", "1000000"])];
/// Commands.
const RUN: [&str; 3] = ["p1-hello", "p2-cli", "p3-cli"];
/// Requests a second: more than a binary that counts answers, so that it is busy throughout. Each is
/// sent in the end, however long that takes.
const RATE: f64 = 20_000.0;
/// How long a server may take to compile its guest, and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much of it.
pub(super) struct Effort {
    /// How long each server is under load.
    pub(super) load: Duration,
    /// How often each command is run.
    pub(super) runs: usize,
}

/// Enough to see what is used how much.
pub(super) const FULL_EFFORT: Effort = Effort { load: Duration::from_secs(4), runs: 20 };
/// Enough to have the guests' code in the cache.
pub(super) const ONCE: Effort = Effort { load: Duration::from_millis(100), runs: 1 };

/// Puts a binary under the loads. Its code cache is `code`; `prepare` sets up each command.
pub(super) fn drive(
    builder: &Builder<'_>,
    reef: &Path,
    code: &Path,
    effort: &Effort,
    prepare: impl Fn(&mut Command),
) -> Result<()> {
    let command = |file: &Path, arguments: &[&str]| {
        let mut command = Command::new(reef);
        command.args(arguments).arg(file).env("REEF_CACHE_DIR", code);
        prepare(&mut command);
        command
    };
    for (guest, arguments) in SERVED {
        let guest = builder.guest(guest)?;
        let start = |address: SocketAddr| {
            let mut command = command(&guest, &["serve", "--log", "warn"]);
            command.args(arguments).arg("--addr").arg(address.to_string());
            command
        };
        let log = builder.work.join("served.log");
        let server = Server::start("reef serve", start, "/", PATIENCE, &log)?;
        load::steady(server.address, "/", RATE, effort.load)?;
        server.end(PATIENCE)?;
    }
    for guest in RUN {
        let guest = builder.guest(guest)?;
        for _ in 0..effort.runs {
            let mut command = command(&guest, &["run"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().with_context(|| format!("cannot start {}", reef.display()))?;
        }
    }
    Ok(())
}
