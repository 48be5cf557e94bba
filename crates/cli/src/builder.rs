//! `reef build`: artifacts are made by the commands that the manifest names, those that are not current
//! and no others.
//!
//! A command runs in the shell, in its folder, with `REEF_APPLICATION` and `REEF_WORKLOAD` in its
//! environment. The same command in the same folder makes the artifacts of several workloads at once:
//! `REEF_WORKLOAD` then has all their names with spaces between. One whose text has `REEF_WORKLOAD` in
//! it runs for each.
//!
//! An artifact is current when it is newer than every file that it is made from ([`Inputs`]).

mod inputs;
mod shell;

use std::{
    collections::HashSet,
    fmt, io,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reef_app::{Application, Source, Workload};
use reef_document::Diagnostics;
use tokio::signal::unix::{SignalKind, signal};

use crate::{args, check, logs::COLOURS, manage::block_on, manifest};

pub(crate) use inputs::{Inputs, InputsError};
pub(crate) use shell::Stop;

/// The exit status after an interrupt.
const INTERRUPTED: i32 = 130;

/// What is told of workloads while they are built, by their names.
pub(crate) type Told = Arc<dyn Fn(&str, &Progress<'_>) + Send + Sync>;

/// What to build, and how.
#[derive(Clone)]
pub(crate) struct Options {
    /// Only these workloads; empty for all that have a build.
    pub(crate) workloads: Vec<String>,
    /// Commands at once; zero for half as many as there are cores.
    pub(crate) jobs: usize,
    /// Also what is current.
    pub(crate) force: bool,
    /// Who is told; from several threads.
    pub(crate) told: Told,
    /// What ends it before its time.
    pub(crate) stop: Stop,
}

/// What is told of one workload.
#[derive(Debug)]
pub(crate) enum Progress<'a> {
    /// Its artifact is newer than all that it is made from.
    Current,
    /// This command runs.
    Begun(&'a str),
    /// The command said this.
    Line(&'a str),
    /// The artifact is made.
    Made(Duration),
    /// It is not.
    Failed(&'a Failure),
}

/// What became of the workloads, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Built {
    /// Those whose command ran.
    pub(crate) made: Vec<String>,
    /// Those that were current.
    pub(crate) current: Vec<String>,
}

/// Why something was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// A workload that is not there.
    #[error("there is no workload `{name}`; there is {}", known.join(", "))]
    NoWorkload { name: String, known: Vec<String> },
    /// A workload without a command.
    #[error("the workload `{0}` has no build: give it one with `build.command = \"...\"`")]
    NoBuild(String),
    /// What a workload is made from cannot be told.
    #[error("the workload `{workload}`: {error}")]
    Inputs { workload: String, error: InputsError },
    /// Some commands did not make what they are for; the others did.
    #[error("{}", lines(.0))]
    Failed(Vec<Failure>),
    /// Somebody said to stop.
    #[error("the build was interrupted")]
    Stopped,
}

/// A command that did not make what it is for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whose artifacts it makes.
    pub(crate) workloads: Vec<String>,
    /// The command.
    pub(crate) command: String,
    /// What came of it.
    pub(crate) cause: Cause,
}

/// What came of a command that failed.
#[derive(Debug)]
pub(crate) enum Cause {
    /// It could not be started in this folder.
    Start(PathBuf, io::Error),
    /// It said so.
    Status(ExitStatus),
    /// It did not, but the artifact is not there.
    NoArtifact(PathBuf),
}

/// One command, and whose artifacts it makes.
struct Job<'a> {
    command: &'a str,
    folder: PathBuf,
    workloads: Vec<&'a Workload>,
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = reef_artifact::visible(self.command.trim(), 500);
        let of = self.workloads.join(", ");
        match &self.cause {
            Cause::Start(folder, error) => {
                let folder = folder.display();
                write!(f, "{of}: `{command}` cannot be started in {folder}: {error}")
            }
            Cause::Status(status) => write!(f, "{of}: `{command}` failed ({status})"),
            Cause::NoArtifact(path) => write!(
                f,
                "{of}: `{command}` ended well, but there is no {}, which the manifest names as `source`",
                path.display()
            ),
        }
    }
}

fn lines(failures: &[Failure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

// === impl Progress ===

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("is current"),
            Self::Begun(command) => write!(f, "$ {}", reef_artifact::visible(command.trim(), 500)),
            Self::Line(line) => f.write_str(line),
            Self::Made(took) => write!(f, "built in {:.1} s", took.as_secs_f64()),
            Self::Failed(failure) => match &failure.cause {
                Cause::Status(status) => write!(f, "failed ({status})"),
                _ => write!(f, "{failure}"),
            },
        }
    }
}

/// Makes the artifacts of an application that are not current. `folder` is the one that its paths start
/// from. Blocks until all commands have ended; one that fails does not keep others from their end.
///
/// There is no longest time for a command: whoever waits for it can end it.
///
/// # Errors
/// [`BuildError`].
pub(crate) fn build(
    application: &Application,
    folder: &Path,
    options: &Options,
) -> Result<Built, BuildError> {
    let mut built = Built::default();
    let mut wanted = Vec::new();
    for workload in selected(application, &options.workloads)? {
        let name = workload.name.to_string();
        if !options.force && is_current(application, workload, folder)? {
            (options.told)(&name, &Progress::Current);
            built.current.push(name);
        } else {
            wanted.push(workload);
        }
    }
    let jobs = together(wanted, folder);
    let failures = Mutex::new(Vec::new());
    let made = Mutex::new(Vec::new());
    let next = Mutex::new(jobs.iter());
    let threads = match options.jobs {
        0 => (thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
        jobs => jobs,
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while !options.stop.is_told() {
                    let job = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(job) = job else { return };
                    match job.run(application, folder, options) {
                        Ok(names) => {
                            made.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
                        }
                        Err(failure) => {
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
                        }
                    }
                }
            });
        }
    });
    if options.stop.is_told() {
        return Err(BuildError::Stopped);
    }
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        return Err(BuildError::Failed(failures));
    }
    built.made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    built.made.sort();
    Ok(built)
}

/// What each workload that has a build is made from: for whoever watches.
///
/// # Errors
/// When a pattern of one is none.
pub(crate) fn watched(
    application: &Application,
    folder: &Path,
) -> Result<Vec<(String, Inputs)>, BuildError> {
    let with_build = application.workloads.iter().filter(|workload| workload.build.is_some());
    with_build
        .map(|workload| {
            let inputs = inputs_of(application, workload, folder)?;
            Ok((workload.name.to_string(), inputs))
        })
        .collect()
}

/// The workloads to build.
fn selected<'a>(
    application: &'a Application,
    names: &[String],
) -> Result<Vec<&'a Workload>, BuildError> {
    let all = &application.workloads;
    if names.is_empty() {
        return Ok(all.iter().filter(|workload| workload.build.is_some()).collect());
    }
    let mut selected = Vec::new();
    let mut known = HashSet::new();
    for name in names.iter().filter(|name| known.insert(name.as_str())) {
        let found = all.iter().find(|workload| workload.name.as_str() == name);
        let found = found.ok_or_else(|| BuildError::NoWorkload {
            name: name.clone(),
            known: all.iter().map(|workload| format!("`{}`", workload.name.as_str())).collect(),
        })?;
        if found.build.is_none() {
            return Err(BuildError::NoBuild(name.clone()));
        }
        selected.push(found);
    }
    Ok(selected)
}

fn inputs_of(
    application: &Application,
    workload: &Workload,
    folder: &Path,
) -> Result<Inputs, BuildError> {
    let artifacts = application.workloads.iter().filter(|workload| workload.build.is_some());
    let artifacts = artifacts.filter_map(|workload| artifact(workload, folder)).collect();
    Inputs::new(workload.build.as_ref(), folder, artifacts)
        .map_err(|error| BuildError::Inputs { workload: workload.name.to_string(), error })
}

fn artifact(workload: &Workload, folder: &Path) -> Option<PathBuf> {
    match &workload.source.value {
        Source::File(file) => Some(folder.join(file)),
        _ => None,
    }
}

/// Whether its artifact is newer than all that it is made from. Not where that is nothing at all: then
/// nobody can tell.
fn is_current(
    application: &Application,
    workload: &Workload,
    folder: &Path,
) -> Result<bool, BuildError> {
    let Some(artifact) = artifact(workload, folder) else { return Ok(false) };
    let Ok(made) = artifact.metadata().and_then(|meta| meta.modified()) else { return Ok(false) };
    let inputs = inputs_of(application, workload, folder)?;
    let newest = inputs
        .newest()
        .map_err(|error| BuildError::Inputs { workload: workload.name.to_string(), error })?;
    Ok(newest.is_some_and(|newest| newest < made))
}

/// The commands of these workloads, each as often as it has to run.
fn together<'a>(workloads: Vec<&'a Workload>, folder: &Path) -> Vec<Job<'a>> {
    let mut jobs = Vec::<Job<'_>>::new();
    for workload in workloads {
        let Some(build) = &workload.build else { continue };
        let command = build.command.as_str();
        let folder = inputs::build_folder(build, folder);
        let own = command.contains("REEF_WORKLOAD");
        match jobs.iter_mut().find(|job| !own && job.command == command && job.folder == folder) {
            Some(job) => job.workloads.push(workload),
            None => jobs.push(Job { command, folder, workloads: vec![workload] }),
        }
    }
    jobs
}

// === impl Job ===

impl Job<'_> {
    fn run(
        &self,
        application: &Application,
        folder: &Path,
        options: &Options,
    ) -> Result<Vec<String>, Failure> {
        let names: Vec<_> =
            self.workloads.iter().map(|workload| workload.name.to_string()).collect();
        let who = names.join(",");
        let told = |progress: &Progress<'_>| (options.told)(&who, progress);
        let failed = |cause| {
            let failure =
                Failure { workloads: names.clone(), command: self.command.to_owned(), cause };
            if !options.stop.is_told() {
                told(&Progress::Failed(&failure));
            }
            failure
        };
        told(&Progress::Begun(self.command));
        let start = Instant::now();
        let env =
            [("REEF_APPLICATION", application.name.as_str()), ("REEF_WORKLOAD", &names.join(" "))];
        let status = shell::run(self.command, &self.folder, &env, &options.stop, |line| {
            told(&Progress::Line(line));
        });
        let status = status.map_err(|error| failed(Cause::Start(self.folder.clone(), error)))?;
        if !status.success() {
            return Err(failed(Cause::Status(status)));
        }
        for workload in &self.workloads {
            if let Some(path) = artifact(workload, folder)
                && !path.exists()
            {
                return Err(failed(Cause::NoArtifact(path)));
            }
        }
        told(&Progress::Made(start.elapsed()));
        Ok(names)
    }
}

/// `reef build`.
pub(crate) fn command(args: &args::Build) -> anyhow::Result<i32> {
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    let mut found = Diagnostics::default();
    let loaded = manifest::load(path, args.profile.as_deref(), &mut found)?;
    let Some(loaded) = loaded else {
        check::show(&path.display().to_string(), &found)?;
        return Ok(1);
    };
    let options = Options {
        workloads: args.workload.clone(),
        jobs: args.jobs.unwrap_or(0),
        force: args.force,
        told: printed(&loaded.application),
        stop: Stop::default(),
    };
    stop_at_signals(options.stop.clone())?;
    match build(&loaded.application, &loaded.folder, &options) {
        Ok(built) => {
            if built == Built::default() {
                eprintln!("No workload of `{}` has a build.", loaded.application.name.as_str());
            }
            Ok(0)
        }
        Err(BuildError::Stopped) => Ok(INTERRUPTED),
        Err(error @ BuildError::Failed(_)) => {
            eprintln!("\n{error}");
            Ok(1)
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends builds when the process is told to end.
pub(crate) fn stop_at_signals(stop: Stop) -> anyhow::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    let waiting = move || {
        block_on(async {
            let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let (mut interrupt, mut terminate) = signals;
            let _ = ready.send(());
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.now();
            Ok(())
        })
    };
    thread::Builder::new()
        .name("reef-signals".into())
        .spawn(waiting)
        .context("cannot start a thread")?;
    is_ready.recv().context("cannot wait for signals")
}

/// Tells people: what is said of a workload has its name in front, in its own colour on a terminal.
pub(crate) fn printed(application: &Application) -> Told {
    let names: Vec<_> =
        application.workloads.iter().map(|workload| workload.name.to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let colours = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Arc::new(move |who, progress| {
        // Of several names, the first one's colour.
        let first = who.split(',').next().unwrap_or(who);
        let at = names.iter().position(|name| name == first).unwrap_or(0);
        let (before, after) = match colours {
            true => (format!("\x1b[{}m", COLOURS[at % COLOURS.len()]), "\x1b[0m"),
            false => (String::new(), ""),
        };
        // With standard error gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "{before}{who:width$}{after}  {progress}");
    })
}

#[cfg(test)]
mod tests;
