//! The arguments of the commands that talk to a host that runs.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};
use reef_grants::parse_duration;

use super::{LatticeArgs, Place, SourceArgs, parse_variable};

/// Which hosts are asked.
#[derive(Args, Debug)]
pub(crate) struct Hosts {
    /// The host's socket [default: all of this user]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

/// Which host is told.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// The host's socket [default: the only one there is, or the one with the application]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Ps {
    #[command(flatten)]
    pub(crate) hosts: Hosts,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// An application, or one workload of it: APPLICATION/WORKLOAD [default: all]
    pub(crate) name: Option<String>,
    /// Go on with what is logged from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many lines from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) tail: usize,
    /// Print lines as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) host: Host,
}

#[derive(Args, Debug)]
pub(crate) struct Top {
    /// How often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) every: Duration,
    /// Stop after so many times
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) hosts: Hosts,
}

#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// A manifest, a folder with a reef.toml or .wasm files, or a .wasm file [default: here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The value of a variable, over the host's own
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) var: Vec<(String, String)>,
    /// The same
    #[arg(short, long, value_name = "PATH", conflicts_with = "path", value_hint = ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) host: Host,
    /// Print what changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lattice: LatticeArgs,
    /// The namespace of the lattice that it is for [default: what the manifest says]
    #[arg(short, long, value_name = "NAME", env = "REEF_NAMESPACE", help_heading = "Lattice")]
    pub(crate) namespace: Option<String>,
    /// Change nothing: say what would be done
    #[arg(long, help_heading = "Lattice")]
    pub(crate) dry_run: bool,
    /// Wait until it runs and is ready
    #[arg(long, help_heading = "Lattice")]
    pub(crate) wait: bool,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration, help_heading = "Lattice")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

impl Apply {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { lattice: self.lattice.lattice.as_ref(), socket: self.host.socket.as_deref() }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Rollback {
    /// The application
    pub(crate) application: String,
    /// The revision to go back to [default: the one before]
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u64>,
    #[command(flatten)]
    pub(crate) host: Host,
    /// Print what changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) lattice: LatticeArgs,
    /// The namespace of the application in the lattice
    #[arg(short, long, value_name = "NAME", env = "REEF_NAMESPACE", default_value = reef_app::NAMESPACE, help_heading = "Lattice")]
    pub(crate) namespace: String,
}

impl Rollback {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { lattice: self.lattice.lattice.as_ref(), socket: self.host.socket.as_deref() }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Restart {
    /// An application, or one workload of it: APPLICATION/WORKLOAD
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) host: Host,
    /// Print what changed as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The application [default: the whole host]
    pub(crate) application: Option<String>,
    #[command(flatten)]
    pub(crate) host: Host,
}

#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// What the message is about: orders.new
    pub(crate) subject: String,
    /// What it says; - takes it from standard input [default: nothing]
    #[arg(value_name = "BODY|-")]
    pub(crate) body: Option<String>,
    /// Wait for an answer, and print it
    #[arg(long)]
    pub(crate) request: bool,
    /// How long to wait for one
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration, requires = "request")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) host: Host,
}
