//! `reef dev`.

use std::{fs, net::SocketAddr, path::Path};

use tempfile::TempDir;

use crate::{
    client,
    host::folder,
    server::{Server, serving},
    support::{eventually, guest},
};

fn dev(dir: &TempDir) -> Server {
    let mut command = serving("dev", &[] as &[&str]);
    command.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path());
    let server = Server::spawn(command);
    server.wait_for_log(&["Watching for changes."]);
    server
}

fn manifest(version: &str, extra: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n{extra}"
    )
}

/// Where it answers, also when nothing runs yet.
fn addr_of(dir: &TempDir) -> SocketAddr {
    let status = crate::host::tell(&dir.path().join("socket"), dir.path(), &["ps", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let url = all[0]["addresses"][0].as_str().unwrap();
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// As editors do it: beside, then in its place.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn what_changes_is_swapped_and_what_is_wrong_is_said() {
    let dir = folder(&[("kit.wasm", "p2-http-kit")], &manifest("1", ""));
    let server = dev(&dir);
    assert_eq!(server.get("/env").text(), "env VERSION=1\n");
    let answers = |path: &str, text: &str| {
        eventually(&format!("{path} to answer {text:?}"), || {
            (server.get(path).text() == text).then_some(())
        });
    };
    fs::write(dir.path().join("reef.toml"), manifest("2", "")).unwrap();
    answers("/env", "env VERSION=2\n");
    write(&dir.path().join("reef.toml"), &manifest("3", ""));
    answers("/env", "env VERSION=3\n");
    // What is wrong is shown at its place; what ran goes on.
    write(&dir.path().join("reef.toml"), &manifest("4", "colour = 1\n"));
    server.wait_for_log(&["`colour` is not a known field", "What ran before goes on."]);
    assert_eq!(server.get("/env").text(), "env VERSION=3\n");
    fs::copy(guest("p3-http-kit"), dir.path().join("next")).unwrap();
    write(&dir.path().join("reef.toml"), &manifest("5", ""));
    answers("/env", "env VERSION=5\n");
    fs::rename(dir.path().join("next"), dir.path().join("kit.wasm")).unwrap();
    answers("/", "http kit, WASI 0.3\n");
}

#[test]
fn what_cannot_start_at_first_is_mended() {
    let denied =
        manifest("1", "[[workload]]\nname = 'b'\nsource = 'trap.wasm'\ntrigger.start = {}\n");
    let junk = manifest("1", "").replace("kit.wasm", "junk.wasm");
    let unfit = manifest("1", "").replace("kit.wasm", "cli.wasm");
    for (first, why) in
        [(denied, "shop/b trapped"), (junk, "junk.wasm"), (unfit, "does not answer HTTP")]
    {
        let guests =
            [("kit.wasm", "p2-http-kit"), ("trap.wasm", "p1-trap"), ("cli.wasm", "p2-cli")];
        let dir = folder(&guests, &first);
        fs::write(dir.path().join("junk.wasm"), b"\0asm no").unwrap();
        let server = dev(&dir);
        server.wait_for_log(&[why, "waiting for a change"]);
        let addr = addr_of(&dir);
        write(&dir.path().join("reef.toml"), &manifest("2", ""));
        eventually("the mended one", || {
            (client::get(addr, "/env").text() == "env VERSION=2\n").then_some(())
        });
    }
}

#[test]
fn a_build_is_one_revision() {
    let built = "build = { command = 'cp next.wasm kit.wasm', watch = ['next.wasm'] }\n";
    let text = manifest("1", "").replace("trigger.http", &format!("{built}trigger.http"));
    let dir = folder(&[("next.wasm", "p2-http-kit"), ("kit.wasm", "p2-http-kit")], &text);
    let server = dev(&dir);
    for (guest_name, says) in [("p3-http-kit", "0.3"), ("p2-http-kit", "0.2")] {
        fs::copy(guest(guest_name), dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("next.wasm")).unwrap();
        eventually("what was built", || server.get("/").text().contains(says).then_some(()));
    }
    server.wait_for_log(&["Nothing has changed."]);
    let status = crate::host::tell(&dir.path().join("socket"), dir.path(), &["ps", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(all[0]["applications"][0]["revision"], 3);
}

#[test]
fn a_manifest_that_is_wrong_at_first_is_mended() {
    let dir = folder(&[("kit.wasm", "p2-http-kit")], "name = 'shop'\ncolour = 1\n");
    let server = dev(&dir);
    server.wait_for_log(&["`colour` is not a known field"]);
    write(&dir.path().join("reef.toml"), &manifest("1", ""));
    server.wait_for_log(&["Applied."]);
    assert_eq!(client::get(addr_of(&dir), "/env").text(), "env VERSION=1\n");
}

#[test]
fn a_refusal_says_which_line_of_the_manifest_would_allow_it() {
    let dir = folder(&[("kit.wasm", "p2-http-kit")], &manifest("1", ""));
    let server = dev(&dir);
    let asked = || server.get("/outbound?url=http://127.0.0.1:9/").text();
    asked();
    asked();
    let advice = || {
        let log = server.log();
        let lines = log.iter().filter_map(|line| line.as_str().map(str::to_owned));
        lines.filter(|line| line.contains("egress = [")).collect::<Vec<_>>()
    };
    eventually("advice", || (!advice().is_empty()).then_some(()));
    server.get("/outbound?url=http://localhost:8/");
    eventually("more advice", || (advice().len() > 1).then_some(()));
    // Once each, and the later one has all of it.
    assert_eq!(advice()[0].trim(), "egress = [\"127.0.0.1:9\"]");
    assert_eq!(advice()[1].trim(), "egress = [\"127.0.0.1:9\", \"localhost:8\"]");
    // The line as it was printed does it.
    write(&dir.path().join("reef.toml"), &manifest("2", advice()[1].trim()));
    server.wait_for_log(&["Applied."]);
    assert!(!asked().contains("denied"), "{}", asked());
}
