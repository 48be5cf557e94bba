//! The Rust toolchain that rustup manages, and its targets.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::rust::{RustToolchain, rustc};
use crate::process;

/// Seconds that `rustup target add` may take: without a network it would retry for long.
const PATIENCE: &str = "180";

/// The toolchain in use, if it has the standard library of `target` or rustup can add it.
pub(super) fn with_target(target: &str) -> Result<Option<RustToolchain>> {
    if !has_std(target)? {
        let Some(rustup) = process::find("rustup") else { return Ok(None) };
        eprintln!("adding the Rust target {target}");
        let mut add = Command::new("timeout");
        add.arg(PATIENCE).arg(rustup).args(["target", "add", target]);
        if let Err(error) = process::capture(&mut add) {
            eprintln!("{error:#}");
            return Ok(None);
        }
        if !has_std(target)? {
            return Ok(None);
        }
    }
    let stamp = format!("rustup {}", process::capture(rustc().arg("-vV"))?);
    Ok(Some(RustToolchain { rustc: None, stamp }))
}

/// The compiler prints the folder of a target's libraries even when there are none, so look inside.
fn has_std(target: &str) -> Result<bool> {
    let folder = process::capture(rustc().args(["--print", "target-libdir", "--target", target]))?;
    let Ok(entries) = fs::read_dir(Path::new(folder.trim())) else { return Ok(false) };
    Ok(entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    }))
}
