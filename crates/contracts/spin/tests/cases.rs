//! A directory is a test: `tests/cases/NAME/spin.toml`, and beside it what comes of it:
//!
//! * `expected.toml`: the application, as a `reef.toml`; none if it is unusable;
//! * `expected.txt`: what is said of the manifest, a line each; none if nothing is.
//!
//! A first line `# profile: NAME` asks for that profile. `REEF_WRITE_VECTORS=1` writes the files anew:
//! look at the change.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use reef_app::{Application, Manifest};
use reef_document::{Diagnostics, Severity, Source, Syntax, parse};

fn read(text: &str) -> (Option<Application>, String) {
    let source = Source::new("spin.toml", text);
    let profile = text.lines().next().and_then(|line| line.strip_prefix("# profile: "));
    let mut found = Diagnostics::default();
    let application = reef_spin::read(&source, profile, &mut found);
    assert_eq!(application.is_none(), found.has_errors());
    let mut said = String::new();
    for one in found.iter() {
        let (line, column) = one.line_and_column().unwrap_or_default();
        let kind = match one.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(said, "{line}:{column}: {kind}: {one}").unwrap();
        if let Some(help) = one.help_text() {
            writeln!(said, "    {help}").unwrap();
        }
    }
    (application, said)
}

/// What is written anew, or has to be there.
fn compare(path: &Path, is: &str, wrong: &mut Vec<String>) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if is == expected {
        return;
    }
    if std::env::var_os("REEF_WRITE_VECTORS").is_none() {
        wrong.push(format!("{} is not\n{is}", path.display()));
    } else if is.is_empty() {
        fs::remove_file(path).unwrap();
    } else {
        fs::write(path, is).unwrap();
    }
}

fn cases() -> Vec<PathBuf> {
    let cases = folder().join("tests/cases");
    let entries = fs::read_dir(cases).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// A value that fits nowhere, or where nobody looks for it.
const ODD: [&str; 14] = [
    "0",
    "-1",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"{{ a }}\"",
    "\"{{\"",
    "\"*\"",
    "\"../..\"",
    "[[]]",
    "{ a = 1 }",
    "99999999",
    "\"\\u0000\\n\"",
];

proptest! {
    /// A manifest with some lines gone, twice, or with another value is read, or refused at a place;
    /// what is read is the same when it is written.
    #[test]
    fn no_manifest_is_too_odd(
        case: prop::sample::Index,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, 0..ODD.len()), 0..4),
    ) {
        let all = cases();
        let text = fs::read_to_string(case.get(&all).join("spin.toml")).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for (at, edit, odd) in edits {
            let at = at.index(lines.len());
            match edit {
                0 => lines[at].clear(),
                1 => lines.insert(at, lines[at].clone()),
                _ => {
                    let key = lines[at].split_once('=').map(|(key, _)| format!("{key}= {}", ODD[odd]));
                    lines[at] = key.unwrap_or_default();
                }
            }
        }
        let text = lines.join("\n");
        let source = Source::new("spin.toml", text.as_str());
        let mut found = Diagnostics::default();
        let application = reef_spin::read(&source, None, &mut found);
        prop_assert_eq!(application.is_none(), found.has_errors(), "{}", text);
        for one in found.iter() {
            prop_assert!(one.span().is_none_or(|span| text.get(span).is_some()), "{}", text);
        }
        if let Some(application) = application {
            let written = Source::new("reef.toml", toml::to_string(&application).unwrap());
            let mut found = Diagnostics::default();
            let again = Manifest::parse(&written).unwrap().application(None, &mut found);
            prop_assert_eq!(again, Some(application), "{}\n{:?}", text, found);
        }
    }
}

#[test]
fn each_manifest_is_the_application_beside_it() {
    let names = cases();
    assert!(names.len() > 15);
    let mut wrong = Vec::new();
    for case in names {
        let text = fs::read_to_string(case.join("spin.toml")).unwrap();
        let source = Source::new("spin.toml", text.as_str());
        assert!(parse(&source, Syntax::Toml).is_ok_and(|node| reef_spin::is_manifest(&node)));
        let (application, said) = read(&text);
        let written = application.as_ref().map(|all| toml::to_string(all).unwrap());
        compare(&case.join("expected.toml"), &written.clone().unwrap_or_default(), &mut wrong);
        compare(&case.join("expected.txt"), &said, &mut wrong);
        // What was written is a manifest, and the same.
        let Some(written) = written else { continue };
        let source = Source::new("reef.toml", written);
        let mut found = Diagnostics::default();
        let again = Manifest::parse(&source).unwrap().application(None, &mut found);
        assert_eq!(again, application, "{}: {found:?}", case.display());
    }
    assert!(wrong.is_empty(), "{}\nREEF_WRITE_VECTORS=1 writes these anew", wrong.join("\n"));
}

/// Some words stand for many destinations and links, and a manifest has room for many words.
#[test]
fn a_manifest_does_not_explode() {
    for hosts in ["http://*.spin.internal", "http://*:1..30"] {
        let mut text = "spin_manifest_version = 2\napplication.name = 'a'\n".to_owned();
        for at in 0..300 {
            writeln!(text, "[[trigger.http]]\nroute = '/{at}'\ncomponent = 'a{at}'").unwrap();
            writeln!(text, "[component.a{at}]\nsource = 'a.wasm'").unwrap();
            writeln!(text, "allowed_outbound_hosts = ['{hosts}']").unwrap();
        }
        let (application, said) = read(&text);
        assert_eq!(application, None);
        assert_eq!(said.matches("more destinations than Reef grants").count(), 1, "{hosts}");
    }
}

/// The crate's, where it is now: what was compiled may have been compiled for another checkout.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default()
}
