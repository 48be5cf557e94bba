//! What the command says of itself.

use std::fs;

use tempfile::tempdir;

use crate::{process::finish, support::reef};

const COMMANDS: [(&str, &str); 20] = [
    ("run", "Run a command, or call a function with --invoke"),
    ("serve", "Answer HTTP requests with one or more workloads"),
    ("up", "Run applications on this machine"),
    ("inspect", "Say what a file is, what it needs, and whether Reef can run it"),
    ("check", "Say what is wrong with a manifest, and where"),
    ("dev", "Run an application while it is worked on: build, swap, explain"),
    ("convert", "Write a manifest of any kind as reef.toml"),
    ("new", "Begin an application from a template"),
    ("build", "Build the artifacts of an application"),
    ("test", "Run an application's tests against it"),
    ("ps", "Say what runs"),
    ("logs", "Print what workloads said"),
    ("top", "Show what workloads do, again and again"),
    ("apply", "Put a changed application in place of the one that runs"),
    ("rollback", "Go back to an earlier revision of an application"),
    ("restart", "Give an application or workload fresh instances"),
    ("stop", "End an application, or a whole host"),
    ("publish", "Put a message on a host's bus"),
    ("completions", "Print a completion script for a shell"),
    ("man", "Print the manual page, or write one page a command into a folder"),
];

fn said(args: &[&str]) -> String {
    let mut command = reef();
    command.args(args).env("COLUMNS", "200");
    let ended = finish(command, b"");
    assert_eq!(ended.status(), 0, "{ended:?}");
    ended.stdout
}

#[test]
fn every_command_says_what_it_does() {
    let all = said(&["--help"]);
    for (name, about) in COMMANDS {
        assert!(all.contains(about), "{about:?} is not in\n{all}");
        for asked in [&[name, "--help"][..], &["help", name]] {
            let help = said(asked);
            assert!(help.starts_with(about), "{asked:?}:\n{help}");
            assert!(help.contains(&format!("Usage: reef {name}")), "{asked:?}:\n{help}");
        }
    }
    assert!(said(&["run", "--help"]).contains("--deadline <TIME>"));
    assert!(said(&["serve", "--help"]).contains("--tls-cert <FILE>"));
}

#[test]
fn completions_and_manual_pages_know_every_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for word in ["inspect", "deadline", "middleware", "can-run"] {
            assert!(script.contains(word), "{shell}: {word:?} is not in\n{script}");
        }
    }
    let dir = tempdir().unwrap();
    let folder = dir.path().join("man1");
    said(&["man", folder.to_str().unwrap()]);
    for (name, about) in COMMANDS {
        let page = fs::read_to_string(folder.join(format!("reef-{name}.1"))).unwrap();
        let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
        assert!(page.contains(&format!("reef-{name} - {about}")), "{page}");
    }
    assert!(said(&["man"]).contains("reef"));
}

#[test]
fn a_command_that_is_not_there_is_a_usage_error() {
    for args in
        [&["walk"][..], &["run"], &["run", "x.wasm", "--no-such-flag"], &["completions", "x"]]
    {
        let mut command = reef();
        command.args(args);
        finish(command, b"").fails(2, &["error: ", "--help"]);
    }
    // Without any, what there is.
    finish(reef(), b"").fails(2, &["Commands:", "inspect"]);
}
