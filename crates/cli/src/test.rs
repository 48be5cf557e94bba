//! `reef test`: an application's own tests.
//!
//! The application runs on a free port, as `reef up` has it, while its tests ask it: expectations of
//! HTTP answers (`tests/*.toml`, see [`expect`]), and test components (`tests/*.wasm`): commands
//! that may connect to the application, whose address is in `REEF_URL`. One that ends with status 0
//! passed.

mod process;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reef_document::Diagnostics;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    args::Test,
    builder::{self, BuildError, Options, Stop},
    check,
    expect::{self, Expectation},
    manage::block_on,
    manifest::{self, Loaded},
};
use process::Host;

/// Lines of the application's log that are shown when a test fails.
const LOG_LINES: usize = 30;
/// The exit status after an interrupt.
const INTERRUPTED: i32 = 130;

/// A file of tests.
enum Suite {
    Expectations(Vec<Expectation>),
    Component(PathBuf),
}

/// What came of one test.
struct Outcome {
    file: String,
    name: String,
    took: Duration,
    /// What is not as expected; nothing if it passed.
    wrong: Vec<String>,
}

/// Tests an application. The status is 1 when a test fails, or something cannot be tested.
pub(crate) fn test(args: &Test) -> anyhow::Result<i32> {
    let path = args.path.clone().unwrap_or_else(|| ".".into());
    let mut found = Diagnostics::default();
    let loaded = manifest::load(&path, args.profile.as_deref(), &mut found)?;
    let name = path.display().to_string();
    let Some(loaded) = loaded else {
        check::show(&name, &found)?;
        return Ok(1);
    };
    let files = match args.tests.is_empty() {
        true => tests_beside(&path)?,
        false => args.tests.clone(),
    };
    let Some(suites) = read(&files)? else { return Ok(1) };
    if !args.no_build
        && let Some(status) = build(&loaded)?
    {
        return Ok(status);
    }
    block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // What runs ends with the future that waits for it.
        tokio::select! {
            status = run(args, &path, &suites) => status,
            _ = terminate.recv() => Ok(INTERRUPTED),
            _ = interrupt.recv() => Ok(INTERRUPTED),
        }
    })
}

/// The tests beside what a path stands for.
fn tests_beside(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(Path::new("")),
    };
    // The shorter names: they are shown.
    let folder = if folder == Path::new(".") { Path::new("") } else { folder }.join("tests");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => {
            let unread = || format!("cannot read the folder {}", folder.display());
            let entries = entries.with_context(unread)?;
            entries.collect::<Result<Vec<_>, _>>().with_context(unread)?
        }
    };
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| matches!(ending(file), Some("toml" | "wasm")));
    files.sort();
    if files.is_empty() {
        bail!(
            "there are no tests in {}: put expectations there (NAME.toml), or test components \
             (NAME.wasm)",
            folder.display()
        );
    }
    Ok(files)
}

fn ending(file: &Path) -> Option<&str> {
    file.extension().and_then(|ending| ending.to_str())
}

/// Reads all files before anything runs. What is wrong is shown, and there is nothing.
fn read(files: &[PathBuf]) -> anyhow::Result<Option<Vec<(String, Suite)>>> {
    let mut suites = Vec::new();
    let mut usable = true;
    for file in files {
        let name = file.display().to_string();
        match ending(file) {
            Some("wasm") if file.is_file() => {
                suites.push((name, Suite::Component(file.clone())));
            }
            Some("wasm") => bail!("there is no file {name}"),
            Some("toml") => {
                let text = manifest::read(file)?;
                let mut found = Diagnostics::default();
                let expectations = expect::parse(&text, &mut found);
                check::show(&name, &found)?;
                match expectations {
                    Some(all) => suites.push((name, Suite::Expectations(all))),
                    None => usable = false,
                }
            }
            _ => bail!("{name} is no test: those are expectations (.toml) and components (.wasm)"),
        }
    }
    Ok(usable.then_some(suites))
}

/// Builds what is not current; a status if that fails.
fn build(loaded: &Loaded) -> anyhow::Result<Option<i32>> {
    if loaded.application.workloads.iter().all(|workload| workload.build.is_none()) {
        return Ok(None);
    }
    let stop = Stop::default();
    builder::stop_at_signals(stop.clone())?;
    let told = builder::printed(&loaded.application);
    let options = Options { workloads: Vec::new(), jobs: 0, force: false, told, stop };
    match builder::build(&loaded.application, &loaded.folder, &options) {
        Ok(_) => Ok(None),
        Err(BuildError::Stopped) => Ok(Some(INTERRUPTED)),
        Err(error @ BuildError::Failed(_)) => {
            eprintln!("\n{error}");
            Ok(Some(1))
        }
        Err(error) => Err(error.into()),
    }
}

async fn run(args: &Test, path: &Path, suites: &[(String, Suite)]) -> anyhow::Result<i32> {
    let start = Instant::now();
    let host = Host::start(&up_args(args, path)).await?;
    let mut outcomes = Vec::new();
    for (file, suite) in suites {
        match suite {
            Suite::Expectations(all) => {
                let mut captured = expect::Captured::default();
                for expectation in all {
                    let start = Instant::now();
                    let wrong = expect::ask(host.addr(), expectation, &mut captured).await;
                    let (file, name) = (file.clone(), expectation.name());
                    outcomes.push(Outcome { file, name, took: start.elapsed(), wrong });
                    tell(args, outcomes.last())?;
                }
            }
            Suite::Component(component) => {
                let start = Instant::now();
                let wrong = test_component(args, component, host.addr()).await?;
                let (file, name) = (file.clone(), String::new());
                outcomes.push(Outcome { file, name, took: start.elapsed(), wrong });
                tell(args, outcomes.last())?;
            }
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.wrong.is_empty()).count();
    let log = host.end()?;
    if failed > 0 && !log.trim().is_empty() {
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        eprintln!("\nThe application's log ended with:\n{}", last.join("\n"));
    }
    summary(args, &outcomes, failed, start.elapsed())?;
    Ok((failed > 0).into())
}

/// The arguments of the `reef up` that runs the application.
fn up_args(args: &Test, path: &Path) -> Vec<OsString> {
    let mut up: Vec<OsString> = vec![path.into()];
    if let Some(profile) = &args.profile {
        up.extend(["--profile".into(), profile.into()]);
    }
    for (name, value) in &args.var {
        up.extend(["--var".into(), format!("{name}={value}").into()]);
    }
    up.extend(cache_args(args));
    up
}

fn cache_args(args: &Test) -> Vec<OsString> {
    let mut cache = Vec::new();
    if let Some(dir) = &args.cache.cache_dir {
        cache.extend(["--cache-dir".into(), dir.into()]);
    }
    if args.cache.no_cache {
        cache.push("--no-cache".into());
    }
    cache
}

/// Runs a test component, and says what is wrong.
async fn test_component(
    args: &Test,
    component: &Path,
    addr: SocketAddr,
) -> anyhow::Result<Vec<String>> {
    let mut run: Vec<OsString> = vec!["--egress".into(), addr.to_string().into()];
    run.extend(["--env".into(), format!("REEF_URL=http://{addr}").into()]);
    let deadline = format!("{}ms", args.deadline.as_millis());
    run.extend(["--deadline".into(), deadline.into()]);
    run.extend(cache_args(args));
    run.push(component.into());
    let ended = process::run(&run).await?;
    Ok(match ended.status.success() {
        true => Vec::new(),
        false => {
            let mut wrong = vec![format!("it ended with {}", ended.status)];
            wrong.extend(ended.said.lines().map(str::to_owned));
            wrong
        }
    })
}

impl Outcome {
    fn title(&self) -> String {
        match self.name.is_empty() {
            true => self.file.clone(),
            false => format!("{}: {}", self.file, self.name),
        }
    }
}

/// Says at once what came of a test.
fn tell(args: &Test, outcome: Option<&Outcome>) -> io::Result<()> {
    let Some(outcome) = outcome.filter(|_| !args.json) else { return Ok(()) };
    let mut out = io::stdout().lock();
    let word = if outcome.wrong.is_empty() { "ok" } else { "FAILED" };
    let title = reef_artifact::visible(&outcome.title(), 400);
    writeln!(out, "test {title} ... {word} ({} ms)", outcome.took.as_millis())?;
    for wrong in &outcome.wrong {
        writeln!(out, "    {}", reef_artifact::visible(wrong, 4000))?;
    }
    Ok(())
}

fn summary(args: &Test, outcomes: &[Outcome], failed: usize, took: Duration) -> anyhow::Result<()> {
    let passed = outcomes.len() - failed;
    let mut out = io::stdout().lock();
    if args.json {
        let tests: Vec<_> = outcomes.iter().map(json_of).collect();
        let seconds = took.as_secs_f64();
        let all = json!({ "tests": tests, "passed": passed, "failed": failed, "seconds": seconds });
        writeln!(out, "{all:#}")?;
        return Ok(());
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = took.as_secs_f64();
    writeln!(out, "\ntest result: {word}. {passed} passed, {failed} failed, in {seconds:.2} s")?;
    Ok(())
}

fn json_of(outcome: &Outcome) -> Value {
    json!({
        "file": outcome.file,
        "name": outcome.name,
        "passed": outcome.wrong.is_empty(),
        "seconds": outcome.took.as_secs_f64(),
        "wrong": outcome.wrong,
    })
}
