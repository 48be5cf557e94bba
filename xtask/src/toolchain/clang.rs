//! C and C++: Debian's clang with its WebAssembly runtime libraries.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::debian;
use crate::process;

/// Raise it when the command lines below change.
pub(crate) const STAMP: &str = "clang 1";
/// The compilers that can be used, best first, as package names.
const COMPILERS: &[&str] = &["clang-22", "clang-19", "clang-18"];

/// Compiles one C file to a WASI 0.1 command.
pub(crate) fn build_c(source: &Path, out: &Path) -> Result<()> {
    let version = install(&[])?;
    compile(&format!("clang-{version}"), &[], source, out)
}

/// Compiles one C++ file to a WASI 0.1 command. Exceptions are off: the library has none.
pub(crate) fn build_cpp(source: &Path, out: &Path) -> Result<()> {
    let version = install(&["libc++-VERSION-dev-wasm32", "libc++abi-VERSION-dev-wasm32"])?;
    compile(&format!("clang++-{version}"), &["-fno-exceptions"], source, out)
}

fn compile(compiler: &str, flags: &[&str], source: &Path, out: &Path) -> Result<()> {
    let mut command = Command::new(compiler);
    // `--no-wasm-opt`: an old wasm-opt on PATH would refuse what this compiler writes.
    command.args(["--target=wasm32-wasi", "--no-wasm-opt", "-O2", "-Wno-deprecated"]);
    command.args(flags).arg(source).arg("-o").arg(out);
    process::capture(&mut command).map(drop)
}

/// Installs the compiler and returns its version.
fn install(more: &[&str]) -> Result<&'static str> {
    let compiler = debian::first_available(COMPILERS)?;
    let version = compiler.trim_start_matches("clang-");
    let needed = ["clang-VERSION", "lld-VERSION", "libclang-rt-VERSION-dev-wasm32", "wasi-libc"];
    let packages: Vec<String> =
        needed.iter().chain(more).map(|name| name.replace("VERSION", version)).collect();
    debian::ensure(&packages.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(version)
}
