//! `reef up -d` and the commands that talk to a host.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::{
    client,
    host::{Host, folder, tell},
    process::finish,
    support::{eventually, reef},
};

const HELLO: &str = "name = 'shop'\n[[workload]]\nname = 'front'\nsource = 'hello.wasm'\ntrigger.http.route = '/...'\n";

/// What a detached host is ended with, whatever a test did.
struct Detached(TempDir);

impl Detached {
    fn start(dir: TempDir, args: &[&str]) -> (Self, crate::process::Ended) {
        let detached = Self(dir);
        let mut command = reef();
        command.args(["up", "-d", "--addr", "127.0.0.1:0"]).args(args);
        command.arg("--socket").arg(detached.0.path().join("socket"));
        command.env("XDG_STATE_HOME", detached.0.path()).current_dir(detached.0.path());
        let ended = finish(command, b"");
        (detached, ended)
    }

    fn tell(&self, args: &[&str]) -> crate::process::Ended {
        tell(&self.0.path().join("socket"), self.0.path(), args)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if self.0.path().join("socket").exists() {
            self.tell(&["stop"]);
        }
    }
}

#[test]
fn a_host_in_the_background_is_seen_heard_and_ended() {
    let (host, ended) = Detached::start(folder(&[("hello.wasm", "p3-hello-http")], HELLO), &[]);
    ended.prints(&["shop/front", "Running as process", "`reef stop` ends it."]);
    let all: Value = serde_json::from_str(&host.tell(&["ps", "--json"]).stdout).unwrap();
    let url = all[0]["addresses"][0].as_str().unwrap();
    let addr = url.strip_prefix("http://").unwrap().parse().unwrap();
    assert_eq!(client::get(addr, "/").text(), "hello\n");
    host.tell(&["ps"]).prints(&["WORKLOAD", "shop/front", &format!("{url}/..."), "0 in progress"]);
    host.tell(&["top", "-n", "1", "--every", "100ms"]).prints(&["WORKLOAD", "shop/front"]);
    host.tell(&["logs", "shop"]).prints(&["shop/front  Serving."]);
    let pid = all[0]["pid"].as_u64().unwrap();
    host.tell(&["stop"]).prints(&["Stopped."]);
    eventually("the end of the process", || {
        (!fs::exists(format!("/proc/{pid}")).unwrap()
            || fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.contains(") Z ")))
        .then_some(())
    });
    let again = host.tell(&["stop"]);
    assert!(again.status() != 0 && again.stderr.contains("no host answers at"), "{again:?}");
}

#[test]
fn a_host_that_cannot_start_says_why_to_whoever_started_it() {
    let manifest = HELLO
        .replace("hello.wasm", "trap.wasm")
        .replace("trigger.http.route = '/...'", "trigger.start = {}");
    let (_host, ended) = Detached::start(folder(&[("trap.wasm", "p1-trap")], &manifest), &[]);
    assert_ne!(ended.status(), 0);
    assert!(ended.stderr.contains("shop/front trapped"), "{ended:?}");
    // What is wrong with the manifest is said before anything is started.
    let (_host, ended) = Detached::start(folder(&[], "name = 1"), &[]);
    assert!(ended.status() == 1 && ended.stderr.contains("reef.toml:1:8"), "{ended:?}");
}

#[test]
fn who_does_not_wait_for_a_host_in_the_background_leaves_none() {
    let manifest = "name = 'shop'\n[[workload]]\nname = 'slow'\nsource = 'cli.wasm'\ntrigger.start.args = ['wait']\n";
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let dir = folder(&[("cli.wasm", "p2-cli")], manifest);
        let socket = dir.path().join("socket");
        let mut command = reef();
        command.args(["up", "-d", "--addr", "127.0.0.1:0", "--socket"]).arg(&socket);
        command.env("XDG_STATE_HOME", dir.path()).current_dir(dir.path());
        let mut starter = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = eventually("the host", || {
            let all: Value =
                serde_json::from_str(&tell(&socket, dir.path(), &["ps", "--json"]).stdout).ok()?;
            all[0]["change"]["step"].as_str()?;
            all[0]["pid"].as_u64()
        });
        let args = ["-s", signal, &starter.id().to_string()];
        assert!(std::process::Command::new("kill").args(args).status().unwrap().success());
        assert_eq!(starter.wait().unwrap().code(), Some(status));
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "{signal}: it goes on");
    }
}

#[test]
fn values_are_not_for_everybody_and_logs_not_for_ever() {
    let manifest = "name = 'shop'\n[variables.tok]\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
        env = { TOK = '{{ tok }}' }\ntrigger.http.route = '/...'\n";
    let dir = folder(&[("kit.wasm", "p2-http-kit")], manifest);
    let logs = dir.path().join("reef");
    fs::create_dir(&logs).unwrap();
    // Of processes that never were.
    for index in 1..=8 {
        fs::write(logs.join(format!("up-{}.log", i32::MAX - index)), "old").unwrap();
    }
    let (host, ended) = Detached::start(dir, &["--var", "tok=plain", "--var=tok=S3CRET"]);
    assert_eq!(ended.status(), 0, "{ended:?}");
    let all: Value = serde_json::from_str(&host.tell(&["ps", "--json"]).stdout).unwrap();
    let pid = &all[0]["pid"];
    let seen = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!seen.contains("S3CRET") && !seen.contains("plain"), "{seen:?}");
    let addr = all[0]["addresses"][0].as_str().unwrap().strip_prefix("http://").unwrap();
    assert_eq!(client::get(addr.parse().unwrap(), "/env").text(), "env TOK=S3CRET\n");
    let there: Vec<_> = fs::read_dir(&logs).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(there.len(), 6, "{there:?}");
    assert!(there.contains(&format!("up-{pid}.log").into()), "{there:?}");
}

#[test]
fn logs_are_followed_by_workload() {
    let manifest = "name = 'shop'\n[[workload]]\nname = 'one'\nsource = 'kit.wasm'\ntrigger.http.route = '/...'\n\
        [[workload]]\nname = 'two'\nsource = 'kit.wasm'\ntrigger.http.route = 'two.test/...'\n";
    let host = Host::start(folder(&[("kit.wasm", "p2-http-kit")], manifest));
    host.server.get("/stdout?first");
    let ask = |path: &str| {
        let mut request = client::request("GET", path, client::empty());
        request.headers_mut().insert("host", "two.test".parse().unwrap());
        client::ask(client::Version::H1, host.server.addr, request)
    };
    ask("/stdout");
    let mut command = reef();
    command.args(["logs", "-f", "shop/two", "--json", "--socket"]).arg(host.path("socket"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    // What was, then what comes; of that workload alone.
    let mut seen = vec![next()];
    while seen.last().unwrap()["target"] != "guest" {
        seen.push(next());
    }
    ask("/stdout");
    seen.push(next());
    assert!(seen.iter().all(|line| line["workload"] == "shop/two"), "{seen:#?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let few = host.told(&["logs", "-n", "1"]);
    assert_eq!(few.lines().count(), 1, "{few}");
    host.tell(&["logs", "shop/nope"])
        .fails(125, &["shop has no workload `shop/nope`; there is shop/one, shop/two"]);
    host.tell(&["logs", "nobody"]).fails(125, &["no application `nobody` runs here; there is:"]);
}

#[test]
fn one_application_is_ended_and_the_others_go_on() {
    let dir = folder(&[("hello.wasm", "p3-hello-http")], HELLO);
    let other = HELLO.replace("shop", "other").replace("/...", "/other");
    fs::write(dir.path().join("other.toml"), other).unwrap();
    let host = Host::with(dir, &["reef.toml", "other.toml"]);
    assert_eq!(host.server.get("/other").status, 200);
    host.told(&["stop", "other"]);
    // The route is free: what takes everything has it.
    assert_eq!(host.server.metric("reef_requests_total", "workload=\"other/front\""), 0.0);
    host.told(&["stop", "shop"]);
    assert_eq!(host.server.get("/other").status, 404);
    // Another one takes its place.
    host.told(&["apply", "other.toml"]);
    assert_eq!(host.server.get("/other").status, 200);
    assert_eq!(host.server.get("/").status, 404);
}

#[test]
fn the_socket_is_its_owners_alone() {
    let host = Host::start(folder(&[("hello.wasm", "p3-hello-http")], HELLO));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&host.path("socket")), 0o600);
    // A second host does not take it over.
    let mut command = reef();
    command.args(["up", "--addr", "127.0.0.1:0", "--socket"]).arg(host.path("socket"));
    command.current_dir(host.dir.path());
    finish(command, b"").fails(125, &["another reef listens at"]);
    // Without one of its own, a folder that others can look into is not used.
    let open = tempdir().unwrap();
    fs::create_dir(open.path().join("reef")).unwrap();
    fs::set_permissions(open.path().join("reef"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = reef();
    command.arg("ps").env("XDG_RUNTIME_DIR", open.path());
    finish(command, b"").fails(125, &["is not a folder of your own that is closed to others"]);
    // Where nothing runs, that is said.
    let empty = tempdir().unwrap();
    let mut command = reef();
    command.arg("ps").env("XDG_RUNTIME_DIR", empty.path());
    finish(command, b"").prints(&["Nothing runs here."]);
}

#[test]
fn nonsense_on_the_socket_harms_nobody() {
    use std::{io::Write as _, os::unix::net::UnixStream};
    let host = Host::start(folder(&[("hello.wasm", "p3-hello-http")], HELLO));
    for bytes in [
        &b"\0\xff\xfe nonsense\r\n\r\n"[..],
        b"POST /v1/apply HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{\"a\"}",
        b"POST /v1/apply HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
        b"GET /v1/logs?tail=99999999999999999999&workload=%zz HTTP/1.1\r\nhost: x\r\n\r\n",
        b"DELETE /v1/status HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(host.path("socket")).unwrap();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut said = String::new();
        BufReader::new(stream).read_line(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 "), "{said:?}");
    }
    assert_eq!(host.status()["revision"], 1);
}
