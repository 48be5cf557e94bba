//! A short run of every fuzz target, with the stable compiler: what `cargo fuzz` passes to a nightly
//! one, minus the sanitizers, which only that has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cache::Cache;
use crate::process;
use crate::toolchain::{debian, rust};
use crate::workspace::Workspace;

/// Seconds for each target.
const SECONDS: u32 = 6;
/// MiB above which a target has a leak or a bomb.
const MEMORY: u32 = 2048;
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Cdebug-assertions",
];

/// Builds the package in `fuzz/` and runs each of its programs for some seconds.
pub(crate) fn run(workspace: &Workspace, cache: &Cache) -> Result<()> {
    let manifest = workspace.path("fuzz/Cargo.toml");
    if !manifest.is_file() {
        println!("there are no fuzz targets");
        return Ok(());
    }
    if process::find("c++").is_none() {
        debian::ensure(&["g++"])?; // libFuzzer is C++
    }
    let targets = build(workspace, cache, &manifest)?;
    let mut failed = Vec::new();
    for (name, program) in targets {
        println!("fuzzing {name} for {SECONDS} s");
        if let Err(error) = fuzz(workspace, cache, &name, &program) {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("crashed: {}", failed.join(", ")) }
}

/// Compiles the fuzz targets; returns each with its program.
fn build(workspace: &Workspace, cache: &Cache, manifest: &Path) -> Result<Vec<(String, PathBuf)>> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        executable: Option<PathBuf>,
        #[serde(default)]
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }

    // Naming the target keeps the flags off build scripts and procedural macros.
    let host = rust::host_triple(&mut rust::rustc())?;
    let mut command = workspace.cargo(cache);
    command.env("CARGO_TARGET_DIR", cache.fuzz_target());
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    command.args(["build", "--locked", "--bins", "--target", &host, "--message-format", "json"]);
    command.args(["--config", "profile.dev.opt-level=1", "--config", "profile.dev.debug=1"]);
    command.arg("--manifest-path").arg(manifest);
    let printed = process::capture(&mut command)?;
    let messages = printed.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut targets: Vec<_> =
        messages.filter_map(|message| Some((message.target?.name, message.executable?))).collect();
    targets.sort();
    Ok(targets)
}

fn fuzz(workspace: &Workspace, cache: &Cache, name: &str, program: &Path) -> Result<()> {
    let corpus = cache.corpus(name);
    fs::create_dir_all(&corpus).context("cannot write to the cache")?;
    let mut command = Command::new(program);
    // An input that crashes the target is kept beside the corpus, under this name.
    command
        .arg(format!("-artifact_prefix={}/crash-of-{name}-", corpus.with_file_name("").display()));
    command.arg(format!("-max_total_time={SECONDS}")).arg(format!("-rss_limit_mb={MEMORY}"));
    command.args(["-timeout=10", "-print_final_stats=1"]).arg(&corpus);
    // New inputs go to the first folder; those of the checkout are only read.
    let seeds = workspace.path("fuzz/corpus").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    process::capture(&mut command).map(drop)
}
