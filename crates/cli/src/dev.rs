//! `reef dev`: an application that is worked on.
//!
//! Files are watched; what changed is built, and swapped in when it is ready. What a workload was refused
//! is refused as in production, and the line of the manifest that would allow it is printed: once it is
//! written there, it counts at once.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use reef_app::{Application, Source};
use reef_document::Diagnostics;
use reef_telemetry::{Journal, LogConfig, LogFormat};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    args::{Dev, Log},
    builder, check,
    control::{self, Control},
    live,
    logs::Printer,
    manifest,
    server::{self, Managed},
    site,
    up::{Origin, Sources},
};

/// How long it must be quiet before what changed is looked at: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(60);
/// How long that is waited for at most.
const LONGEST: Duration = Duration::from_secs(1);
/// Folders that are watched at most.
const FOLDERS: usize = 4096;

/// What watches an application's files.
pub(crate) struct Watch {
    origin: Origin,
}

/// Runs an application, and again whenever its files change.
pub(crate) fn dev(args: &Dev, log: &Log) -> anyhow::Result<i32> {
    let path = args.path.clone().unwrap_or_else(|| ".".into());
    let origin = Origin { path: std::path::absolute(&path)?, profile: args.profile.clone() };
    let sources = Sources::new(args.var.clone());
    let orders = match sources.order(&origin, &[]) {
        Ok(order) => {
            sources.remember(order.application.name.as_str(), origin.clone());
            // What cannot be built is mended while this runs.
            match built(&order.application, &order.folder, builder::printed(&order.application)) {
                Ok(()) => vec![order],
                Err(error) => {
                    eprintln!("{error:#}");
                    Vec::new()
                }
            }
        }
        // It is mended while this runs; that there is nothing to watch cannot be.
        Err(error) => match error.downcast_ref::<check::Wrong>() {
            Some(check::Wrong(said)) => {
                eprint!("{said}");
                Vec::new()
            }
            None => return Err(error),
        },
    };
    let socket = control::Socket::new(args.socket.as_deref())?;
    let managed =
        Managed { sources: sources.into(), socket, watch: Some(Watch { origin }), joining: None };
    server::serve(&args.server, log, orders, Some(managed))
}

/// Builds what is not current.
fn built(application: &Application, folder: &Path, told: builder::Told) -> anyhow::Result<()> {
    if application.workloads.iter().all(|workload| workload.build.is_none()) {
        return Ok(());
    }
    let options = builder::Options {
        workloads: Vec::new(),
        jobs: 0,
        force: false,
        told,
        stop: builder::Stop::default(),
    };
    builder::build(application, folder, &options)?;
    Ok(())
}

// === impl Watch ===

impl Watch {
    /// Logs for the person who works on it: workloads in colours, and what would allow what was refused.
    pub(crate) fn log(&self, log: &Log, journal: Option<Arc<Journal>>) -> anyhow::Result<()> {
        let config = LogConfig::from_env(LogFormat::Json, log.log.clone(), "info");
        let config = LogConfig { journal, ..config };
        let json = log.log_format == crate::args::LogFormat::Json;
        let state = Mutex::new((Printer::new(io::stderr().is_terminal()), Denials::default()));
        reef_telemetry::init_to(&config, move |line: &[u8]| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (printer, denials) = &mut *state;
            let text = String::from_utf8_lossy(line);
            let said = if json { text.to_string() } else { printer.line(text.trim_end()) };
            live::write(said.as_bytes());
            if let Some(advice) = denials.advice(&text) {
                live::write(advice.as_bytes());
            }
        })?;
        Ok(())
    }

    /// Watches until the runtime ends.
    pub(crate) async fn run(self, control: Arc<Control>) {
        if let Err(error) = self.watch(control).await {
            tracing::error!("Files are not watched any more: {error:#}");
        }
    }

    async fn watch(self, control: Arc<Control>) -> anyhow::Result<()> {
        let (changes, mut changed) = mpsc::channel::<PathBuf>(1024);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                if matches!(event.kind, EventKind::Access(_)) {
                    return;
                }
                for path in event.paths {
                    // Full: that something changed is known already.
                    let _ = changes.try_send(path);
                }
            })
            .context("the system gives no notice of changed files")?;
        let mut watched = HashSet::new();
        let mut files = Files::of(&self.origin);
        files.watch(&mut watcher, &mut watched);
        tracing::info!(folders = watched.len(), "Watching for changes.");
        while let Some(first) = changed.recv().await {
            let mut paths = HashSet::from([first]);
            let all = async {
                while let Ok(Some(path)) = tokio::time::timeout(QUIET, changed.recv()).await {
                    paths.insert(path);
                }
            };
            let _ = tokio::time::timeout(LONGEST, all).await;
            let built = paths.iter().any(|path| files.is_source(path));
            if !built && !paths.iter().any(|path| files.is_of_interest(path)) {
                continue;
            }
            let changed_to = async {
                let origin = self.origin.clone();
                tokio::task::spawn_blocking(move || build(&origin)).await??;
                control.apply(self.origin.clone(), Vec::new()).await
            };
            if let Err(error) = changed_to.await {
                tracing::error!("{error:#}\nWhat ran before goes on.");
            }
            // The manifest may name others now.
            files = Files::of(&self.origin);
            files.watch(&mut watcher, &mut watched);
        }
        Ok(())
    }
}

/// The files that an application is made of.
struct Files {
    /// Files that count by themselves: the manifest, the artifacts, and all of a site.
    exact: HashSet<PathBuf>,
    /// What artifacts are built from.
    inputs: Vec<builder::Inputs>,
}

/// Builds what a manifest describes, as far as it is not current, and logs what is said.
fn build(origin: &Origin) -> anyhow::Result<()> {
    let mut ignored = Diagnostics::default();
    // What is wrong with it is said when it is applied.
    let loaded = manifest::load(&origin.path, origin.profile.as_deref(), &mut ignored);
    let Ok(Some(loaded)) = loaded else { return Ok(()) };
    let told: builder::Told = Arc::new(|workload: &str, progress: &builder::Progress<'_>| {
        tracing::info!(workload, "{progress}");
    });
    built(&loaded.application, &loaded.folder, told)
}

impl Files {
    fn of(origin: &Origin) -> Self {
        let mut exact = HashSet::from([manifest::manifest_of(&origin.path), origin.path.clone()]);
        let mut ignored = Diagnostics::default();
        let loaded = manifest::load(&origin.path, origin.profile.as_deref(), &mut ignored);
        let mut inputs = Vec::new();
        if let Ok(Some(loaded)) = loaded {
            exact.extend(artifacts(&loaded.application, &loaded.folder));
            match builder::watched(&loaded.application, &loaded.folder) {
                Ok(watched) => inputs.extend(watched.into_iter().map(|(_, inputs)| inputs)),
                Err(error) => tracing::warn!("Sources are not watched: {error}"),
            }
            if loaded.site {
                let names = site::files(&loaded.folder).ok().flatten().unwrap_or_default();
                let files = names
                    .into_iter()
                    .filter_map(|name| std::path::absolute(loaded.folder.join(name)).ok());
                exact.extend(files);
            }
        }
        Self { exact, inputs }
    }

    /// Whether something is built from it.
    fn is_source(&self, path: &Path) -> bool {
        self.inputs.iter().any(|inputs| inputs.has(path))
    }

    fn is_of_interest(&self, path: &Path) -> bool {
        self.exact.contains(path)
            || self
                .exact
                .iter()
                .any(|own| own.is_dir() && path.parent() == Some(own) && is_artifact(path))
    }

    /// Watches folders: a file that is replaced is another file.
    fn watch(&self, watcher: &mut RecommendedWatcher, watched: &mut HashSet<PathBuf>) {
        let sources = self.inputs.iter().flat_map(|inputs| match inputs.folders() {
            Ok(folders) => folders,
            Err(error) => {
                tracing::warn!("Sources are not watched: {error}");
                Vec::new()
            }
        });
        let around = |file: &PathBuf| match file.is_dir() {
            true => Some(file.clone()),
            false => file.parent().map(Path::to_owned),
        };
        for folder in self.exact.iter().filter_map(around).chain(sources) {
            let folder = &*folder;
            if !folder.is_dir() {
                continue;
            }
            if watched.len() >= FOLDERS || watched.contains(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(folder.to_owned());
                }
                Err(error) => {
                    tracing::warn!("{} is not watched: {error}", folder.display());
                }
            }
        }
    }
}

fn is_artifact(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "wasm" || ending == "wat")
}

fn artifacts(application: &Application, folder: &Path) -> Vec<PathBuf> {
    let sources =
        application.workloads.iter().filter_map(|workload| match &workload.source.value {
            Source::File(file) => std::path::absolute(folder.join(file)).ok(),
            _ => None,
        });
    sources.collect()
}

/// What was refused, to say once what would allow it.
#[derive(Default)]
struct Denials(HashSet<(String, String, String)>);

impl Denials {
    fn advice(&mut self, json: &str) -> Option<String> {
        let line: Value = serde_json::from_str(json).ok()?;
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let (workload, denied, grant) = (text("workload")?, text("denied")?, text("grant")?);
        if !self.0.insert((workload.clone(), denied.clone(), grant)) {
            return None;
        }
        let name = workload.rsplit('/').next().unwrap_or(&workload).to_owned();
        // All of its kind: a list is written once.
        let mut all: Vec<_> = self
            .0
            .iter()
            .filter(|(of, kind, _)| *of == workload && *kind == denied)
            .map(|(_, _, grant)| match &*denied {
                // The capability is called as the last part of the package is.
                "link" => {
                    let capability = grant.rsplit(':').next().unwrap_or(grant);
                    format!("{{ import = \"{grant}\", capability = \"{capability}\" }}")
                }
                _ => format!("\"{}\"", grant.escape_debug()),
            })
            .collect();
        all.sort();
        Some(format!(
            "\n  In production this is refused too. To allow it, write in the manifest:\n\n    \
             [[workload]]\n    name = \"{name}\"\n    {denied} = [{}]\n\n",
            all.join(", ")
        ))
    }
}
