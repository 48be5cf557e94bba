//! `cargo xtask soak`: the controller's simulator and the planner's property tests, over ever new seeds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::cache::Cache;
use crate::process;
use crate::workspace::Workspace;

/// Seeds of the simulator between two looks at the clock.
const SEEDS: u64 = 400;
/// Cases of each of the planner's properties, of one seed.
const CASES: u32 = 1000;
/// How often a run over seeds goes on after one that failed: more say nothing new.
const FAILURES: usize = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// Begin no more seeds after so many minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Begin no more after so many seeds of the simulator
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; without, one by the clock, so that each run has others
    #[arg(long)]
    first: Option<u64>,
}

/// Runs both by turns until the time, or the seeds, are used up. Each that fails is printed with what repeats it.
pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    let simulator = program(workspace, cache, "reef-controller")?;
    let planner = program(workspace, cache, "reef-planner")?;
    let until = Instant::now() + Duration::from_secs(options.minutes.saturating_mul(60));
    let first = options.first.unwrap_or_else(by_the_clock);
    let mut failed: Vec<String> = Vec::new();
    let mut done = 0u64;
    loop {
        let left = options.seeds.map_or(SEEDS, |all| all.saturating_sub(done).min(SEEDS));
        if left == 0 || Instant::now() >= until || failed.len() >= FAILURES {
            break;
        }
        let seed = first.saturating_add(done);
        for seed in simulate(&simulator, seed, left)? {
            let again = format!(
                "REEF_SEED={seed} cargo test -p reef-controller --lib simulator -- --nocapture"
            );
            println!("seed {seed} of the simulator fails; again: {again}");
            failed.push(again);
        }
        for test in check(&planner, seed)? {
            let again = format!(
                "PROPTEST_RNG_SEED={seed} PROPTEST_CASES={CASES} cargo test -p reef-planner --lib {test}"
            );
            println!("{test} fails with seed {seed}; again: {again}");
            failed.push(again);
        }
        done += left;
        println!("{done} seeds of the simulator, from {first} on; {} failures", failed.len());
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} failures; again:\n    {}", failed.len(), failed.join("\n    "))
}

/// Seconds since 1970, with room for as many seeds as a second can have.
fn by_the_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().saturating_mul(10_000)
}

/// Builds the unit tests of a package. The program that runs them.
fn program(workspace: &Workspace, cache: &Cache, package: &str) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }

    let mut command = workspace.cargo(cache);
    command.args(["test", "--locked", "--no-run", "--lib", "-p", package]);
    command.args(["--message-format", "json"]);
    println!("building the tests of {package}");
    let printed = process::capture(&mut command)?;
    let messages = printed.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let program = messages.filter_map(|message| message.executable).next_back();
    program.with_context(|| format!("cargo built no tests of {package}"))
}

/// Runs the simulator over some seeds. Those that failed.
fn simulate(program: &Path, first: u64, count: u64) -> Result<BTreeSet<u64>> {
    let mut command = Command::new(program);
    command.arg("simulator::").env("REEF_FIRST_SEED", first.to_string());
    command.env("REEF_SEEDS", count.to_string()).env_remove("REEF_SEED");
    let (printed, ended_well) = printed(&mut command)?;
    let failed: BTreeSet<u64> = printed.lines().filter_map(seed).collect();
    if !ended_well && failed.is_empty() {
        bail!("the simulator failed, and named no seed:\n{}", tail(&printed));
    }
    Ok(failed)
}

/// The seed that a line says has failed: `seed 17: not settled`.
fn seed(line: &str) -> Option<u64> {
    line.trim_start().strip_prefix("seed ")?.split_once(':')?.0.parse().ok()
}

/// Runs the planner's property tests with a seed. Those that failed.
fn check(program: &Path, seed: u64) -> Result<BTreeSet<String>> {
    let mut command = Command::new(program);
    command.args(["tests::properties", "tests::again"]);
    command.env("PROPTEST_RNG_SEED", seed.to_string());
    command.env("PROPTEST_CASES", CASES.to_string());
    let (printed, ended_well) = printed(&mut command)?;
    let failed: BTreeSet<String> = printed.lines().filter_map(test).collect();
    if !ended_well && failed.is_empty() {
        bail!("the planner's tests failed, and named none:\n{}", tail(&printed));
    }
    Ok(failed)
}

/// The test that a line says has failed: `test tests::again::it ... FAILED`.
fn test(line: &str) -> Option<String> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(name.to_owned())
}

/// What a program printed, and whether it ended well.
fn printed(command: &mut Command) -> Result<(String, bool)> {
    let output = command.stdin(Stdio::null()).output().context("cannot start a test program")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((text, output.status.success()))
}

fn tail(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{seed, test};

    #[test]
    fn what_failed_is_read_off_the_lines() {
        assert_eq!(seed("seed 17: not settled"), Some(17));
        assert_eq!(seed("    seed 4: controller 0 acts"), Some(4));
        assert_eq!(seed("1000 seeds: fine"), None);
        assert_eq!(test("test tests::again::it ... FAILED").as_deref(), Some("tests::again::it"));
        assert_eq!(test("test tests::again::it ... ok"), None);
    }
}
