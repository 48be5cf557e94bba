//! Guests in every language, each built from source by `cargo xtask guests`.

use std::fs;

use tempfile::tempdir;

use crate::{
    process::{Ended, finish},
    server::Server,
    support::{guest, reef},
};

fn run(name: &str, flags: &[&str], args: &[&str], stdin: &str) -> Ended {
    let mut command = reef();
    command.arg("run").args(flags).arg(guest(name)).arg("--").args(args);
    finish(command, stdin.as_bytes())
}

/// Compiles it for the cache, which can take longer than a test waits for a server, and says what it
/// is.
fn prepare_service(name: &str) {
    run(name, &[], &[], "").fails(125, &["not a command but an HTTP handler"]);
}

#[test]
fn rust() {
    run("p1-hello", &[], &[], "").prints(&["hello from rust"]);
    run("p2-cli", &[], &[], "").prints(&["hello from WASI 0.2"]);
    run("p3-cli", &[], &[], "").prints(&["hello from WASI 0.3"]);
}

#[test]
fn c() {
    let dir = tempdir().unwrap();
    let data = format!("{}::/data", dir.path().display());
    let ended = run("c-hello", &["--dir", &data, "--env", "NAME=reef"], &["5"], "one line\n");
    assert_eq!(ended.status(), 5, "{ended:?}");
    for part in ["hello from C", "env NAME=reef", "stdin: one line", "file: written", "3.14159"] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    assert_eq!(fs::read_to_string(dir.path().join("c.txt")).unwrap(), "written by C\n");
    assert!(run("c-hello", &[], &[], "").stderr.contains("file: refused"));
}

#[test]
fn cpp() {
    run("cpp-hello", &[], &[], "a b a c a\n")
        .prints(&["hello from C++\na: 3\nb: 1\nc: 1\nmost often: a\n"]);
}

#[test]
fn go() {
    let dir = tempdir().unwrap();
    let data = format!("{}::/data", dir.path().display());
    let ended = run("go-hello", &["--dir", &data, "--env", "NAME=reef"], &["9", "x"], "12345");
    assert_eq!(ended.status(), 9, "{ended:?}");
    let report = r#"{"args":["9","x"],"name":"reef","stdin":5}"#;
    for part in ["hello from Go", "sum of squares: 30", report, "file: written"] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    assert_eq!(fs::read_to_string(dir.path().join("go.txt")).unwrap(), "written by Go\n");
    run("go-hello", &[], &[], "").prints(&["file: refused"]);
}

#[test]
fn zig() {
    run("zig-hello", &[], &["one", "two"], "").prints(&["hello from Zig\narguments: 3\n"]);
}

#[test]
fn assemblyscript() {
    let ended = run("as-hello", &[], &["one"], "");
    assert_eq!(ended.status(), 3, "{ended:?}");
    assert_eq!(ended.stdout, "hello from AssemblyScript\nAda is 36\narguments: 2\n");
}

#[test]
fn ruby() {
    let dir = tempdir().unwrap();
    let data = format!("{}::/data", dir.path().display());
    let ended = run("ruby-hello", &["--dir", &data, "--env", "NAME=reef"], &[], "b a b");
    ended.prints(&["hello from Ruby", "a: 1\nb: 2\n", "name: reef", "file: written"]);
    assert_eq!(fs::read_to_string(dir.path().join("ruby.txt")).unwrap(), "written by Ruby\n");
    run("ruby-hello", &[], &[], "").prints(&["name: (not granted)", "file: refused"]);
}

#[test]
fn javascript() {
    prepare_service("js-http");
    let reply = Server::guest("js-http", &[]).get("/hello?name=reef");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.text(),
        "{\"language\":\"JavaScript\",\"path\":\"/hello\",\"name\":\"reef\",\"body\":\"\"}\n"
    );
}

#[test]
fn python() {
    prepare_service("py-http");
    let reply = Server::guest("py-http", &[]).get("/hello");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(r#""language": "Python""#), "{}", reply.text());
    assert!(reply.text().contains(r#""path": "/hello""#), "{}", reply.text());
}

#[test]
fn python_in_wasi_0_3() {
    prepare_service("py-http-p3");
    let reply = Server::guest("py-http-p3", &[]).get("/hello");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("Python"), "{}", reply.text());
}
