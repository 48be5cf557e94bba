//! What runs how often: counted by an instrumented build under the loads that matter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{
    Builder, INSTRUMENTED,
    loads::{self, FULL_EFFORT},
};
use crate::process;
use crate::toolchain::debian;

/// Counts, and returns the file for the compiler.
pub(super) fn take(builder: &Builder<'_>) -> Result<PathBuf> {
    let profdata = profdata(builder)?;
    let raw = builder.cache.scratch("release-profile")?;
    let flags = [format!("-Cprofile-generate={}", raw.display())];
    let reef = builder.build(INSTRUMENTED, &flags, &[])?;
    let code = builder.cache.scratch("release-code")?;
    println!("Counting what runs how often");
    loads::drive(builder, &reef, &code, &FULL_EFFORT, |command| {
        command.env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"));
    })?;
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
    let major = builder.compiler.llvm()?;
    let name = format!("llvm-profdata-{major}");
    if let Some(found) = process::find(&name) {
        return Ok(found);
    }
    if let Err(error) = debian::ensure(&[&format!("llvm-{major}")]) {
        bail!("{name} is missing; `rustup component add llvm-tools` brings it ({error:#})");
    }
    process::find(&name).with_context(|| format!("the package llvm-{major} has no {name}"))
}
