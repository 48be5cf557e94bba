//! What runs how often: counted by an instrumented build under the loads that matter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Builder, INSTRUMENTED};
use crate::bench::{load, server::Server};
use crate::process;
use crate::toolchain::debian;

/// Servers, with what they are told.
const SERVED: [(&str, &[&str]); 3] =
    [("p3-hello-http", &[]), ("p2-hello-http", &[]), ("p2-hello-http", &["--reuse", "1000000"])];
/// Commands, and how often each is run.
const RUN: [&str; 3] = ["p1-hello", "p2-cli", "p3-cli"];
const RUNS: usize = 20;
/// How long each server is under load.
const LOAD: Duration = Duration::from_secs(5);
/// More requests a second than any answers: each follows the one before at once.
const FULL: f64 = 1e6;
/// How long a server may take to compile its guest, and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts, and returns the file for the compiler.
pub(super) fn take(builder: &Builder<'_>) -> Result<PathBuf> {
    let profdata = profdata(builder)?;
    let raw = builder.cache.scratch("release-profile")?;
    let flags = [format!("-Cprofile-generate={}", raw.display())];
    let reef = builder.build(INSTRUMENTED, &flags, &[])?;
    let code = builder.cache.scratch("release-code")?;
    let command = |file: &Path, arguments: &[&str]| {
        let mut command = Command::new(&reef);
        command.args(arguments).arg(file);
        command.env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"));
        command.env("REEF_CACHE_DIR", &code);
        command
    };
    for (guest, arguments) in SERVED {
        println!("Counting: reef serve {guest} {}", arguments.join(" "));
        let guest = builder.guest(guest)?;
        let start = |address: std::net::SocketAddr| {
            let mut command = command(&guest, &["serve", "--log", "warn"]);
            command.args(arguments).arg("--addr").arg(address.to_string());
            command
        };
        let log = builder.work.join("served.log");
        let server = Server::start("reef serve", start, "/", PATIENCE, &log)?;
        load::steady(server.address, "/", FULL, LOAD)?;
        server.end(PATIENCE)?;
    }
    for guest in RUN {
        println!("Counting: reef run {guest}");
        let guest = builder.guest(guest)?;
        for _ in 0..RUNS {
            let mut command = command(&guest, &["run"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().with_context(|| format!("cannot start {}", reef.display()))?;
        }
    }
    let merged = builder.work.join("profile");
    let mut merge = Command::new(profdata);
    merge.args(["merge", "--output"]).arg(&merged).arg(&raw);
    process::capture(&mut merge)?;
    fs::remove_dir_all(&raw)?;
    Ok(merged)
}

/// The tool that merges counts, of the compiler's own LLVM.
fn profdata(builder: &Builder<'_>) -> Result<PathBuf> {
    let sysroot = process::capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let own = Path::new(sysroot.trim()).join("lib/rustlib").join(&builder.compiler.host);
    let own = own.join("bin/llvm-profdata");
    if own.is_file() {
        return Ok(own);
    }
    let major = builder.compiler.llvm().context("rustc does not say which LLVM it has")?;
    let name = format!("llvm-profdata-{major}");
    if let Some(found) = process::find(&name) {
        return Ok(found);
    }
    if let Err(error) = debian::ensure(&[&format!("llvm-{major}")]) {
        bail!("{name} is missing; `rustup component add llvm-tools` brings it ({error:#})");
    }
    process::find(&name).with_context(|| format!("the package llvm-{major} has no {name}"))
}
