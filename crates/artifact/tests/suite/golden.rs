//! The documents that people and machines read, kept as files.
//!
//! `REEF_BLESS=1 cargo test -p reef-artifact` writes them anew; the diff is then to be judged.

use std::path::Path;

use reef_artifact::{Artifact, CanRun, Provided, report};

use crate::guests::{COMMAND_0_1, COMMAND_0_2, HTTP_0_2, assemble, component};

fn compare(name: &str, actual: &str) {
    // As Cargo says now: checkouts may share a target directory.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    let folder = folder.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = Path::new(&folder).join("tests/suite/golden").join(name);
    if std::env::var_os("REEF_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{name} differs; it is now:\n{actual}");
}

fn host() -> Vec<Provided> {
    vec![
        Provided::all("wasi:cli/environment@0.2.12"),
        Provided::all("wasi:cli/stdin@0.3.0"),
        Provided::with("wasi:io/streams@0.2.12", ["[method]input-stream.blocking-read"]),
        Provided::all("wasi:http/types@0.2.12"),
        Provided::with("wasi_snapshot_preview1", ["fd_write", "proc_exit"]),
    ]
}

fn documents(name: &str, bytes: Vec<u8>) {
    let inspection = Artifact::read(&format!("{name}.wasm"), bytes).unwrap().inspect().unwrap();
    let answer = CanRun::check(&inspection, &host());

    let mut human = Vec::new();
    report::human(&mut human, &inspection).unwrap();
    let human = String::from_utf8(human).unwrap();
    for line in human.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    compare(&format!("{name}.txt"), &human);

    let mut can_run = Vec::new();
    report::can_run(&mut can_run, &inspection, &answer).unwrap();
    compare(&format!("{name}.can-run.txt"), &String::from_utf8(can_run).unwrap());

    let mut json = Vec::new();
    report::json(&mut json, &inspection, Some(&answer)).unwrap();
    let json = String::from_utf8(json).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["reef_inspect"], 1);
    compare(&format!("{name}.json"), &json);
}

#[test]
fn a_command_of_wasi_0_1() {
    documents("command-0.1", assemble(COMMAND_0_1));
}

#[test]
fn a_command_of_wasi_0_2() {
    documents("command-0.2", component(COMMAND_0_2));
}

#[test]
fn an_http_handler_of_wasi_0_2() {
    documents("http-0.2", component(HTTP_0_2));
}
