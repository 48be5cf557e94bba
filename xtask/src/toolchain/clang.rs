//! C and C++: Debian's clang with its WebAssembly runtime libraries.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{debian, sysroot};
use crate::cache::Cache;
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

/// Libraries beside the C library that C code in Rust crates may want.
const LIBRARIES: &[&str] = &["libsetjmp.a", "libwasi-emulated-signal.a"];

/// Has the C code of Rust crates compiled for WASI 0.1, each file with `header` before it.
pub(crate) fn for_crates(cache: &Cache, command: &mut Command, header: &Path) -> Result<()> {
    let version = install(&[])?;
    debian::ensure(&[&format!("llvm-{version}")])?;
    let library = sysroot::c_library(cache)?;
    // Only what is missing: the rest of the C library is the compiler's own.
    let libraries = cache.toolchain("c-libraries");
    fs::create_dir_all(&libraries).context("cannot write to the cache")?;
    for name in LIBRARIES {
        fs::copy(library.join("lib/wasm32-wasip1").join(name), libraries.join(name))
            .with_context(|| format!("wasi-libc has no {name}"))?;
    }
    let text = fs::read(header).with_context(|| format!("cannot read {}", header.display()))?;
    // Build scripts look at the flags, and not at the header: its digest among them tells of a change.
    let flags = format!(
        "--target=wasm32-wasip1 --sysroot={} -include {} -DREEF_HEADER=0x{}",
        library.display(),
        header.display(),
        &blake3::hash(&text).to_hex()[..8],
    );
    command.env("CC_wasm32_wasip1", format!("clang-{version}"));
    command.env("AR_wasm32_wasip1", format!("llvm-ar-{version}"));
    command.env("CFLAGS_wasm32_wasip1", flags);
    let search = format!("-Lnative={}", libraries.display());
    command.env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", search);
    Ok(())
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
