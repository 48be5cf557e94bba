//! Each folder of `cases` is a manifest, `input.yaml` or `input.json`, and what comes of it: the problems, and the
//! application as a `reef.toml`. `REEF_WRITE_EXPECTED=1` writes what comes of it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use reef_app::Manifest;
use reef_document::{Diagnostics, Severity, Source, Syntax, parse};
use reef_oam::{is_manifest, read};

fn outcome(input: &str) -> String {
    let source = Source::new("wadm.yaml", input);
    if let Ok(node) = parse(&source, Syntax::Yaml) {
        assert!(is_manifest(&node), "this is a manifest of wadm");
    }
    let mut found = Diagnostics::default();
    let application = read(&source, &mut found);
    assert_eq!(application.is_none(), found.has_errors());
    let mut text = String::new();
    for one in found.iter() {
        let kind = match one.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (line, column) = one.line_and_column().unwrap_or_default();
        text += &format!("# {kind} {line}:{column}: {one}\n");
        if let Some(help) = one.help_text() {
            text += &format!("#   {help}\n");
        }
    }
    if let Some(application) = application {
        let written = toml::to_string(&application).unwrap();
        let mut found = Diagnostics::default();
        let again = Manifest::parse(&Source::new("reef.toml", written.as_str())).unwrap();
        assert_eq!(again.application(None, &mut found), Some(application), "{found:?}");
        text += &written;
    }
    text
}

#[test]
fn every_case_comes_to_what_is_expected() {
    let cases = folder().join("tests/cases");
    let mut folders: Vec<_> =
        fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut wrong = Vec::new();
    for folder in folders {
        let input = ["input.yaml", "input.json"].map(|name| fs::read_to_string(folder.join(name)));
        let outcome = outcome(&input.into_iter().find_map(Result::ok).unwrap());
        let expected = folder.join("expected.toml");
        if std::env::var_os("REEF_WRITE_EXPECTED").is_some() {
            fs::write(expected, outcome).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != outcome {
            wrong.push(format!("--- {}\n{outcome}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

#[test]
fn other_manifests_are_told_apart() {
    for (text, expected) in [
        ("", false),
        ("name = 'a'", false),
        ("apiVersion: v1\nkind: Pod\nspec:\n  containers: []\n", false),
        ("apiVersion: apps/v1\nkind: Application\nspec: {}\n", false),
        ("apiVersion: core.oam.dev/v1beta1\n", true),
        ("apiVersion: core.oam.dev/v1alpha2\n", true),
        ("kind: Application\nspec:\n  components: []\n", true),
        ("[1, 2]", false),
    ] {
        let node = parse(&Source::new("a.yaml", text), Syntax::Yaml).unwrap();
        assert_eq!(is_manifest(&node), expected, "{text}");
    }
}

/// A provider's configuration is copied to each of its links: a small manifest could be a large
/// application.
#[test]
fn copies_are_bounded() {
    let mut text = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata:\n  name: a\n\
        spec:\n  components:\n    - name: store\n      type: capability\n      properties:\n        \
        image: keyvalue-redis\n        config:\n          - name: c\n            properties:\n"
        .to_owned();
    text.extend((0..400).map(|at| format!("              k{at}: v\n")));
    text += "    - name: worker\n      type: component\n      properties:\n        image: a\n      traits:\n";
    text.extend((0..400).map(|at| {
        format!(
            "        - type: link\n          properties: {{ target: store, name: n{at}, namespace: wasi, package: keyvalue, interfaces: [store] }}\n"
        )
    }));
    let mut found = Diagnostics::default();
    assert_eq!(read(&Source::new("a.yaml", text), &mut found), None);
    let said: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("have more than 100000 values")), "{said:?}");
}

proptest! {
    /// A manifest with anything in the place of anything panics nobody, and problems have places.
    #[test]
    fn no_document_panics(
        case in 0_usize..64,
        line in 0_usize..80,
        put in "[ ]{0,8}(- )?[a-z]{0,9}:? ?(1|true|~|x|[\\[{].{0,3}[\\]}]|'.{0,4}')?",
    ) {
        let cases = folder().join("tests/cases");
        let mut folders: Vec<_> =
            fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        let folder = &folders[case % folders.len()];
        let Ok(input) = fs::read_to_string(folder.join("input.yaml")) else { return Ok(()) };
        let mut lines: Vec<_> = input.lines().collect();
        let line = line % lines.len();
        lines[line] = &put;
        let text = lines.join("\n");
        let mut found = Diagnostics::default();
        let application = read(&Source::new("a.yaml", text.as_str()), &mut found);
        prop_assert_eq!(application.is_none(), found.has_errors());
        for one in found.iter() {
            prop_assert!(one.span().is_none_or(|span| text.get(span).is_some()));
        }
    }
}

/// The crate's, where it is now: what was compiled may have been compiled for another checkout.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default()
}
