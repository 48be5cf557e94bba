//! Import by import: satisfied by which version, or missing and what is nearest.

use reef_artifact::{Artifact, CanRun, Missing, Provided, Verdict, can_run};

use crate::guests::{COMMAND_0_1, COMMAND_0_2, from_text, from_world};

fn by(name: &str) -> Verdict {
    Verdict::Satisfied { by: name.into() }
}

fn missing(why: Missing, nearest: Option<&str>) -> Verdict {
    Verdict::Missing { why, nearest: nearest.map(Into::into) }
}

fn verdicts(artifact: &Artifact, provided: &[Provided]) -> Vec<Verdict> {
    let answer = can_run(artifact, provided).unwrap();
    answer.imports.into_iter().map(|checked| checked.verdict).collect()
}

fn importing(name: &str) -> Artifact {
    from_text(&format!(r#"(component (import "{name}" (instance (export "f" (func)))))"#))
}

#[test]
fn versions_of_one_track_answer_each_other() {
    let host = [
        Provided::all("wasi:http/types@0.2.12"),
        Provided::all("wasi:http/types@0.3.0"),
        Provided::all("wasi:http/types@0.3.0-rc-2026-03-15"),
    ];
    let cases = [
        ("wasi:http/types@0.2.0", by("wasi:http/types@0.2.12")),
        ("wasi:http/types@0.2.12", by("wasi:http/types@0.2.12")),
        ("wasi:http/types@0.2.99", by("wasi:http/types@0.2.12")),
        ("wasi:http/types@0.3.0", by("wasi:http/types@0.3.0")),
        ("wasi:http/types@0.3.0-rc-2026-03-15", by("wasi:http/types@0.3.0-rc-2026-03-15")),
        (
            "wasi:http/types@0.3.0-rc-2026-01-06",
            missing(Missing::Version, Some("wasi:http/types@0.3.0-rc-2026-03-15")),
        ),
        (
            "wasi:http/types@0.2.0-rc-2023-11-10",
            missing(Missing::Version, Some("wasi:http/types@0.2.12")),
        ),
        ("wasi:http/types@0.4.0", missing(Missing::Version, Some("wasi:http/types@0.3.0"))),
        ("wasi:http/type@0.2.0", missing(Missing::Name, Some("wasi:http/types@0.3.0"))),
        ("acme:billing/ledger@1.0.0", missing(Missing::Name, None)),
    ];
    for (name, expected) in cases {
        assert_eq!(verdicts(&importing(name), &host), [expected], "{name}");
    }
}

#[test]
fn an_interface_without_the_functions_used_does_not_satisfy() {
    let artifact = from_world(COMMAND_0_2);
    let host = [
        Provided::with("wasi:io/streams@0.2.3", ["[method]input-stream.read"]),
        Provided::with("wasi:cli/environment@0.2.6", ["get-environment"]),
        Provided::all("wasi:cli/stdin@0.2.6"),
    ];
    let answer = can_run(&artifact, &host).unwrap();
    assert!(!answer.all_satisfied());
    let missing: Vec<_> = answer.missing().collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].import, "wasi:cli/environment@0.2.3");
    assert_eq!(
        missing[0].verdict,
        Verdict::Missing {
            why: Missing::Functions { functions: vec!["initial-cwd".into()] },
            nearest: Some("wasi:cli/environment@0.2.6".into()),
        }
    );
}

#[test]
fn core_functions_are_checked_one_by_one() {
    let artifact = from_text(COMMAND_0_1);
    let host = [Provided::with("wasi_snapshot_preview1", ["fd_write", "proc_exit2", "fd_read"])];
    assert_eq!(
        verdicts(&artifact, &host),
        [
            by("wasi_snapshot_preview1"),
            missing(Missing::Item, Some("wasi_snapshot_preview1.proc_exit2")),
        ]
    );
    assert_eq!(
        verdicts(&artifact, &[Provided::all("wasi_snapshot_preview2")]),
        [
            missing(Missing::Name, Some("wasi_snapshot_preview2")),
            missing(Missing::Name, Some("wasi_snapshot_preview2")),
        ]
    );
}

#[test]
fn nothing_imported_is_nothing_missing() {
    let inspection = from_text("(module)").inspect().unwrap();
    assert!(CanRun::check(&inspection, &[]).all_satisfied());
}

#[test]
fn a_type_that_a_world_names_needs_no_host() {
    let artifact = from_world("import log: func(at: level); enum level { low, high }");
    let answer = can_run(&artifact, &[Provided::all("log")]).unwrap();
    assert!(answer.all_satisfied(), "{answer:?}");
}
