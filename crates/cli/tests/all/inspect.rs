//! `reef inspect`.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    process::{Ended, finish},
    support::{eventually, guest, reef},
};

fn command(flags: &[&str], file: &Path) -> Command {
    let mut command = reef();
    command.arg("inspect").args(flags).arg(file);
    command
}

fn inspect(flags: &[&str], file: &Path) -> Ended {
    finish(command(flags, file), b"")
}

fn json(flags: &[&str], file: &Path) -> Value {
    let ended = inspect(&[flags, &["--json"]].concat(), file);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn languages(report: &Value) -> Vec<&str> {
    let names = report["languages"].as_array().unwrap().iter();
    names.map(|language| language["name"].as_str().unwrap()).collect()
}

#[test]
fn every_kind_is_told() {
    for (name, form, kind, wasi, language) in [
        ("p1-unstable", "module", "command", "unstable", None),
        ("p1-hello", "module", "command", "0.1", Some("Rust")),
        ("p2-cli", "component", "command", "0.2", Some("Rust")),
        ("p3-cli", "component", "command", "0.3", Some("Rust")),
        ("p2-hello-http", "component", "http-handler", "0.2", Some("Rust")),
        ("p3-hello-http", "component", "http-handler", "0.3", Some("Rust")),
        ("p2-lib", "component", "library", "", Some("Rust")),
        ("as-add", "module", "library", "", None),
        ("c-hello", "module", "command", "0.1", Some("C11")),
        ("cpp-hello", "module", "command", "0.1", Some("C++14")),
        ("go-hello", "module", "command", "0.1", Some("Go")),
        ("ruby-hello", "module", "command", "0.1", Some("Ruby")),
        ("js-http", "component", "http-handler", "0.2", Some("JavaScript")),
        ("py-http", "component", "http-handler", "0.2", Some("Python")),
        ("py-http-p3", "component", "http-handler", "0.3", Some("Python")),
    ] {
        let report = json(&[], &guest(name));
        assert_eq!((&report["form"], &report["kind"]), (&form.into(), &kind.into()), "{name}");
        assert_eq!(report["kinds"][0]["wasi"].as_str().unwrap_or(""), wasi, "{name}");
        if let Some(language) = language {
            assert!(languages(&report).contains(&language), "{name}: {}", report["languages"]);
        }
        assert_eq!(report["size"], fs::metadata(guest(name)).unwrap().len(), "{name}");
        let digest = report["digest"].as_str().unwrap();
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    }
}

#[test]
fn people_read_the_same() {
    let ended = inspect(&[], &guest("p1-hello"));
    ended.prints(&[
        "kind    command, WASI 0.1",
        "form    module",
        "digest  sha256:",
        "source  Rust",
    ]);
    ended.prints(&["wasi_snapshot_preview1\n", "fd_write", "memory", "_start"]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_digest_is_that_of_the_file() {
    // As the `sha256sum` of any machine says it.
    let sum = Command::new("sha256sum").arg(guest("p2-cli")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let digest = json(&[], &guest("p2-cli"))["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest.strip_prefix("sha256:"), sum.split(' ').next());
}

#[test]
fn interfaces_are_written_as_wit() {
    let ended = inspect(&["--wit"], &guest("p2-lib"));
    ended.prints(&["world root {", "record person {", "enum mood {"]);
    inspect(&["--wit"], &guest("p3-hello-http")).prints(&["export wasi:http/handler@0.3"]);
    inspect(&["--wit"], &guest("p1-hello"))
        .fails(125, &["is a core module and has no WIT", "`wasm-tools component new`"]);
}

#[test]
fn text_and_binary_are_the_same_to_it() {
    let dir = tempdir().unwrap();
    for name in ["as-add", "p2-cli", "p3-cli"] {
        let text = inspect(&["--wat"], &guest(name));
        assert_eq!(text.status(), 0);
        let file = dir.path().join(format!("{name}.wat"));
        fs::write(&file, &text.stdout).unwrap();
        let (of_text, of_binary) = (json(&[], &file), json(&[], &guest(name)));
        for field in ["form", "kind", "kinds", "imports", "exports", "memories"] {
            assert_eq!(of_text[field], of_binary[field], "{name}: {field}");
        }
        assert_eq!(of_text["text_form"], true);
    }
}

#[test]
fn everything_that_runs_here_can_run() {
    for name in [
        "p1-unstable",
        "p1-hello",
        "p2-cli",
        "p3-cli",
        "p2-http-kit",
        "p3-http-kit",
        "go-hello",
        "ruby-hello",
    ] {
        let ended = inspect(&["--can-run"], &guest(name));
        ended.prints(&[" can run: all "]);
        assert!(!ended.stdout.contains("missing"), "{}", ended.stdout);
    }
}

#[test]
fn what_is_missing_is_told_with_the_nearest_there_is() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("needs.wat");
    fs::write(
        &file,
        r#"(component
            (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance
                (export "graph" (type (sub resource)))))
            (import "wasi:cli/environment@0.2.99" (instance))
            (import "wasi:cli/environment@0.2.3" (instance
                (export "get-arguments" (func (result (list string)))))))"#,
    )
    .unwrap();
    let ended = inspect(&["--can-run"], &file);
    assert_eq!(ended.status(), 1, "{ended:?}");
    for part in [
        "missing  wasi:nn/graph@0.2.0-rc-2024-10-28",
        "ok       wasi:cli/environment@0.2.3\n           by wasi:cli/environment@0.2.12",
        "cannot run: ",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    let report = json(&["--can-run"], &file);
    let imports = report["can_run"]["imports"].as_array().unwrap();
    assert!(imports.iter().any(|import| import["verdict"] == "missing"), "{report}");
    assert!(imports.iter().any(|import| import["by"] == "wasi:cli/environment@0.2.12"), "{report}");
}

#[test]
fn versions_are_compared_as_wasi_means_them() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("import.wat");
    for (import, there) in [
        ("wasi:cli/environment@0.2.0", true),
        ("wasi:cli/environment@0.2.12", true),
        ("wasi:cli/environment@0.3.0", true),
        ("wasi:cli/environment@0.4.0", false),
        ("wasi:cli/environment@0.1.0", false),
        ("wasi:sockets/ip-name-lookup@0.2.5", true),
        ("wasi:sockets/ip-name-lookup@0.3.0", true),
        ("wasi:http/outgoing-handler@0.2.2", true),
        ("wasi:http/client@0.3.0", true),
        ("wasi:keyvalue/store@0.2.0-draft", true),
        ("wasi:keyvalue/store@0.2.0-draft3", false),
        ("wasi:nn/graph@0.2.0-rc-2024-10-28", false),
    ] {
        fs::write(&file, format!(r#"(component (import "{import}" (instance)))"#)).unwrap();
        let said = inspect(&["--can-run"], &file).status() == 0;
        assert_eq!(said, there, "{import}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for flags in [&["--wat"][..], &["--json"], &[]] {
        let mut command = command(flags, &guest("go-hello"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
        let status = eventually("the end of it", || child.try_wait().unwrap());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{flags:?}");
    }
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    inspect(&["--wit", "--wat"], &guest("as-add")).fails(2, &["cannot be used with"]);
    inspect(&["--wit", "--can-run"], &guest("as-add")).fails(2, &["cannot be used with"]);
}
