//! Building guest programs: every folder with a `guest.toml` under `guests/` and `examples/` becomes
//! `NAME.wasm` in the cache. What did not change since the last time is not built again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cache::{self, Cache};
use crate::process;
use crate::toolchain::rust::RustToolchain;
use crate::toolchain::{clang, go, node, python, ruby, wit, zig};
use crate::workspace::Workspace;

/// Folders whose sub-folders are guests, and the Cargo workspaces that those in Rust belong to.
const PLACES: &[&str] = &["guests", "guests/rust", "guests/spin", "guests/wasmcloud", "examples"];

/// One guest: a folder, and how to build it.
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
}

/// `guest.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    language: Language,
    /// A Rust target triple, or `bare` for a module without imports.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// The WIT world that a component of an interpreted language is built for.
    #[serde(default)]
    world: Option<String>,
}

impl Manifest {
    pub(crate) fn world(&self) -> Result<String> {
        self.world.clone().context("guest.toml names no world")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    #[serde(rename = "assemblyscript")]
    AssemblyScript,
    C,
    Cpp,
    Go,
    #[serde(rename = "javascript")]
    JavaScript,
    Python,
    Ruby,
    Rust,
    /// WebAssembly's own text format.
    Wat,
    Zig,
}

impl Language {
    /// Changes when the toolchain does, so that guests are built again. Rust's is only known once the
    /// toolchain is chosen.
    fn stamp(self) -> &'static str {
        match self {
            Self::AssemblyScript => node::ASSEMBLYSCRIPT,
            Self::C | Self::Cpp => clang::STAMP,
            Self::Go => go::STAMP,
            Self::JavaScript => node::JAVASCRIPT,
            Self::Python => python::STAMP,
            Self::Ruby => ruby::PACKAGES,
            Self::Wat => "wat 1",
            Self::Zig => zig::STAMP,
            Self::Rust => "",
        }
    }
}

/// Which guests to build.
pub(crate) struct Wanted {
    names: Vec<String>,
}

impl Wanted {
    /// These, or all when there is no name.
    pub(crate) fn named(names: Vec<String>) -> Self {
        Self { names }
    }

    fn select(&self, all: Vec<Guest>) -> Result<Vec<Guest>> {
        if self.names.is_empty() {
            return Ok(all);
        }
        for name in &self.names {
            if !all.iter().any(|guest| guest.name == *name) {
                let known: Vec<&str> = all.iter().map(|guest| &*guest.name).collect();
                bail!("there is no guest {name}; there are {}", known.join(", "));
            }
        }
        Ok(all.into_iter().filter(|guest| self.names.contains(&guest.name)).collect())
    }
}

/// What became of the guests.
#[derive(Default)]
pub(crate) struct Report {
    built: usize,
    current: usize,
    failed: Vec<(String, anyhow::Error)>,
}

impl Report {
    /// An error that names every guest that could not be built.
    pub(crate) fn into_result(self) -> Result<()> {
        println!(
            "guests: {} built, {} current, {} failed",
            self.built,
            self.current,
            self.failed.len()
        );
        if self.failed.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.failed.iter().map(|(name, _)| &**name).collect();
        bail!("could not be built: {}", names.join(", "))
    }

    fn done(&mut self, name: &str, elapsed: Duration) {
        println!("guest {name}: built in {:.1} s", elapsed.as_secs_f64());
        self.built += 1;
    }

    fn fail(&mut self, cache: &Cache, name: &str, error: anyhow::Error) {
        println!("guest {name}: FAILED: {error:#}");
        // A test must not find what an older source became.
        let _ = fs::remove_file(artefact(cache, name));
        self.failed.push((name.to_owned(), error));
    }
}

/// Builds the wanted guests, those in Rust first. One that fails does not keep others from being
/// built; the report names it.
pub(crate) fn build(workspace: &Workspace, cache: &Cache, wanted: &Wanted) -> Result<Report> {
    let guests = wanted.select(discover(workspace)?)?;
    let mut report = Report::default();
    let (rust, others): (Vec<_>, Vec<_>) =
        guests.into_iter().partition(|guest| guest.manifest.language == Language::Rust);
    build_rust(workspace, cache, rust, &mut report)?;
    for guest in others {
        let key = cache::content_key(
            std::slice::from_ref(&guest.folder),
            guest.manifest.language.stamp(),
        )?;
        if is_current(cache, &guest.name, &key) {
            report.current += 1;
            continue;
        }
        let started = Instant::now();
        let made = cache.scratch("guest").map(|folder| folder.join("out.wasm"));
        let outcome = made.and_then(|made| {
            build_other(workspace, cache, &guest, &made)?;
            publish(cache, &guest.name, &made, &key)
        });
        match outcome {
            Ok(()) => report.done(&guest.name, started.elapsed()),
            Err(error) => report.fail(cache, &guest.name, error),
        }
    }
    Ok(report)
}

fn build_other(workspace: &Workspace, cache: &Cache, guest: &Guest, out: &Path) -> Result<()> {
    let source = |name: &str| guest.folder.join(name);
    match guest.manifest.language {
        Language::AssemblyScript => node::build_assemblyscript(cache, guest, out),
        Language::C => clang::build_c(&source("main.c"), out),
        Language::Cpp => clang::build_cpp(&source("main.cpp"), out),
        Language::Go => go::build(cache, &guest.folder, out),
        Language::JavaScript => node::build_javascript(workspace, cache, guest, out),
        Language::Python => python::build(workspace, cache, guest, out),
        Language::Ruby => ruby::build(cache, guest, out),
        Language::Zig => zig::build(cache, &source("main.zig"), out),
        Language::Wat => {
            let binary = wat::parse_file(source("main.wat"))?;
            fs::write(out, binary).context("cannot write to the cache")
        }
        Language::Rust => bail!("guests in Rust are built together"),
    }
}

/// Rust guests of one workspace and one target are one `cargo build`, so that both cores have work.
fn build_rust(
    workspace: &Workspace,
    cache: &Cache,
    guests: Vec<Guest>,
    report: &mut Report,
) -> Result<()> {
    let mut batches: BTreeMap<(String, PathBuf), Vec<Guest>> = BTreeMap::new();
    for guest in guests {
        let target = guest.manifest.target.clone();
        let target = target.with_context(|| format!("{} has no target", guest.name))?;
        let place = guest.folder.parent().context("a guest lies in a workspace")?.to_owned();
        batches.entry((target, place)).or_default().push(guest);
    }
    for ((target, place), guests) in batches {
        let toolchain = match RustToolchain::for_target(cache, &target) {
            Ok(toolchain) => toolchain,
            Err(error) => {
                let problem = format!("{error:#}");
                for guest in guests {
                    report.fail(cache, &guest.name, anyhow::Error::msg(problem.clone()));
                }
                continue;
            }
        };
        let mut changed = Vec::new();
        for guest in guests {
            let shared = [place.join("Cargo.toml"), place.join("Cargo.lock")];
            let sources: Vec<_> = shared.into_iter().chain([guest.folder.clone()]).collect();
            let key = cache::content_key(&sources, toolchain.stamp())?;
            if is_current(cache, &guest.name, &key) {
                report.current += 1;
            } else {
                changed.push((guest, key));
            }
        }
        if !changed.is_empty() {
            build_batch(workspace, cache, &toolchain, (&target, &place), &changed, report)?;
        }
    }
    Ok(())
}

fn build_batch(
    workspace: &Workspace,
    cache: &Cache,
    toolchain: &RustToolchain,
    (target, place): (&str, &Path),
    guests: &[(Guest, String)],
    report: &mut Report,
) -> Result<()> {
    let wasi_03 = wit::of_crate(workspace, "wasip3")?;
    let cargo = |names: &[&str]| {
        let mut command = toolchain.build(cache, &place.join("Cargo.toml"), target);
        command.env("REEF_WASI_03_WIT", &wasi_03);
        command.args(names.iter().flat_map(|name| ["--package", *name]));
        process::capture(&mut command)
    };
    let names: Vec<&str> = guests.iter().map(|(guest, _)| &*guest.name).collect();
    println!("building {} guests in Rust for {target}", names.len());
    let started = Instant::now();
    let together = cargo(&names);
    for (guest, key) in guests {
        // Whose fault it was shows when each is built alone; the others are ready by then.
        let alone = if together.is_ok() { Ok(String::new()) } else { cargo(&[&guest.name]) };
        let folder = cache.guest_target().join(target).join("release");
        let binary = folder.join(format!("{}.wasm", guest.name));
        let library = folder.join(format!("{}.wasm", guest.name.replace('-', "_")));
        let made = if binary.is_file() { binary } else { library };
        match alone.and_then(|_| publish(cache, &guest.name, &made, key)) {
            Ok(()) => report.done(&guest.name, started.elapsed()),
            Err(error) => report.fail(cache, &guest.name, error),
        }
    }
    Ok(())
}

/// Every guest of the checkout, by name.
fn discover(workspace: &Workspace) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for place in PLACES {
        let place = workspace.path(place);
        let unreadable = || format!("cannot list {}", place.display());
        for entry in fs::read_dir(&place).with_context(unreadable)? {
            let folder = entry.with_context(unreadable)?.path();
            let manifest = folder.join("guest.toml");
            if !manifest.is_file() {
                continue;
            }
            let text = fs::read_to_string(&manifest)?;
            let manifest = toml::from_str(&text)
                .with_context(|| format!("{} is not right", manifest.display()))?;
            let name = folder.file_name().context("a folder has a name")?;
            let name = name.to_string_lossy().into_owned();
            guests.push(Guest { name, folder, manifest });
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

/// Where a finished guest lies.
pub(crate) fn artefact(cache: &Cache, name: &str) -> PathBuf {
    cache.guests().join(format!("{name}.wasm"))
}

fn key_file(cache: &Cache, name: &str) -> PathBuf {
    cache.guests().join(format!(".{name}.key"))
}

fn is_current(cache: &Cache, name: &str, key: &str) -> bool {
    let found = fs::read_to_string(key_file(cache, name));
    artefact(cache, name).is_file() && found.is_ok_and(|found| found == key)
}

/// Puts a finished guest where tests look, whole or not at all.
fn publish(cache: &Cache, name: &str, made: &Path, key: &str) -> Result<()> {
    let partial = cache.guests().join(format!(".{name}.partial"));
    fs::copy(made, &partial).with_context(|| format!("the build left no {}", made.display()))?;
    fs::rename(&partial, artefact(cache, name)).context("cannot write to the cache")?;
    fs::write(key_file(cache, name), key).context("cannot write to the cache")
}

#[cfg(test)]
mod tests;
