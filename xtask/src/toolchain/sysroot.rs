//! A Rust compiler for WebAssembly out of Debian packages alone: Debian's compiler, and for each
//! target a standard library compiled from the source package next to it.
//!
//! The result is a sysroot of its own with a `rustc` that uses it, so that guests are built without
//! any unstable flag. It lies in the cache under a name that changes with the compiler.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use super::rust::{self, RustToolchain, host_triple};
use crate::cache::{self, Cache};
use crate::process;

/// Raise it when this recipe changes, so that sysroots are built anew.
const RECIPE: &str = "1";
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LINKER: &str = "/usr/bin/lld-22";
/// The first suite whose C library has both WASI 0.1 and 0.2, for any architecture.
const C_LIBRARY_SUITE: &str = "bookworm-backports";
/// The last release that needs nothing newer than the compilers this project supports.
const COMPONENT_LINKER: &str = "0.5.21";

/// The Debian toolchain with the standard library of `target`, built if it is missing.
pub(super) fn with_target(cache: &Cache, target: &str) -> Result<RustToolchain> {
    debian::ensure(PACKAGES)?;
    let version = debian::version("rustc-web").context("rustc-web was installed just now")?;
    let stamp = format!("debian {version} {C_LIBRARY_SUITE} {RECIPE}");
    let short = &blake3::hash(stamp.as_bytes()).to_hex()[..12];
    let prefix = cache.toolchain(&format!("rust-debian-{short}"));

    let sysroot = PathBuf::from(
        process::capture(
            process::outside_cargo(&mut Command::new(RUSTC)).args(["--print", "sysroot"]),
        )?
        .trim(),
    );
    let rustc = prefix.join("bin/rustc");
    if !cache::is_finished(&prefix, &stamp) {
        prepare(cache, &prefix, &sysroot)?;
        cache::finish(&prefix, &stamp)?;
    }
    let libraries = prefix.join("lib/rustlib").join(target).join("lib");
    if !cache::is_finished(&libraries, &stamp) {
        build_std(cache, &sysroot, target, &libraries)?;
        cache::finish(&libraries, &stamp)?;
    }
    Ok(RustToolchain { rustc: Some(rustc), stamp })
}

/// Lays out the sysroot: the host's libraries as links, and the linkers that the compiler looks for.
fn prepare(cache: &Cache, prefix: &Path, sysroot: &Path) -> Result<()> {
    cache::remove(prefix)?;
    let (rustlib, bin) = (prefix.join("lib/rustlib"), prefix.join("bin"));
    fs::create_dir_all(&rustlib).context("cannot write to the cache")?;
    fs::create_dir_all(&bin).context("cannot write to the cache")?;
    let host = host_triple(&mut Command::new(RUSTC))?;
    for part in [&*host, "src", "etc"] {
        link(&sysroot.join("lib/rustlib").join(part), &rustlib.join(part))?;
    }
    let at = bin.display();
    // The compiler finds `rust-lld` and `wasm-component-ld` on PATH.
    script(
        &bin.join("rustc"),
        &format!(
            "PATH=\"{at}:$PATH\"\nexport PATH\nexec {RUSTC} --sysroot \"{}\" \"$@\"\n",
            prefix.display()
        ),
    )?;
    script(&bin.join("rust-lld"), &format!("exec {LINKER} \"$@\"\n"))?;
    link(Path::new("/usr/bin/wasm-ld-22"), &bin.join("wasm-ld"))?;
    link(&component_linker(cache)?, &bin.join("wasm-component-ld"))
}

/// Compiles the standard library for one target and gathers it in `libraries`.
fn build_std(cache: &Cache, sysroot: &Path, target: &str, libraries: &Path) -> Result<()> {
    eprintln!("building Rust's standard library for {target} (once, a minute or two)");
    let source = fs::canonicalize(sysroot.join("lib/rustlib/src/rust"))
        .context("rust-web-src has no library source where it should be")?;
    let work = cache.scratch("std")?;
    let mut build = Command::new(CARGO);
    process::outside_cargo(&mut build)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTC", RUSTC)
        // The standard library uses what stable compilers refuse elsewhere.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Clinker=true")
        .env("__CARGO_DEFAULT_LIB_METADATA", "reef-guests")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_PANIC", "unwind")
        .args(["build", "--release", "--locked", "--features", "panic-unwind"])
        .args(["--target", target, "--manifest-path"])
        .arg(source.join("library/sysroot/Cargo.toml"))
        .arg("--target-dir")
        .arg(&work);
    process::capture(&mut build)?;

    cache::remove(libraries)?;
    let self_contained = libraries.join("self-contained");
    fs::create_dir_all(&self_contained).context("cannot write to the cache")?;
    let built = work.join(target).join("release/deps");
    for entry in fs::read_dir(&built).context("the build left nothing")? {
        let path = entry.context("the build left nothing")?.path();
        if path.extension().is_some_and(|extension| extension == "rlib") {
            copy_into(&path, libraries)?;
        }
    }
    if let Some(names) = c_library_folders(target) {
        let unpacked = c_library(cache)?.join("lib");
        let folder = names
            .iter()
            .map(|name| unpacked.join(name))
            .find(|folder| folder.is_dir())
            .with_context(|| format!("wasi-libc has no folder for {target}"))?;
        for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
            copy_into(&folder.join(file), &self_contained)?;
        }
    }
    cache::remove(&work)
}

/// The C library with its headers, for every target: the folder that has `include` and `lib`.
pub(super) fn c_library(cache: &Cache) -> Result<PathBuf> {
    Ok(debian::unpack(cache, C_LIBRARY_SUITE, "wasi-libc")?.join("usr"))
}

/// The names under which Debian keeps the C library of a target, if the target has one.
fn c_library_folders(target: &str) -> Option<&'static [&'static str]> {
    match target {
        "wasm32-wasip1" => Some(&["wasm32-wasip1", "wasm32-wasi"]),
        "wasm32-wasip2" => Some(&["wasm32-wasip2"]),
        _ => None,
    }
}

/// `wasm-component-ld`, which comes with every rustup toolchain; compiled when there is none.
fn component_linker(cache: &Cache) -> Result<PathBuf> {
    const NAME: &str = "wasm-component-ld";
    let host = host_triple(&mut Command::new(RUSTC))?;
    let in_toolchain =
        process::capture(rust::rustc().args(["--print", "sysroot"])).map(|sysroot| {
            Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin").join(NAME)
        });
    if let Some(found) = in_toolchain.ok().filter(|path| path.is_file()) {
        return Ok(found);
    }
    if let Some(found) = process::find(NAME) {
        return Ok(found);
    }
    eprintln!("compiling {NAME} {COMPONENT_LINKER} (once)");
    let root = cache.toolchain(NAME);
    let mut install = Command::new(crate::workspace::cargo_program());
    process::outside_cargo(&mut install)
        .args(["install", "--locked", "--version", COMPONENT_LINKER, NAME, "--root"])
        .arg(&root);
    process::capture(&mut install)?;
    Ok(root.join("bin").join(NAME))
}

fn link(to: &Path, at: &Path) -> Result<()> {
    symlink(to, at).with_context(|| format!("cannot link {} to {}", at.display(), to.display()))
}

fn script(at: &Path, body: &str) -> Result<()> {
    fs::write(at, format!("#!/bin/sh\n{body}"))
        .and_then(|()| fs::set_permissions(at, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", at.display()))
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}
