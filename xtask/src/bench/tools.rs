//! What is measured and what measures: installed or built when a benchmark first needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::machine;
use crate::cache::{self, Cache};
use crate::guests::{self, Wanted};
use crate::toolchain::debian;
use crate::workspace::{Workspace, cargo_program};
use crate::{process, release};

const WASMTIME: &str = "48.0.8";
/// The Debian suite whose wazero runs on older ones too.
const WAZERO_SUITE: &str = "forky";

/// Where everything is.
pub(super) struct Tools<'a> {
    workspace: &'a Workspace,
    cache: &'a Cache,
    /// The caller's choice.
    reef: Option<PathBuf>,
    /// For logs, inputs and outputs; empty at the start.
    scratch: PathBuf,
}

impl<'a> Tools<'a> {
    pub(super) fn new(
        workspace: &'a Workspace,
        cache: &'a Cache,
        reef: Option<PathBuf>,
    ) -> Result<Self> {
        Ok(Self { workspace, cache, reef, scratch: cache.scratch("bench")? })
    }

    /// A path for something that need not outlive this run.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// A guest, built if need be.
    pub(super) fn guest(&self, name: &str) -> Result<PathBuf> {
        let wanted = Wanted::named(vec![name.to_owned()]);
        guests::build(self.workspace, self.cache, &wanted)?.into_result()?;
        Ok(guests::artefact(self.cache, name))
    }

    /// `reef` as users install it, with a code cache of its own that lasts from run to run.
    pub(super) fn reef(&self) -> Result<Program> {
        let path = match &self.reef {
            Some(chosen) => std::path::absolute(chosen).context("--reef is not a path")?,
            None => release::build(self.workspace, self.cache)?,
        };
        Ok(Program::new(path).env("REEF_CACHE_DIR", self.cache.peer("reef-code")))
    }

    /// The commit of what is measured: the checkout's, unless somebody chose a binary, which says its own.
    pub(super) fn commit(&self) -> Result<String> {
        if self.reef.is_none() {
            return Ok(machine::commit(self.workspace));
        }
        let said = process::capture(self.reef()?.command().arg("--version"))?;
        let commit = said.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        Ok(commit.map_or_else(|| "unknown".to_owned(), |(commit, _)| commit.to_owned()))
    }

    /// The program that takes the steps of a start apart.
    pub(super) fn ladder(&self) -> Result<Program> {
        let mut command = self.cargo();
        // Together with `reef`, so that both are built from the same dependencies, once.
        command.args(["build", "--release", "--locked", "--package", "reef-cli"]);
        process::run(command.args([
            "--package",
            "reef-host",
            "--bin",
            "reef",
            "--example",
            "ladder",
        ]))?;
        let path = self.cache.release_target().join("release/examples/ladder");
        Ok(Program::new(path))
    }

    /// The program that looks routes up.
    pub(super) fn routes(&self) -> Result<Program> {
        let mut command = self.cargo();
        command.args(["build", "--release", "--locked", "--package", "reef-http"]);
        process::run(command.args(["--example", "routes"]))?;
        Ok(Program::new(self.cache.release_target().join("release/examples/routes")))
    }

    /// The servers' own clients.
    pub(super) fn key_value_client(&self) -> Result<Program> {
        let mut command = self.cargo();
        command.args(["build", "--release", "--locked", "--package", "reef-key-value"]);
        process::run(command.args(["--example", "client"]))?;
        Ok(Program::new(self.cache.release_target().join("release/examples/client")))
    }

    /// The native server.
    pub(super) fn hyper(&self) -> Result<Program> {
        let target = self.cache.release_target().join("hyper-hello");
        let mut command = self.cargo();
        command.env("CARGO_TARGET_DIR", &target);
        command.args(["build", "--release", "--locked", "--manifest-path"]);
        process::run(command.arg(self.workspace.path("bench/hyper-hello/Cargo.toml")))?;
        Ok(Program::new(target.join("release/hyper-hello")))
    }

    /// The `wasmtime` command, with a cache of its own.
    pub(super) fn wasmtime(&self) -> Result<Program> {
        let folder = self.cache.peer(&format!("wasmtime-{WASMTIME}"));
        let path = folder.join("bin/wasmtime");
        if !cache::is_finished(&folder, WASMTIME) {
            println!("installing wasmtime-cli {WASMTIME}; this takes minutes");
            cache::remove(&folder)?;
            let mut command = Command::new(cargo_program());
            process::outside_cargo(&mut command);
            command.args(["install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--root"]);
            process::run(command.arg(&folder))?;
            cache::finish(&folder, WASMTIME)?;
        }
        // Where `-C cache=y` keeps what it compiled.
        Ok(Program::new(path).env("XDG_CACHE_HOME", self.scratch("wasmtime-cache")))
    }

    pub(super) fn wazero(&self) -> Result<Program> {
        let folder = debian::unpack(self.cache, WAZERO_SUITE, "wazero")?;
        Ok(Program::new(folder.join("usr/bin/wazero")))
    }

    /// Of the package: the program itself does not know.
    pub(super) fn wazero_version(&self) -> Result<String> {
        let folder = debian::unpack(self.cache, WAZERO_SUITE, "wazero")?;
        let mut command = Command::new("zcat");
        let printed =
            process::capture(command.arg(folder.join("usr/share/doc/wazero/changelog.Debian.gz")))?;
        let version = printed.split(['(', ')']).nth(1).context("the changelog has no version")?;
        Ok(version.to_owned())
    }

    pub(super) fn wrk(&self) -> Result<PathBuf> {
        debian::ensure(&["wrk"])?;
        process::find("wrk").context("wrk is installed but not on PATH")
    }

    /// A program that does nothing: what a process costs by itself.
    pub(super) fn nothing(&self) -> Result<Program> {
        let (source, program) = (self.scratch("nothing.c"), self.scratch("nothing"));
        fs::write(&source, "int main(void) { return 0; }\n")
            .context("cannot write to the cache")?;
        process::capture(Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(&source))?;
        Ok(Program::new(program))
    }

    /// Compiles a module or component for `wasmtime --allow-precompiled`.
    pub(super) fn precompile(
        &self,
        wasmtime: &Program,
        wasm: &Path,
        flags: &[&str],
    ) -> Result<PathBuf> {
        let name = wasm.file_stem().context("a guest has a name")?;
        let name = format!("{}{}.cwasm", name.to_string_lossy(), flags.concat());
        let out = self.scratch(&name);
        let mut command = wasmtime.command();
        command.arg("compile").args(flags).arg("-o").arg(&out).arg(wasm);
        process::capture(&mut command)?;
        Ok(out)
    }

    fn cargo(&self) -> Command {
        let mut command = self.workspace.cargo(self.cache);
        command.env("CARGO_TARGET_DIR", self.cache.release_target());
        command
    }
}

/// A program with the environment it is always started with.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    env: Vec<(&'static str, PathBuf)>,
}

impl Program {
    fn new(path: PathBuf) -> Self {
        Self { path, env: Vec::new() }
    }

    fn env(mut self, name: &'static str, value: PathBuf) -> Self {
        self.env.push((name, value));
        self
    }

    /// Its file's name.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // What a developer's shell may have set and what costs time.
        command
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE")
            .env_remove("RUST_LOG");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What `--version` (or another argument) prints, in short.
    pub(super) fn version(&self, argument: &str) -> Result<String> {
        let printed = process::capture(self.command().arg(argument))?;
        let word = printed.split_whitespace().find(|word| {
            word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit())
        });
        match word {
            Some(word) => Ok(word.to_owned()),
            None => bail!("{} has no version", self.path.display()),
        }
    }
}
