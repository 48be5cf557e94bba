//! `cargo xtask release`: the binary as it is shipped.
//!
//! Three builds. The first counts what runs how often under load; the second is optimised by that, and
//! shows which functions a start calls; the third has these side by side, so that a start touches few
//! pages. Each step that this machine cannot do is left out, and said.

mod profile;
mod trace;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::bench::running::{end_on_interrupt, not_interrupted};
use crate::cache::{self, Cache, content_key};
use crate::guests::{self, Wanted};
use crate::process;
use crate::workspace::Workspace;

/// Guests whose starts are laid out, the most common first.
const STARTS: [&str; 3] = ["p1-hello", "p2-cli", "p3-cli"];

/// The target directory of what counts, and that of what is shipped.
const INSTRUMENTED: &str = "instrumented";
const OPTIMISED: &str = "optimised";

/// Flags of every build on Linux.
///
/// The executable is linked at a fixed address anyway (docs/decisions/0006); code compiled for that has
/// no table of addresses to go through, most of which a start had to copy. And the generator of random
/// numbers, set up for each guest, does without asking the processor whether it could go faster.
const LINUX: [&str; 2] = ["-Crelocation-model=static", "--cfg=chacha20_backend=\"sse2\""];

#[derive(Args)]
pub(crate) struct Options {
    /// Where to put the binary
    #[arg(long, value_name = "FILE", default_value = "target/release/reef")]
    output: PathBuf,
}

pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    end_on_interrupt()?;
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
    let work = cache.release_target();
    let shipped = work.join("shipped");
    let builder = Builder { workspace, cache, compiler: Compiler::find()?, work };
    let key = content_key(&sources(workspace)?, &builder.compiler.described)?;
    if cache::is_finished(&shipped, &key) {
        return Ok(shipped.join("reef"));
    }
    cache::remove(&shipped)?;
    fs::create_dir_all(&shipped).with_context(|| format!("cannot make {}", shipped.display()))?;

    let flags = match profile::take(&builder) {
        Ok(profile) => vec![format!("-Cprofile-use={}", profile.display())],
        Err(error) => {
            not_interrupted()?;
            eprintln!("The binary is not optimised by a profile: {error:#}");
            Vec::new()
        }
    };
    let plain = builder.build(OPTIMISED, &flags, &[])?;
    let reef = match order(&builder, &plain) {
        Ok(order) => {
            let order = format!("-Clink-arg=-Wl,--symbol-ordering-file={}", order.display());
            let quiet = "-Clink-arg=-Wl,--no-warn-symbol-ordering".to_owned();
            builder.build(OPTIMISED, &flags, &[order, quiet])?
        }
        Err(error) => {
            not_interrupted()?;
            eprintln!("The functions of a start are not laid out together: {error:#}");
            plain
        }
    };
    fs::copy(&reef, shipped.join("reef")).context("cannot copy the binary")?;
    cache::finish(&shipped, &key)?;
    Ok(shipped.join("reef"))
}

/// The compiler that Cargo uses.
struct Compiler {
    described: String,
    host: String,
}

impl Compiler {
    fn find() -> Result<Self> {
        let described = process::capture(Command::new("rustc").arg("-vV"))?;
        let host = described.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("rustc does not say what it compiles for")?.to_owned();
        Ok(Self { described, host })
    }

    fn llvm(&self) -> Option<u32> {
        let line = self.described.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        line.split('.').next()?.parse().ok()
    }
}

/// What a build of the binary takes.
struct Builder<'a> {
    workspace: &'a Workspace,
    cache: &'a Cache,
    compiler: Compiler,
    /// Where everything goes that is made on the way.
    work: PathBuf,
}

impl Builder<'_> {
    /// Builds the binary in a target directory of its own, with flags for all crates and with flags for
    /// the last one.
    fn build(&self, target: &str, flags: &[String], last: &[String]) -> Result<PathBuf> {
        let target = self.work.join(target);
        let mut cargo = self.workspace.cargo(self.cache);
        cargo.env("CARGO_TARGET_DIR", &target);
        if target.ends_with(INSTRUMENTED) {
            // Minutes that change nothing of what is counted.
            cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
        }
        let host = &self.compiler.host;
        let always = if host.contains("linux") { LINUX.as_slice() } else { &[] };
        let flags: Vec<&str> =
            always.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        // With a target that is named, build scripts and macros go without the flags.
        cargo.env("RUSTFLAGS", flags.join(" "));
        cargo.args(["rustc", "--release", "--locked", "--package", "reef-cli", "--bin", "reef"]);
        cargo.args(["--target", host, "--"]).args(last);
        process::run(&mut cargo)?;
        Ok(target.join(host).join("release/reef"))
    }

    /// A guest, built if need be.
    fn guest(&self, name: &str) -> Result<PathBuf> {
        let wanted = Wanted::named(vec![name.to_owned()]);
        guests::build(self.workspace, self.cache, &wanted)?.into_result()?;
        Ok(guests::artefact(self.cache, name))
    }
}

/// What the binary is made of, and by.
fn sources(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut sources = vec![workspace.path("Cargo.toml"), workspace.path("Cargo.lock")];
    sources.extend(["xtask/src/release", "xtask/src/release.rs"].map(|part| workspace.path(part)));
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
fn order(builder: &Builder<'_>, reef: &Path) -> Result<PathBuf> {
    let code = builder.cache.scratch("release-code")?;
    let mut names = Vec::new();
    for guest in STARTS {
        let mut command = Command::new(reef);
        command.arg("run").arg(builder.guest(guest)?);
        command.env("REEF_CACHE_DIR", &code);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Fills the code cache: what compiles belongs to no start.
        command.status().with_context(|| format!("cannot start {}", reef.display()))?;
        names.extend(trace::functions_called(reef, &command)?);
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    println!("Laying out {} functions side by side", names.len());
    let path = builder.work.join("order");
    fs::write(&path, names.join("\n") + "\n")?;
    Ok(path)
}
