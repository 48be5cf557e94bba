//! Which Rust compiler builds guests: rustup's where it has the target or can get it, otherwise
//! Debian's with a standard library built here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{rustup, sysroot};
use crate::cache::Cache;
use crate::process;
use crate::workspace::cargo_program;

/// A Rust compiler that has the standard library of one target.
pub(crate) struct RustToolchain {
    /// The compiler, where it is not the one cargo finds by itself.
    pub(super) rustc: Option<PathBuf>,
    /// Changes when guests must be compiled again.
    pub(super) stamp: String,
}

impl RustToolchain {
    /// The toolchain for `target`, installed if it is missing.
    pub(crate) fn for_target(cache: &Cache, target: &str) -> Result<Self> {
        let debian = std::env::var("REEF_GUEST_TOOLCHAIN").is_ok_and(|choice| choice == "debian");
        if !debian {
            if let Some(toolchain) = rustup::with_target(target)? {
                return Ok(toolchain);
            }
            eprintln!("rustup has no target {target} and cannot get it: taking Debian's packages");
        }
        sysroot::with_target(cache, target)
    }

    pub(crate) fn stamp(&self) -> &str {
        &self.stamp
    }

    /// `cargo build --release --locked` for a target, in the workspace of `manifest`.
    pub(crate) fn build(&self, cache: &Cache, manifest: &Path, target: &str) -> Command {
        let mut command = Command::new(cargo_program());
        process::outside_cargo(&mut command);
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        command.env("CARGO_TARGET_DIR", cache.guest_target());
        command.args(["build", "--release", "--locked", "--target", target, "--manifest-path"]);
        command.arg(manifest);
        command
    }
}

/// The `rustc` that cargo would use.
pub(crate) fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The platform that a compiler runs on.
pub(crate) fn host_triple(rustc: &mut Command) -> Result<String> {
    let version = process::capture(process::outside_cargo(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
