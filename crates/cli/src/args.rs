//! The command line.

mod lattice;
mod manage;
mod server;
mod sources;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use reef_grants::{ByteSize, CpuShare, Destination, DirGrant, EnvGrant, parse_duration};

pub(crate) use lattice::{
    Awaited, Controller, Delete, Describe, Diff, Drain, Get, History, Join, LatticeArgs, Listed,
    Namespace, Place, Rollout, RolloutAction, Scale, Scheduled, Wait,
};
pub(crate) use manage::{Apply, Hosts, Logs, Ps, Publish, Restart, Rollback, Stop, Top};
pub(crate) use server::{InstanceArgs, ServerArgs};
pub(crate) use sources::{CacheArgs, DataArgs, SourceArgs};

/// With the commit that it was made of, where `cargo xtask release` made it.
const VERSION: &str = match option_env!("REEF_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// One host for every WebAssembly workload: runs, serves and inspects any .wasm file.
///
/// What is not granted is refused: a guest sees no file, no variable and no network until a flag says
/// so, and every refusal names the flag that would allow it.
#[derive(Parser, Debug)]
#[command(name = "reef", version = VERSION, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: Log,
}

#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Run>),
    Serve(Box<Serve>),
    Up(Box<Up>),
    Inspect(Inspect),
    Check(Check),
    Dev(Box<Dev>),
    Convert(Convert),
    Runtimes(Runtimes),
    New(New),
    Build(Build),
    Test(Test),
    Ps(Ps),
    Logs(Logs),
    Top(Top),
    Apply(Apply),
    Rollback(Rollback),
    Restart(Restart),
    Stop(Stop),
    Publish(Publish),
    Host(Box<Join>),
    Controller(Box<Controller>),
    Get(Get),
    Describe(Describe),
    Diff(Box<Diff>),
    History(History),
    Scale(Scale),
    Wait(Wait),
    Rollout(Rollout),
    Delete(Delete),
    Cordon(Scheduled),
    Uncordon(Scheduled),
    Drain(Drain),
    Namespace(Namespace),
    Completions(Completions),
    Man(Man),
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
pub(crate) struct Log {
    /// What to log: a level, or TARGET=LEVEL,… [default: warn for run, info for serve]
    #[arg(long, global = true, value_name = "FILTER", env = "REEF_LOG")]
    pub(crate) log: Option<String>,
    /// The form of a log line
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub(crate) log_format: LogFormat,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// What the guest may do.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Grants (nothing is granted by default)")]
pub(crate) struct GrantArgs {
    /// Grant a directory: HOST, HOST::GUEST, with :ro to read only
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Vec<DirGrant>,
    /// Grant an environment variable; without a value the one of this process
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<EnvGrant>,
    /// Grant the variables of a file with a line KEY=VALUE each
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) env_file: Vec<PathBuf>,
    /// Grant connections to a destination: HOST:PORT, *.HOST:PORT, CIDR:PORT or a URL
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) egress: Vec<Destination>,
    /// Grant listening on an address, such as 127.0.0.1:9000; port 0 is every port
    #[arg(long, value_name = "ADDR", value_parser = parse_addr)]
    pub(crate) listen: Vec<SocketAddr>,
}

/// What the guest may use.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Wall time of a run or of a request until its answer, and between two pieces of an answer
    /// [default: none for run, 30s for serve]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) deadline: Option<Duration>,
    /// Linear memory of an instance [default: 2GiB for run, 256MiB for serve]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Share of the processors for the whole workload: 0.5 or 50% of one core, 2 for two cores
    #[arg(long, value_name = "SHARE")]
    pub(crate) cpu: Option<CpuShare>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// A .wasm or .wat file, or where one is: https://…, oci://REGISTRY/NAME:TAG, bindle:NAME/VERSION
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Call an exported function: 'name(arguments)', WAVE for components; @FILE, @- or @URL hands
    /// over a file's, standard input's or a URL's bytes
    #[arg(long, value_name = "CALL", conflicts_with = "args")]
    pub(crate) invoke: Option<String>,
    /// Write the function's result to a file
    #[arg(long, short, value_name = "FILE", requires = "invoke", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) grants: GrantArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// Arguments for the guest
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// A .wasm or .wat file, or where one is (https://…, oci://…), or ROUTE=FILE: /about for itself,
    /// /api/... for all below it, with a host in front or not
    #[arg(value_name = "[ROUTE=]FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<String>,
    /// A component of the world wasi:http/middleware in front of every FILE; several are passed
    /// through in the order given
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) middleware: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) grants: GrantArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) instances: InstanceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Manifests (reef.toml, spin.toml, modules.toml, wadm's), folders with one or with .wasm files, or
    /// .wasm files [default: here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// The profile to put over the manifests' own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The value of a variable; REEF_VAR_NAME in the environment does the same
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) var: Vec<(String, String)>,
    /// Spin's runtime configuration, for its providers of variables: vault, env, static
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) runtime_config_file: Option<PathBuf>,
    /// Run in the background; `reef ps`, `logs`, `apply`, `stop` talk to it
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Where it listens for those [default: one of its own in the user's runtime folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// A .wasm or .wat file, or where one is: https://…, oci://REGISTRY/NAME:TAG, bindle:NAME/VERSION
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// Print the interface as WIT
    #[arg(long, group = "form")]
    pub(crate) wit: bool,
    /// Print the text form
    #[arg(long, group = "form")]
    pub(crate) wat: bool,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Say for each import whether Reef has it; fails if one is missing
    #[arg(long, conflicts_with = "form")]
    pub(crate) can_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Manifests, or folders with a reef.toml [default: the one here]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// A manifest, a folder with a reef.toml or with .wasm files, or a .wasm file [default: here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The value of a variable; REEF_VAR_NAME in the environment does the same
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) var: Vec<(String, String)>,
    /// Where `reef ps`, `logs` and the like reach it [default: one of its own]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Convert {
    /// A manifest of any kind, or a folder with one
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) file: PathBuf,
    /// The file to write, such as reef.toml [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: Option<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Language runtimes, which run scripts and are Wasm themselves.
#[derive(Subcommand, Debug)]
pub(crate) enum Runtimes {
    /// Say which there are
    List(ListRuntimes),
    /// Install one from its .wasm file, which may be elsewhere
    Install(InstallRuntime),
}

#[derive(Args, Debug)]
pub(crate) struct ListRuntimes {
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InstallRuntime {
    /// Its name: javascript, javascript-fetch, lua, python, ruby; or FROM alone, where that is called so
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where it is: a file, as `cargo xtask runtimes` builds it, https://… or oci://REGISTRY/NAME:TAG
    #[arg(value_name = "FROM", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,
    /// SHA-256 that it must have: sha256: and 64 hexadecimal digits
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    /// The folder to put it into [default: REEF_RUNTIMES, or the user's own]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct New {
    /// What it is called, and the folder that is made for it
    #[arg(required_unless_present = "list", value_hint = ValueHint::DirPath)]
    pub(crate) name: Option<String>,
    /// What to begin with
    #[arg(short, long, value_name = "TEMPLATE", default_value = "http-rust")]
    pub(crate) template: String,
    /// Say which templates there are
    #[arg(long, conflicts_with = "name")]
    pub(crate) list: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Build {
    /// A manifest, or a folder with a reef.toml [default: the one here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// Only this workload; may be given several times
    #[arg(short, long, value_name = "NAME")]
    pub(crate) workload: Vec<String>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Builds at once [default: half as many as there are cores]
    #[arg(short, long, value_name = "N", value_parser = parse_jobs)]
    pub(crate) jobs: Option<usize>,
    /// Build also what is newer than all that it is made from
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Test {
    /// A manifest, a folder with a reef.toml or .wasm files, or a .wasm file [default: here]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    /// Expectations (.toml) and test components (.wasm) [default: all in tests/ beside the manifest]
    #[arg(value_name = "TEST", value_hint = ValueHint::FilePath)]
    pub(crate) tests: Vec<PathBuf>,
    /// The profile to put over the manifest's own values
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The value of a variable; REEF_VAR_NAME in the environment does the same
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(crate) var: Vec<(String, String)>,
    /// Test what is there, and build nothing
    #[arg(long)]
    pub(crate) no_build: bool,
    /// How long a test component may run
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,
    /// Print what came of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}

/// A command whose arguments are set up when it is the one.
fn sub<A: Args>(name: &'static str, about: &'static str) -> clap::Command {
    clap::Command::new(name).about(about).defer(|command| {
        // Flattened arguments would put their own in its place.
        let about = command.get_about().cloned().unwrap_or_default();
        A::augment_args(command).about(about).long_about(None)
    })
}

// Not derived: a derived one sets up the arguments of every command before it knows which one was
// given, which shows in a run of a few milliseconds.
impl Subcommand for Command {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        command
            .subcommand(sub::<Run>("run", "Run a command, or call a function with --invoke"))
            .subcommand(sub::<Serve>("serve", "Answer HTTP requests with one or more workloads"))
            .subcommand(sub::<Up>("up", "Run applications on this machine"))
            .subcommand(sub::<Inspect>(
                "inspect",
                "Say what a file is, what it needs, and whether Reef can run it",
            ))
            .subcommand(sub::<Check>("check", "Say what is wrong with a manifest, and where"))
            .subcommand(sub::<Dev>(
                "dev",
                "Run an application while it is worked on: build, swap, explain",
            ))
            .subcommand(sub::<Convert>("convert", "Write a manifest of any kind as reef.toml"))
            .subcommand(
                Runtimes::augment_subcommands(clap::Command::new("runtimes"))
                    .about("List or install the language runtimes that run scripts")
                    .subcommand_required(true)
                    .arg_required_else_help(true),
            )
            .subcommand(sub::<New>("new", "Begin an application from a template"))
            .subcommand(sub::<Build>("build", "Build the artifacts of an application"))
            .subcommand(sub::<Test>("test", "Run an application's tests against it"))
            .subcommand(sub::<Ps>("ps", "Say what runs"))
            .subcommand(sub::<Logs>("logs", "Print what workloads said"))
            .subcommand(sub::<Top>("top", "Show what workloads do, again and again"))
            .subcommand(sub::<Apply>(
                "apply",
                "Put a changed application in place of the one that runs",
            ))
            .subcommand(sub::<Rollback>(
                "rollback",
                "Go back to an earlier revision of an application",
            ))
            .subcommand(sub::<Restart>(
                "restart",
                "Give an application or workload fresh instances",
            ))
            .subcommand(sub::<Stop>("stop", "End an application, or a whole host"))
            .subcommand(sub::<Publish>("publish", "Put a message on a host's bus"))
            .subcommand(sub::<Join>("host", "Run a host of a lattice"))
            .subcommand(sub::<Controller>("controller", "Run a controller of a lattice by itself"))
            .subcommand(sub::<Get>("get", "List what is in a lattice: hosts, apps, placements"))
            .subcommand(sub::<Describe>("describe", "Say all about an application of a lattice"))
            .subcommand(sub::<Diff>(
                "diff",
                "Say what applying a manifest to a lattice would change",
            ))
            .subcommand(sub::<History>("history", "List the revisions of an application"))
            .subcommand(sub::<Scale>("scale", "Change how many instances of a workload there are"))
            .subcommand(sub::<Wait>("wait", "Wait until an application is ready, or gone"))
            .subcommand(sub::<Rollout>("rollout", "Say how a rollout is, hold it up, or undo it"))
            .subcommand(sub::<Delete>("delete", "End an application of a lattice, and forget it"))
            .subcommand(sub::<Scheduled>("cordon", "Have a host take nothing new"))
            .subcommand(sub::<Scheduled>("uncordon", "Have a host take what comes again"))
            .subcommand(sub::<Drain>("drain", "Move what runs on a host elsewhere"))
            .subcommand(sub::<Namespace>(
                "namespace",
                "Say what a namespace of a lattice may have, and what of it others may use",
            ))
            .subcommand(sub::<Completions>("completions", "Print a completion script for a shell"))
            .subcommand(sub::<Man>(
                "man",
                "Print the manual page, or write one page a command into a folder",
            ))
            .subcommand_required(true)
            .arg_required_else_help(true)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        matches!(
            name,
            "run"
                | "serve"
                | "up"
                | "inspect"
                | "check"
                | "new"
                | "build"
                | "test"
                | "ps"
                | "logs"
                | "top"
                | "apply"
                | "rollback"
                | "restart"
                | "stop"
                | "publish"
                | "host"
                | "controller"
                | "get"
                | "describe"
                | "diff"
                | "history"
                | "scale"
                | "wait"
                | "rollout"
                | "delete"
                | "cordon"
                | "uncordon"
                | "drain"
                | "namespace"
                | "completions"
                | "man"
        )
    }
}

impl FromArgMatches for Command {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(match matches.subcommand() {
            Some(("run", of)) => Self::Run(Box::new(Run::from_arg_matches(of)?)),
            Some(("serve", of)) => Self::Serve(Box::new(Serve::from_arg_matches(of)?)),
            Some(("up", of)) => Self::Up(Box::new(Up::from_arg_matches(of)?)),
            Some(("inspect", of)) => Self::Inspect(Inspect::from_arg_matches(of)?),
            Some(("check", of)) => Self::Check(Check::from_arg_matches(of)?),
            Some(("dev", of)) => Self::Dev(Box::new(Dev::from_arg_matches(of)?)),
            Some(("convert", of)) => Self::Convert(Convert::from_arg_matches(of)?),
            Some(("runtimes", of)) => Self::Runtimes(Runtimes::from_arg_matches(of)?),
            Some(("new", of)) => Self::New(New::from_arg_matches(of)?),
            Some(("build", of)) => Self::Build(Build::from_arg_matches(of)?),
            Some(("test", of)) => Self::Test(Test::from_arg_matches(of)?),
            Some(("ps", of)) => Self::Ps(Ps::from_arg_matches(of)?),
            Some(("logs", of)) => Self::Logs(Logs::from_arg_matches(of)?),
            Some(("top", of)) => Self::Top(Top::from_arg_matches(of)?),
            Some(("apply", of)) => Self::Apply(Apply::from_arg_matches(of)?),
            Some(("rollback", of)) => Self::Rollback(Rollback::from_arg_matches(of)?),
            Some(("restart", of)) => Self::Restart(Restart::from_arg_matches(of)?),
            Some(("stop", of)) => Self::Stop(Stop::from_arg_matches(of)?),
            Some(("publish", of)) => Self::Publish(Publish::from_arg_matches(of)?),
            Some(("host", of)) => Self::Host(Box::new(Join::from_arg_matches(of)?)),
            Some(("controller", of)) => {
                Self::Controller(Box::new(Controller::from_arg_matches(of)?))
            }
            Some(("get", of)) => Self::Get(Get::from_arg_matches(of)?),
            Some(("describe", of)) => Self::Describe(Describe::from_arg_matches(of)?),
            Some(("diff", of)) => Self::Diff(Box::new(Diff::from_arg_matches(of)?)),
            Some(("history", of)) => Self::History(History::from_arg_matches(of)?),
            Some(("scale", of)) => Self::Scale(Scale::from_arg_matches(of)?),
            Some(("wait", of)) => Self::Wait(Wait::from_arg_matches(of)?),
            Some(("rollout", of)) => Self::Rollout(Rollout::from_arg_matches(of)?),
            Some(("delete", of)) => Self::Delete(Delete::from_arg_matches(of)?),
            Some(("cordon", of)) => Self::Cordon(Scheduled::from_arg_matches(of)?),
            Some(("uncordon", of)) => Self::Uncordon(Scheduled::from_arg_matches(of)?),
            Some(("drain", of)) => Self::Drain(Drain::from_arg_matches(of)?),
            Some(("namespace", of)) => Self::Namespace(Namespace::from_arg_matches(of)?),
            Some(("completions", of)) => Self::Completions(Completions::from_arg_matches(of)?),
            Some(("man", of)) => Self::Man(Man::from_arg_matches(of)?),
            _ => return Err(clap::Error::new(clap::error::ErrorKind::MissingSubcommand)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=1024) => Ok(jobs),
        _ => Err("write a number from 1 to 1024".into()),
    }
}

fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "it is not an address with a port; write 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for \
         every address of this machine"
            .into()
    })
}
