//! SQL by guests: Spin's SDKs and interfaces of all its versions, and wasmCloud's, over real databases.

mod embedded;
mod mysql;
mod postgres;
mod wasmcloud;

use crate::{
    client,
    host::{Host, folder},
    support::eventually,
};

/// What somebody enters who means no good.
const INJECTION: &str = "Robert'); DROP TABLE t; --";

/// A host with a guest as its only workload; `more` are further lines of it.
fn host(guest: &str, more: &str) -> Host {
    Host::start(folder(&[("sql.wasm", guest)], &manifest(more)))
}

fn manifest(more: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'sql'\nsource = 'sql.wasm'\n\
         trigger.http.route = '/...'\n{more}\n"
    )
}

/// The line that lets a guest connect to a server.
fn egress(server: &reef_servers::Server) -> String {
    format!("egress = ['{}']", server.addr())
}

/// What a guest says to each step of a script.
fn run(host: &Host, path: &str, script: &str) -> Vec<String> {
    let lines: Vec<_> =
        script.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    let request = client::request("POST", path, client::full(lines.join("\n").trim().to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text().lines().map(str::to_owned).collect()
}

/// What it says to the last of them.
fn last(host: &Host, path: &str, script: &str) -> String {
    run(host, path, script).pop().unwrap()
}

/// Runs a script whose guest does not come to its end.
fn trap(host: &Host, path: &str, script: &str) {
    let request = client::request("POST", path, client::full(format!("{script}\ntrap")));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert!(answer.status >= 500, "{path}: {answer:?}");
}

/// A server that is away is the interface's error, and the same guest uses it again when it is back.
fn goes_and_comes_back(
    host: &Host,
    server: &mut reef_servers::Server,
    (path, script): (&str, &str),
    (down, up): (&str, &str),
) {
    assert_eq!(last(host, path, script), up);
    server.kill();
    let said = last(host, path, script);
    assert!(said.contains(down), "{said}");
    server.start_again().unwrap();
    eventually("the database to be used again", || (last(host, path, script) == up).then_some(()));
}
