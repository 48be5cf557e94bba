//! Zig: the official toolchain as PyPI carries it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::python;
use crate::cache::Cache;
use crate::process;

const REQUIREMENT: &str = "ziglang==0.17.0";
pub(crate) const STAMP: &str = REQUIREMENT;

/// Builds one Zig file as a WASI 0.1 command.
pub(crate) fn build(cache: &Cache, source: &Path, out: &Path) -> Result<()> {
    let python = python::environment(cache, REQUIREMENT)?.join("python");
    let scratch = cache.scratch("zig")?;
    let mut command = Command::new(python);
    command.current_dir(&scratch).args(["-m", "ziglang", "build-exe", "-target", "wasm32-wasi"]);
    command.args(["-O", "ReleaseSmall"]).arg(source);
    command.arg(format!("-femit-bin={}", out.display()));
    command.env("ZIG_GLOBAL_CACHE_DIR", cache.toolchain("zig-cache"));
    command.env("ZIG_LOCAL_CACHE_DIR", &scratch);
    process::capture(&mut command).map(drop)
}
