//! `cargo xtask release`: the binary as it is shipped.
//!
//! A short run spends much of its time on page faults, as the few thousand functions that it calls
//! lie scattered over a large binary. So the binary is built twice: the first one shows which
//! functions a start calls, the second one has them side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::cache::{self, Cache, content_key};
use crate::guests::{self, Wanted};
use crate::workspace::Workspace;
use crate::{process, trace};

/// Guests whose starts are laid out, the most common last: what it calls comes first.
const STARTS: [&str; 3] = ["p3-cli", "p2-cli", "p1-hello"];

#[derive(Args)]
pub(crate) struct Options {
    /// Where to put the binary
    #[arg(long, value_name = "FILE", default_value = "target/release/reef")]
    output: PathBuf,
}

pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    let built = build(workspace, cache)?;
    let output = std::path::absolute(&options.output).context("--output is not a path")?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(&built, &output).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{}", output.display());
    Ok(())
}

/// Builds the binary unless it is there already, and says where.
pub(crate) fn build(workspace: &Workspace, cache: &Cache) -> Result<PathBuf> {
    let target = cache.release_target();
    let (plain, ordered) = (target.join("release/reef"), target.join("ordered"));
    // Cargo itself would build anew each time, as one target gets two sets of flags.
    let compiler = process::capture(Command::new("rustc").arg("-vV"))?;
    let key = content_key(&sources(workspace)?, &compiler)?;
    if cache::is_finished(&ordered, &key) {
        return Ok(ordered.join("reef"));
    }
    let mut cargo = workspace.cargo(cache);
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.args(["build", "--release", "--locked", "--package", "reef-cli", "--bin", "reef"]);
    process::run(&mut cargo)?;

    let wanted = Wanted::named(STARTS.map(str::to_owned).to_vec());
    guests::build(workspace, cache, &wanted)?.into_result()?;
    cache::remove(&ordered)?;
    fs::create_dir_all(&ordered)?;
    match order(cache, &plain, &ordered) {
        Ok(order) => {
            let mut cargo = workspace.cargo(cache);
            cargo.env("CARGO_TARGET_DIR", &target);
            cargo.args([
                "rustc",
                "--release",
                "--locked",
                "--package",
                "reef-cli",
                "--bin",
                "reef",
            ]);
            cargo.arg("--");
            cargo.arg(format!("-Clink-arg=-Wl,--symbol-ordering-file={}", order.display()));
            cargo.arg("-Clink-arg=-Wl,--no-warn-symbol-ordering");
            process::run(&mut cargo)?;
        }
        Err(error) => {
            eprintln!("The functions of a start are not laid out together: {error:#}");
        }
    }
    fs::copy(&plain, ordered.join("reef"))?;
    cache::finish(&ordered, &key)?;
    Ok(ordered.join("reef"))
}

/// What the binary is made of.
fn sources(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut sources = vec![workspace.path("Cargo.toml"), workspace.path("Cargo.lock")];
    let crates = workspace.path("crates");
    for folder in [crates.clone(), crates.join("contracts")] {
        for entry in fs::read_dir(&folder)? {
            let member = entry?.path();
            for part in ["Cargo.toml", "build.rs", "src"] {
                let part = member.join(part);
                if part.exists() {
                    sources.push(part);
                }
            }
        }
    }
    sources.sort();
    Ok(sources)
}

/// Writes the names of the functions that a start calls, for the linker.
fn order(cache: &Cache, reef: &Path, folder: &Path) -> Result<PathBuf> {
    let mut names = Vec::new();
    for guest in STARTS.iter().rev() {
        let mut command = Command::new(reef);
        command.arg("run").arg(guests::artefact(cache, guest));
        command.env("REEF_CACHE_DIR", folder.join("code"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Fills the code cache: what compiles belongs to no start.
        command.status().with_context(|| format!("cannot start {}", reef.display()))?;
        names.extend(trace::functions_called(reef, &command)?);
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    println!("Laying out {} functions side by side", names.len());
    let path = folder.join("order");
    fs::write(&path, names.join("\n") + "\n")?;
    fs::remove_dir_all(folder.join("code"))?;
    Ok(path)
}
