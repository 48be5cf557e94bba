//! Each folder of `cases` is a manifest, `input.toml`, and what comes of it: the problems, and the
//! application as a `reef.toml`. `REEF_WRITE_EXPECTED=1` writes what comes of it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, path::PathBuf};

use reef_app::Manifest;
use reef_document::{Diagnostics, Severity, Source, Syntax, parse};
use reef_wagi::modules;

fn outcome(input: &str) -> String {
    let source = Source::new("shop/modules.toml", input);
    if let Ok(node) = parse(&source, Syntax::Toml) {
        assert!(modules::is_manifest(&node), "this is a modules.toml");
    }
    let mut found = Diagnostics::default();
    let application = modules::read(&source, &mut found);
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
        let outcome = outcome(&fs::read_to_string(folder.join("input.toml")).unwrap());
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
    for text in [
        "",
        "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'a.wasm'\n",
        "spin_manifest_version = 2\n[application]\nname = 'a'\n[[trigger.http]]\nroute = '/'\n",
        "module = []",
        "module = 'a'",
        "[[module]]\nname = 'a'\n",
    ] {
        let node = parse(&Source::new("a.toml", text), Syntax::Toml).unwrap();
        assert!(!modules::is_manifest(&node), "{text}");
    }
}

#[test]
fn an_application_is_called_after_its_folder_or_file() {
    for (path, name) in [
        ("shop/modules.toml", "shop"),
        ("/srv/my shop/modules.toml", "my-shop"),
        ("modules.toml", "modules"),
        ("shop/handlers.toml", "handlers"),
        ("", "wagi"),
    ] {
        let source = Source::new(path, "[[module]]\nroute = '/'\nmodule = 'a.wasm'\n");
        let application = modules::read(&source, &mut Diagnostics::default()).unwrap();
        assert_eq!(application.name.as_str(), name, "{path}");
    }
}

/// The crate's, where it is now: what was compiled may have been compiled for another checkout.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default()
}
