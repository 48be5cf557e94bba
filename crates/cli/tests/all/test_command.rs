//! `reef test`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    host::folder,
    new::with_toolchains,
    process::{Ended, finish},
    support::{eventually, guest, reef},
};

const MANIFEST: &str = "
    name = 'kit'
    [variables.said]
    default = 'nothing'
    [[workload]]
    name = 'kit'
    source = 'kit.wasm'
    trigger.http.route = '/...'
    env = { SAID = '{{ said }}' }
";

/// The kit, with these files in `tests`.
fn kit(tests: &[(&str, &str)]) -> TempDir {
    let dir = folder(&[("kit.wasm", "p2-http-kit")], MANIFEST);
    fs::create_dir(dir.path().join("tests")).unwrap();
    for (name, text) in tests {
        fs::write(dir.path().join("tests").join(name), text).unwrap();
    }
    dir
}

fn test(dir: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.current_dir(dir).arg("test").args(args);
    finish(command, b"")
}

const GOOD: &str = "
    [[request]]
    name = 'is the kit'
    path = '/'
    [request.expect]
    body = \"http kit, WASI 0.2\\n\"
    [request.capture]
    version = { body = 'WASI ([0-9.]+)' }
    [[request]]
    method = 'POST'
    path = '/echo'
    body = 'version {{ version }}'
    [request.expect]
    body = 'version 0.2'
    [[request]]
    path = '/env'
    [request.expect]
    body-contains = 'SAID='
";
const BAD: &str = "
    [[request]]
    path = '/status?code=418'
    [request.expect]
    status = 200
    headers = { content-type = 'text/html' }
    [[request]]
    name = 'sleeps too long'
    path = '/sleep?ms=60000'
    within = '100ms'
";

#[test]
fn each_test_is_told_and_counted() {
    let dir = kit(&[("a.toml", GOOD)]);
    test(dir.path(), &[]).prints(&[
        "test tests/a.toml: is the kit ... ok (",
        "test tests/a.toml: POST /echo ... ok (",
        "\ntest result: ok. 3 passed, 0 failed, in ",
    ]);
    fs::write(dir.path().join("tests/b.toml"), BAD).unwrap();
    let ended = test(dir.path(), &[]);
    assert_eq!(ended.status(), 1, "{ended:?}");
    for part in [
        "test tests/a.toml: is the kit ... ok (",
        "test tests/b.toml: GET /status?code=418 ... FAILED (",
        "    status: expected 200, got 418, with the body \"as asked\\n\"\n",
        "    header content-type: expected \"text/html\", got \"text/plain\"\n",
        "    there was no whole answer within 100 ms\n",
        "\ntest result: FAILED. 3 passed, 2 failed, in ",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    assert!(ended.stderr.contains("The application's log ended with:"), "{ended:?}");

    let ended = test(dir.path(), &[".", "tests/b.toml", "--json"]);
    assert_eq!(ended.status(), 1, "{ended:?}");
    let all: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&all["passed"], &all["failed"]), (&0.into(), &2.into()));
    assert_eq!(all["tests"][1]["name"], "sleeps too long");
    assert_eq!(all["tests"][1]["passed"], false);
    assert_eq!(all["tests"][1]["wrong"][0], "there was no whole answer within 100 ms");
}

#[test]
fn the_application_has_its_variables_and_profiles() {
    let said = "[[request]]\npath = '/env'\nexpect.body-contains = 'SAID=moin'";
    let dir = kit(&[("said.toml", said)]);
    assert_eq!(test(dir.path(), &[]).status(), 1);
    assert_eq!(test(dir.path(), &["--var", "said=moin"]).status(), 0);
    let profile = format!("{MANIFEST}\n[profile.north.variables.said]\ndefault = 'moin'");
    fs::write(dir.path().join("reef.toml"), profile).unwrap();
    assert_eq!(test(dir.path(), &["--profile", "north"]).status(), 0);
}

#[test]
fn what_cannot_be_tested_is_said_before_anything_runs() {
    let dir = kit(&[("a.toml", "[[request]]\npath = '/'\nexpct.status = 200")]);
    let ended = test(dir.path(), &[]);
    ended.fails(1, &["`expct` is not a known field", "did you mean `expect`?", "tests/a.toml:3:1"]);
    assert_eq!(ended.stdout, "");
    test(dir.path(), &[".", "gone.wasm"]).fails(125, &["there is no file gone.wasm"]);
    test(dir.path(), &[".", "reef.txt"]).fails(125, &["reef.txt is no test"]);
    fs::remove_file(dir.path().join("tests/a.toml")).unwrap();
    test(dir.path(), &[]).fails(125, &["there are no tests in tests"]);
    fs::write(dir.path().join("tests/a.toml"), GOOD).unwrap();
    fs::write(dir.path().join("kit.wasm"), "no").unwrap();
    test(dir.path(), &[]).fails(125, &["the application does not start:", "kit.wasm"]);
}

#[test]
fn what_is_not_current_is_built_first() {
    let dir = kit(&[("a.toml", GOOD)]);
    let manifest = format!("{MANIFEST}\nbuild.command = 'cp new.wasm kit.wasm'");
    fs::write(dir.path().join("reef.toml"), manifest).unwrap();
    fs::rename(dir.path().join("kit.wasm"), dir.path().join("new.wasm")).unwrap();
    test(dir.path(), &["--no-build"]).fails(125, &["the application does not start"]);
    let ended = test(dir.path(), &[]);
    ended.prints(&["3 passed"]);
    ended.fails(0, &["kit  $ cp new.wasm kit.wasm"]);
    fs::remove_file(dir.path().join("kit.wasm")).unwrap();
    fs::remove_file(dir.path().join("new.wasm")).unwrap();
    let ended = test(dir.path(), &[]);
    ended.fails(1, &["kit: `cp new.wasm kit.wasm` failed (exit status: 1)"]);
    assert_eq!(ended.stdout, "");
}

/// A command that asks the application for its first page.
const ASKS: &str = r#"
use std::{env, io::{Read, Write}, net::TcpStream};
fn main() {
    let url = env::var("REEF_URL").unwrap();
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("http kit, WASI 0.2\n"), "{answer}");
    // Nothing else is allowed.
    assert!(TcpStream::connect("127.0.0.1:1").unwrap_err().to_string().len() > 0);
}
"#;

#[test]
fn test_components_ask_the_application() {
    let dir = kit(&[]);
    let source = dir.path().join("asks");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("main.rs"), ASKS).unwrap();
    fs::write(
        source.join("Cargo.toml"),
        "[package]\nname = 'asks'\nedition = '2024'\n[[bin]]\nname = 'asks'\npath = 'main.rs'\n[workspace]\n",
    )
    .unwrap();
    let mut cargo = Command::new("cargo");
    with_toolchains(&mut cargo);
    cargo.current_dir(&source).args(["build", "--target", "wasm32-wasip2"]);
    let built = finish(cargo, b"");
    assert_eq!(built.status(), 0, "{built:?}");
    let tests = dir.path().join("tests");
    fs::copy(source.join("target/wasm32-wasip2/debug/asks.wasm"), tests.join("asks.wasm")).unwrap();
    test(dir.path(), &[]).prints(&["test tests/asks.wasm ... ok (", "1 passed"]);

    fs::copy(guest("p1-trap"), tests.join("fails.wasm")).unwrap();
    fs::copy(guest("p1-spin"), tests.join("spins.wasm")).unwrap();
    let ended = test(dir.path(), &["--deadline", "10s"]);
    assert_eq!(ended.status(), 1, "{ended:?}");
    for part in [
        "test tests/asks.wasm ... ok (",
        "test tests/fails.wasm ... FAILED (",
        "    it ended with exit status: ",
        "test tests/spins.wasm ... FAILED (",
        "1 passed, 2 failed",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let slow = "[[request]]\npath = '/sleep?ms=60000'\nwithin = '2m'";
    let dir = kit(&[("slow.toml", slow)]);
    let mut command = reef();
    command.current_dir(dir.path()).arg("test").env("TMPDIR", dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let host = eventually("the application", || {
        let all = fs::read_to_string(&children).unwrap();
        let host = all.split_whitespace().next()?.to_owned();
        // Its socket is there when it is ready.
        let sockets = fs::read_dir(dir.path()).unwrap().flatten();
        sockets.map(|entry| entry.path().join("socket")).find(|path| path.exists()).map(|_| host)
    });
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let status = eventually("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    assert!(!Path::new(&format!("/proc/{host}")).exists());
    let left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().flatten().map(|one| one.file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}
