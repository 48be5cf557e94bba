//! The arguments of hosts of a lattice, and of what is asked of one.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use reef_grants::{ByteSize, CpuShare};
use reef_lattice::Address;

use super::ServerArgs;

/// Which lattice.
#[derive(Args, Debug)]
pub(crate) struct LatticeArgs {
    /// The lattice: nats://HOST:4222/NAME, tls://…, several servers with commas; ?credentials=FILE and the like
    #[arg(long, value_name = "URL", env = "REEF_LATTICE", hide_env_values = true)]
    pub(crate) lattice: Option<Address>,
}

/// Where a lattice is asked: at its servers, or at a host of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) lattice: Option<&'a Address>,
    pub(crate) socket: Option<&'a Path>,
}

/// The same, as a command has it.
#[derive(Args, Debug)]
pub(crate) struct PlaceArgs {
    #[command(flatten)]
    lattice: LatticeArgs,
    /// The socket of a host of the lattice [default: the one that runs on this machine, without --lattice]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    socket: Option<PathBuf>,
}

impl PlaceArgs {
    fn place(&self) -> Place<'_> {
        Place { lattice: self.lattice.lattice.as_ref(), socket: self.socket.as_deref() }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Join {
    #[command(flatten)]
    pub(crate) lattice: LatticeArgs,
    /// What this host is called [default: the machine's name]
    #[arg(long, value_name = "NAME", help_heading = "Lattice")]
    pub(crate) name: Option<String>,
    /// What workloads can choose it by: region=eu, zone=eu-1
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label, help_heading = "Lattice")]
    pub(crate) label: Vec<(String, String)>,
    /// Where other hosts reach its HTTP [default: the first address that it listens at]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Lattice")]
    pub(crate) advertise: Option<String>,
    /// Memory for workloads [default: that of the machine]
    #[arg(long, value_name = "SIZE", help_heading = "Lattice")]
    pub(crate) memory: Option<ByteSize>,
    /// Processors for workloads, in cores [default: all]
    #[arg(long, value_name = "CORES", help_heading = "Lattice")]
    pub(crate) cpu: Option<CpuShare>,
    /// Leave the controlling to others
    #[arg(long, help_heading = "Lattice")]
    pub(crate) no_controller: bool,
    /// The socket for what it is told here [default: one of its own]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE, such as zone=eu-1".into()),
    }
}

/// Who is asked: the controllers of a lattice.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    #[command(flatten)]
    place: PlaceArgs,
    /// The namespace of the application
    #[arg(short, long, value_name = "NAME", env = "REEF_NAMESPACE", default_value = reef_app::NAMESPACE)]
    pub(crate) namespace: String,
}

impl Asked {
    pub(crate) fn place(&self) -> Place<'_> {
        self.place.place()
    }
}

#[derive(Args, Debug)]
pub(crate) struct Controller {
    #[command(flatten)]
    pub(crate) lattice: LatticeArgs,
    /// What it is called, for those who look
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) cache: super::CacheArgs,
    #[command(flatten)]
    pub(crate) sources: super::SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Get {
    /// What to list
    pub(crate) what: Listed,
    #[command(flatten)]
    place: PlaceArgs,
    /// Those of one namespace [default: all]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Those of one application [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Get {
    pub(crate) fn place(&self) -> Place<'_> {
        self.place.place()
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Hosts, what they have and what of it is given
    Hosts,
    /// Applications, and how they are
    Apps,
    /// Workloads on hosts
    Placements,
}

#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// The application
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct History {
    /// The application
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// A manifest, or a folder with one [default: here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// The same
    #[arg(short, long, value_name = "PATH", conflicts_with = "path", value_hint = ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The value of a variable
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::parse_variable)]
    pub(crate) var: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    pub(crate) sources: super::SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The application
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Wait until nothing of it runs any more
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = reef_grants::parse_duration)]
    pub(crate) timeout: std::time::Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Scale {
    /// Which workload: APPLICATION/WORKLOAD
    #[arg(value_name = "APPLICATION/WORKLOAD")]
    pub(crate) name: String,
    /// How many instances; on each host, where it is a daemon [default: what the manifest says]
    pub(crate) instances: Option<u32>,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The application
    pub(crate) application: String,
    /// For what
    #[arg(long = "for", value_name = "WHAT", default_value = "ready")]
    pub(crate) what: Awaited,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = reef_grants::parse_duration)]
    pub(crate) timeout: std::time::Duration,
    #[command(flatten)]
    pub(crate) asked: Asked,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Exactly what is wanted runs, and is ready
    Ready,
    /// Nothing of it is there any more
    Deleted,
}

/// What a host is to take.
#[derive(Args, Debug)]
pub(crate) struct Scheduled {
    /// The host: its name or id
    pub(crate) host: String,
    #[command(flatten)]
    place: PlaceArgs,
}

impl Scheduled {
    pub(crate) fn place(&self) -> Place<'_> {
        self.place.place()
    }
}

#[derive(Args, Debug)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) of: Scheduled,
    /// Have the host end when nothing runs there any more
    #[arg(long)]
    pub(crate) leave: bool,
    /// Wait until nothing runs there any more
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = reef_grants::parse_duration)]
    pub(crate) timeout: std::time::Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Rollout {
    /// What to do
    pub(crate) what: RolloutAction,
    /// The application, or one workload of it: APPLICATION/WORKLOAD
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// Print everything as JSON (status)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RolloutAction {
    /// Say how far it is
    Status,
    /// Leave it as it is
    Pause,
    /// Let it go on
    Resume,
    /// Go back to the revision before
    Abort,
}

#[derive(Args, Debug)]
pub(crate) struct Namespace {
    /// Which
    pub(crate) name: String,
    #[command(flatten)]
    place: PlaceArgs,
    /// Instances that all of its applications may have
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u64>,
    /// Memory that they may ask for
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Processors that they may ask for, in cores
    #[arg(long, value_name = "CORES")]
    pub(crate) cpu: Option<CpuShare>,
    /// An application that others may link to, and which namespaces: shop=web,mobile or shop=*
    #[arg(long, value_name = "APPLICATION=NAMESPACES", value_parser = parse_label)]
    pub(crate) export: Vec<(String, String)>,
}

impl Namespace {
    pub(crate) fn place(&self) -> Place<'_> {
        self.place.place()
    }
}
