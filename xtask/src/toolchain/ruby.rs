//! Ruby: the interpreter as npm carries it, which expects a JavaScript host. Merged with a start
//! function that evaluates one program and with stand-ins for that host, it becomes a WASI 0.1
//! command.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::node;
use crate::cache::Cache;
use crate::guests::Guest;
use crate::process;

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

/// A command that runs `main.rb`.
pub(crate) fn build(cache: &Cache, guest: &Guest, out: &Path) -> Result<()> {
    let tools = node::modules(cache, PACKAGES)?;
    let scratch = cache.scratch("ruby")?;
    let read = |name: &str| {
        let path = guest.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };

    let program = read("main.rb")?;
    let bytes: String = program.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let start = read("start.wat")?
        .replace("@PROGRAM@", &bytes)
        .replace("@LENGTH@", &program.len().to_string());
    let assemble = |name: &str, text: &str| -> Result<_> {
        let path = scratch.join(name);
        let binary = wat::parse_str(text).with_context(|| format!("{name} for {}", guest.name))?;
        fs::write(&path, binary).context("cannot write to the cache")?;
        Ok(path)
    };
    let mut merge = Command::new(tools.join(".bin/wasm-merge"));
    merge.args(FEATURES).arg("--skip-export-conflicts");
    merge.arg(assemble("start.wasm", &start)?).arg("start");
    merge.arg(tools.join("@ruby/3.4-wasm-wasi/dist/ruby.wasm")).arg("ruby");
    merge.arg(assemble("js.wasm", &read("js-host.wat")?)?).arg("rb-js-abi-host");
    merge.arg(assemble("handles.wasm", &read("handles.wat")?)?).arg("canonical_abi");
    merge.arg("-o").arg(out);
    process::capture(&mut merge).map(drop)
}
