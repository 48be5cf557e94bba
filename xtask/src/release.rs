//! `cargo xtask release`: the binary as it is shipped.
//!
//! Two builds and a rearrangement. The first build counts what runs how often under load; the second is
//! optimised by that; and its code is then laid out by the branches it takes. Each step that this
//! machine cannot do is left out, and said.

mod compiler;
mod layout;
mod loads;
mod profile;
mod symbols;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::bench::{
    machine,
    running::{end_on_interrupt, not_interrupted},
};
use crate::cache::{self, Cache, content_key};
use crate::guests::{self, Wanted};
use crate::process;
use crate::workspace::Workspace;

pub(crate) use compiler::stand_in;

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

    let profile = match profile::take(&builder) {
        Ok(profile) => Some(profile),
        Err(error) => {
            not_interrupted()?;
            eprintln!("The binary is not optimised by a profile: {error:#}");
            None
        }
    };
    let flags = profile.iter().map(|profile| format!("-Cprofile-use={}", profile.file.display()));
    let flags: Vec<_> = flags.collect();
    let bolt = layout::Bolt::find(&builder);
    let kept: &[String] = if bolt.is_ok() { &[layout::KEPT.to_owned()] } else { &[] };
    let linked = builder.build(OPTIMISED, &flags, kept)?;
    let ran =
        profile.as_ref().map(|profile| symbols::that_ran(&linked, &profile.ran)).transpose()?;
    let reef = match bolt.and_then(|bolt| bolt.arrange(&builder, &linked, ran.as_deref())) {
        Ok(arranged) => arranged,
        Err(error) => {
            not_interrupted()?;
            eprintln!("The binary is as the linker laid it out: {error:#}");
            linked
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

    /// The major version of its LLVM.
    fn llvm(&self) -> Result<u32> {
        let line = self.described.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let major = line.and_then(|line| line.split('.').next()?.parse().ok());
        major.context("rustc does not say which LLVM it has")
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
    /// the last one. All by one profile of Cargo's: a function's symbol has a digest of that, by which what was counted in
    /// one build is known in the other.
    fn build(&self, target: &str, flags: &[String], last: &[String]) -> Result<PathBuf> {
        let target = self.work.join(target);
        let mut cargo = self.workspace.cargo(self.cache);
        cargo.env("CARGO_TARGET_DIR", &target);
        let host = &self.compiler.host;
        let always = if host.contains("linux") { LINUX.as_slice() } else { &[] };
        let flags: Vec<&str> =
            always.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        // With a target that is named, build scripts and macros go without the flags.
        cargo.env("RUSTFLAGS", flags.join(" "));
        // What `reef --version` says, and a benchmark's record of it.
        let commit = machine::commit(self.workspace);
        cargo.env("REEF_VERSION", format!("{} ({commit})", env!("CARGO_PKG_VERSION")));
        compiler::without_foreign_libraries(&mut cargo)?;
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
    let mut folders = vec![workspace.path("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let member = entry?.path();
            if !member.join("Cargo.toml").exists() {
                folders.extend(member.is_dir().then_some(member));
                continue;
            }
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
