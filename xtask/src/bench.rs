//! `cargo xtask bench`: Reef beside its peers, alternately, on the same machine and in the same run.
//! What it measures and what was promised is in `bench/README.md`; results go to `bench/runs/`.

mod apps;
mod blobs;
mod client;
mod compute;
mod density;
mod files;
mod http;
mod key_value;
mod ladder;
mod lattice;
pub(crate) mod load;
pub(crate) mod machine;
mod neighbours;
mod overhead;
mod record;
mod routes;
pub(crate) mod running;
pub(crate) mod server;
mod start;
mod statistics;
mod stream;
mod subject;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::cache::Cache;
use crate::workspace::Workspace;

use machine::Machine;
use record::{Bench, Results};
use running::not_interrupted;
use tools::Tools;

#[derive(Args)]
pub(crate) struct Options {
    /// Run these only (all without a name)
    #[arg(value_enum)]
    names: Vec<Name>,
    /// How often each program has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each load lasts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// One short round of little, to see that everything works; nothing is recorded
    #[arg(long)]
    quick: bool,
    /// Measure this `reef` instead of building the checkout's
    #[arg(long, value_name = "FILE")]
    reef: Option<PathBuf>,
    /// Folder for the results [default: bench/runs/DATE-MACHINE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Requests per second and their latency, beside native hyper and `wasmtime serve`
    Http,
    /// A whole process that says hello, beside `wasmtime run`
    Start,
    /// The steps of a start, each by itself
    Ladder,
    /// A route among ten thousand
    Routes,
    /// What deadlines and metering cost
    Overhead,
    /// A server whose other requests compute without end
    Neighbours,
    /// A thousand components in one process
    Density,
    /// 4 GiB through a function
    Stream,
    /// Applications: ready, replaced under load; CGI-style handlers
    Apps,
    /// Values by their keys from inside a request, beside the servers' own clients
    KeyValue,
    /// A large object through a guest, beside a copy
    Blobs,
    /// Hosts of a lattice: placed, changed, healed
    Lattice,
    /// A guest that uses many small files, beside `wasmtime run`
    Files,
    /// A compute loop, beside wasmtime and wazero
    #[value(alias = "run")]
    Compute,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: u32,
    load: Duration,
    quick: bool,
}

impl Effort {
    /// A number of repetitions that a quick run cuts short.
    fn times(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    running::end_on_interrupt()?;
    let effort = if options.quick {
        Effort { rounds: 1, load: Duration::from_secs(1), quick: true }
    } else {
        let load = Duration::from_secs(options.seconds);
        Effort { rounds: options.rounds, load, quick: false }
    };
    let names = if options.names.is_empty() { Name::value_variants() } else { &*options.names };

    let machine = Machine::look();
    let folder = match &options.out {
        Some(folder) => Some(folder.clone()),
        None if options.quick => None,
        None => {
            let name = format!("{}-{}", machine::today()?, machine.slug());
            Some(workspace.path("bench/runs").join(name))
        }
    };
    let busy = machine::load_average();
    if busy > 0.3 {
        eprintln!("this machine is not quiet (load average {busy}): figures are preliminary");
    }

    let tools = Tools::new(workspace, cache, options.reef.clone())?;
    let mut failed = Vec::new();
    for name in names {
        let title =
            name.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned());
        println!("\n=== {title}");
        let outcome = one(*name, &tools, effort);
        not_interrupted()?;
        match outcome {
            Ok(bench) => {
                println!("{}", bench.summary(&title));
                if let Some(folder) = &folder {
                    let mut results = Results::open(folder, &machine);
                    results.benches.insert(title, bench);
                    results.write(folder)?;
                }
            }
            Err(error) => {
                eprintln!("{title}: {error:#}");
                failed.push(title);
            }
        }
    }
    if let Some(folder) = &folder {
        println!("results: {}", folder.display());
    }
    if failed.is_empty() { Ok(()) } else { bail!("could not be measured: {}", failed.join(", ")) }
}

fn one(name: Name, tools: &Tools<'_>, effort: Effort) -> Result<Bench> {
    let mut bench = Bench {
        started: machine::now()?,
        commit: tools.commit()?,
        rounds: effort.rounds,
        seconds: effort.load.as_secs(),
        ..Bench::default()
    };
    let measure = match name {
        Name::Http => http::measure,
        Name::Start => start::measure,
        Name::Ladder => ladder::measure,
        Name::Routes => routes::measure,
        Name::Overhead => overhead::measure,
        Name::Neighbours => neighbours::measure,
        Name::Density => density::measure,
        Name::Stream => stream::measure,
        Name::Apps => apps::measure,
        Name::KeyValue => key_value::measure,
        Name::Blobs => blobs::measure,
        Name::Lattice => lattice::measure,
        Name::Files => files::measure,
        Name::Compute => compute::measure,
    };
    measure(tools, effort, &mut bench)?;
    bench.load_average[1] = machine::load_average();
    Ok(bench)
}
