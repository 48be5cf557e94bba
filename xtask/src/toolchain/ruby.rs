//! Ruby: the interpreter as npm carries it, which expects a JavaScript host. Merged with a start
//! function that evaluates one program and with stand-ins for that host, it becomes a WASI 0.1
//! command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::node;
use crate::cache::Cache;
use crate::guests::Guest;
use crate::process;
use crate::workspace::Workspace;

pub(crate) const PACKAGES: &str = "@ruby/3.4-wasm-wasi@2.10.1 binaryen@132.0.0";
/// What the interpreter was compiled with. Naming all features would make wasm-merge write a form of
/// imports that is not standard yet.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The interpreter alone, and with Ruby's own libraries.
const INTERPRETER: &str = "ruby.wasm";
const INTERPRETER_AND_LIBRARIES: &str = "ruby+stdlib.wasm";
/// Stand-ins for the host that the interpreter expects lie beside the guest in Ruby.
const STAND_INS: &str = "guests/ruby-hello";

/// A command that runs `main.rb`.
pub(crate) fn build(cache: &Cache, guest: &Guest, out: &Path) -> Result<()> {
    let file = |name: &str| guest.folder.join(name);
    let start = (file("start.wat"), file("main.rb"));
    merge(cache, INTERPRETER, start, &guest.folder, out)
}

/// The runtime of workers in Ruby: a command that runs `worker.rb`, with Ruby's own libraries.
pub(crate) fn build_runtime(
    workspace: &Workspace,
    cache: &Cache,
    folder: &Path,
    out: &Path,
) -> Result<()> {
    let start = (folder.join("start.wat"), folder.join("worker.rb"));
    merge(cache, INTERPRETER_AND_LIBRARIES, start, &workspace.path(STAND_INS), out)
}

/// Puts an interpreter, a start function with its program, and the stand-ins together.
fn merge(
    cache: &Cache,
    interpreter: &str,
    (start, program): (PathBuf, PathBuf),
    stand_ins: &Path,
    out: &Path,
) -> Result<()> {
    let tools = node::modules(cache, PACKAGES)?;
    let scratch = cache.scratch("ruby")?;
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let program = read(&program)?;
    let bytes: String = program.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let start =
        read(&start)?.replace("@PROGRAM@", &bytes).replace("@LENGTH@", &program.len().to_string());
    let assemble = |name: &str, text: &str| -> Result<_> {
        let path = scratch.join(name);
        let binary = wat::parse_str(text).with_context(|| format!("{name} for Ruby"))?;
        fs::write(&path, binary).context("cannot write to the cache")?;
        Ok(path)
    };
    let mut merge = Command::new(tools.join(".bin/wasm-merge"));
    merge.args(FEATURES).arg("--skip-export-conflicts");
    merge.arg(assemble("start.wasm", &start)?).arg("start");
    merge.arg(tools.join("@ruby/3.4-wasm-wasi/dist").join(interpreter)).arg("ruby");
    let host = read(&stand_ins.join("js-host.wat"))?;
    merge.arg(assemble("js.wasm", &host)?).arg("rb-js-abi-host");
    let handles = read(&stand_ins.join("handles.wat"))?;
    merge.arg(assemble("handles.wasm", &handles)?).arg("canonical_abi");
    merge.arg("-o").arg(out);
    process::capture(&mut merge).map(drop)
}
