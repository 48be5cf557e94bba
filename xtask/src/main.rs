//! The project's own commands: `cargo xtask guests`, `cargo xtask runtimes`, `cargo xtask servers`,
//! `cargo xtask test`, `cargo xtask soak`, `cargo xtask demo`.
//!
//! Each installs what it misses. Nothing that is fetched or built for guests lies in the checkout:
//! it is kept under `$REEF_CACHE` (`~/.cache/reef` without it).

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "tests fail by panicking"
    )
)]

mod bench;
mod cache;
mod demo;
mod fuzz;
mod guests;
mod picture;
mod process;
mod release;
mod room;
mod runtimes;
mod servers;
mod soak;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use cache::Cache;
use guests::Wanted;
use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build guests, run every test, start the demo")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the guest programs that the tests run; only what is missing or changed
    Guests {
        /// Build these only (all without a name)
        names: Vec<String>,
    },
    /// Build the language runtimes of workers; only what is missing or changed
    Runtimes(runtimes::Options),
    /// Install the servers that the tests start: Redis, PostgreSQL, MariaDB, Mosquitto, NATS, a registry
    Servers,
    /// Install what is missing, then run every test
    Test(test::Options),
    /// Run the controller's simulator and the planner's property tests over ever new seeds
    ///
    /// Each seed that fails is printed with the command that repeats it, and then the exit status is not 0.
    Soak(soak::Options),
    /// Install what is missing, build, start the example application, print its URLs
    Demo(demo::Options),
    /// Build `reef` as it is shipped: optimised, what a start needs laid out together
    Release(release::Options),
    /// Install peers, then measure Reef beside them
    Bench(bench::Options),
}

fn main() -> ExitCode {
    if let Some(ended) = release::stand_in() {
        return ended;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let cache = Cache::open()?;
    match &arguments.command {
        Command::Guests { names } => {
            guests::build(&workspace, &cache, &Wanted::named(names.clone()))?.into_result()
        }
        Command::Runtimes(options) => runtimes::run(&workspace, &cache, options),
        Command::Servers => servers::run(&cache),
        Command::Test(options) => test::run(&workspace, &cache, options),
        Command::Soak(options) => soak::run(&workspace, &cache, options),
        Command::Demo(options) => demo::run(&workspace, &cache, options),
        Command::Release(options) => release::run(&workspace, &cache, options),
        Command::Bench(options) => bench::run(&workspace, &cache, options),
    }
}
