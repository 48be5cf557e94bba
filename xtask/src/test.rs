//! `cargo xtask test`: everything that CI checks, in the order in which failures are cheapest.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cache::Cache;
use crate::fuzz;
use crate::guests::{self, Wanted};
use crate::process;
use crate::room;
use crate::runtimes;
use crate::servers;
use crate::toolchain::debian;
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// Run one part only
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Handed on to the test runner: parts of test names
    filters: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Build the guests and the language runtimes
    Guests,
    /// Formatting and lints
    Lints,
    /// Tests inside the crates
    Unit,
    /// Tests that drive the real binary (and every other test under `tests/`)
    E2e,
    /// A short run of each fuzz target
    Fuzz,
}

/// Set to anything: guests whose toolchain cannot be had do not fail the run.
const ALLOW_MISSING: &str = "REEF_ALLOW_MISSING_GUESTS";

pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    let mut phases = Phases { done: Vec::new() };
    let wants = |part| options.only.is_none_or(|only| only == part);
    room::make(cache)?;
    if wants(Part::Lints) {
        phases.run("format", || format(workspace, cache));
    }
    if wants(Part::Guests) || wants(Part::E2e) {
        phases.run("guests", || build_guests(workspace, cache));
        phases.run("runtimes", || build_runtimes(workspace, cache));
    }
    if !matches!(options.only, Some(Part::Guests | Part::Lints | Part::Fuzz)) {
        phases.run("servers", || servers::run(cache));
    }
    match options.only {
        None => phases.run("tests", || tests(workspace, cache, &[], &options.filters)),
        Some(Part::Unit) => {
            phases.run("tests", || tests(workspace, cache, &["--lib", "--bins"], &options.filters));
        }
        Some(Part::E2e) => {
            phases.run("tests", || tests(workspace, cache, &["--test", "*"], &options.filters));
        }
        Some(_) => {}
    }
    if wants(Part::Unit) && options.filters.is_empty() {
        phases.run("doc tests", || doc_tests(workspace, cache));
    }
    if wants(Part::Lints) {
        phases.run("lints", || lints(workspace, cache));
    }
    if wants(Part::Fuzz) && options.filters.is_empty() {
        phases.run("fuzz", || fuzz::run(workspace, cache));
    }
    phases.summary()
}

fn build_guests(workspace: &Workspace, cache: &Cache) -> Result<()> {
    let outcome = guests::build(workspace, cache, &Wanted::named(Vec::new()))?.into_result();
    match outcome {
        Err(error) if std::env::var_os(ALLOW_MISSING).is_some() => {
            println!("going on, because {ALLOW_MISSING} is set: {error:#}");
            Ok(())
        }
        other => other,
    }
}

fn build_runtimes(workspace: &Workspace, cache: &Cache) -> Result<()> {
    match runtimes::run(workspace, cache, &runtimes::Options::default()) {
        Err(error) if std::env::var_os(ALLOW_MISSING).is_some() => {
            println!("going on, because {ALLOW_MISSING} is set: {error:#}");
            Ok(())
        }
        other => other,
    }
}

fn format(workspace: &Workspace, cache: &Cache) -> Result<()> {
    process::run(workspace.cargo(cache).args(["fmt", "--all", "--check"]))?;
    for manifest in [
        "guests/rust/Cargo.toml",
        "guests/spin/Cargo.toml",
        "guests/wasmcloud/Cargo.toml",
        "examples/Cargo.toml",
        "fuzz/Cargo.toml",
        "runtimes/Cargo.toml",
    ] {
        let manifest = workspace.path(manifest);
        if manifest.is_file() {
            let mut command = workspace.cargo(cache);
            command.args(["fmt", "--all", "--check", "--manifest-path"]).arg(manifest);
            process::run(&mut command)?;
        }
    }
    Ok(())
}

/// Every test but those in documentation, with nextest where it is installed.
fn tests(workspace: &Workspace, cache: &Cache, what: &[&str], filters: &[String]) -> Result<()> {
    install_build_tools()?;
    let mut command = workspace.cargo(cache);
    if process::find("cargo-nextest").is_some() {
        command.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]);
        if std::env::var_os("NEXTEST_TEST_THREADS").is_none() {
            command.env("NEXTEST_TEST_THREADS", at_once().to_string());
        }
        command.args(what).args(filters);
    } else {
        command.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
        // Documentation has its own phase.
        command.args(if what.is_empty() { &["--lib", "--bins", "--tests"] } else { what });
        command.arg("--").args(filters);
    }
    process::run(&mut command)
}

/// Tests that run at the same time: most wait for servers, for processes and for time to pass, and leave the cores to
/// others meanwhile.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + 2
}

fn doc_tests(workspace: &Workspace, cache: &Cache) -> Result<()> {
    process::run(workspace.cargo(cache).args(["test", "--locked", "--workspace", "--doc"]))
}

/// Clippy shares nothing with a build but the checkout: it checks each dependency once more.
fn lints(workspace: &Workspace, cache: &Cache) -> Result<()> {
    let mut command = workspace.cargo(cache);
    command.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    process::run(&mut command)
}

/// What the project's own crates need beyond a Rust toolchain and a C compiler.
fn install_build_tools() -> Result<()> {
    if process::find("cc").is_none() {
        debian::ensure(&["gcc", "libc6-dev"])?;
    }
    Ok(())
}

/// The phases of a run: one that fails does not keep the next from running.
struct Phases {
    done: Vec<Phase>,
}

struct Phase {
    name: &'static str,
    elapsed: Duration,
    outcome: Result<()>,
}

impl Phases {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let outcome = work();
        if let Err(error) = &outcome {
            eprintln!("{error:#}");
        }
        let elapsed = started.elapsed();
        println!("=== {name}: {} in {:.0} s", word(&outcome), elapsed.as_secs_f64());
        self.done.push(Phase { name, elapsed, outcome });
    }

    fn summary(self) -> Result<()> {
        println!("\n=== summary");
        for phase in &self.done {
            let seconds = phase.elapsed.as_secs_f64();
            println!("{:<10} {:<6} {seconds:>6.0} s", phase.name, word(&phase.outcome));
        }
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|phase| phase.outcome.is_err())
            .map(|phase| phase.name)
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}

fn word(outcome: &Result<()>) -> &'static str {
    if outcome.is_ok() { "ok" } else { "FAILED" }
}
