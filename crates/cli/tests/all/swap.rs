//! Applications that change while they are used.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    client::{Connection, RUNTIME, Version, empty, in_time, request, wait},
    host::{Host, folder, tell},
    process::finish,
    server::{said, serving},
    support::{eventually, reef},
};

/// An application whose answer at `/env` says which version it is.
fn versioned(version: u32, extra: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n{extra}"
    )
}

fn version_of(host: &Host) -> String {
    host.server.get("/env").text()
}

#[test]
fn no_request_fails_while_revisions_change_under_load() {
    for kit in ["p2-http-kit", "p3-http-kit"] {
        let host = Host::start(folder(&[("kit.wasm", kit)], &versioned(0, "")));
        let addr = host.server.addr;
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (stop, answered) = (stop.clone(), answered.clone());
                RUNTIME.spawn(async move {
                    let version = if client % 2 == 0 { Version::H1 } else { Version::H2 };
                    let mut connection = Connection::open(addr, version).await;
                    let mut newest = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // Some come on connections of their own.
                        if client >= 6 {
                            connection = Connection::open(addr, version).await;
                        }
                        let reply = connection.get("/env").await.expect("an answer");
                        assert_eq!(reply.status, 200, "{reply:?}");
                        let text = reply.text();
                        let number = text.trim().rsplit('=').next().unwrap().parse::<u32>();
                        let number = number.unwrap_or_else(|_| panic!("{text:?}"));
                        assert!(number >= newest, "{number} after {newest}: it went back");
                        newest = number;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // One that lasts longer than all the changes.
        let long = RUNTIME.spawn(async move {
            let mut connection = Connection::open(addr, Version::H1).await;
            let sleep = request("GET", "/sleep?ms=3000", empty());
            tokio::time::timeout(Duration::from_secs(60), connection.ask(sleep)).await
        });
        let mut before = 0;
        for version in 1..=10 {
            host.write("reef.toml", &versioned(version, ""));
            host.told(&["apply"]);
            // From here on, nobody sees an older one.
            assert_eq!(version_of(&host), format!("env VERSION={version}\n"));
            let now = eventually("requests between two changes", || {
                let now = answered.load(Ordering::Relaxed);
                (now > before + 50).then_some(now)
            });
            before = now;
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            wait(client).expect("a client that saw nothing wrong");
        }
        let reply = RUNTIME.block_on(long).unwrap().expect("in time").expect("an answer");
        assert_eq!(reply.status, 200, "the request in progress ended on the old revision");
        assert_eq!(host.server.metric("reef_responses_total", "class=\"5xx\""), 0.0);
    }
}

#[test]
fn only_what_changed_is_made_anew() {
    let manifest = |version: u32| {
        versioned(
            version,
            "[[workload]]\nname = 'other'\nsource = 'other.wasm'\n\
             scale = { reuse = 1000, idle = '10m' }\n\
             trigger.http.route = 'other.test/...'\n",
        )
    };
    let guests = [("kit.wasm", "p2-http-kit"), ("other.wasm", "p3-http-kit")];
    let host = Host::with(folder(&guests, &manifest(1)), &["--workers", "1"]);
    let count = || {
        let mut request = request("GET", "/count", empty());
        request.headers_mut().insert("host", "other.test".parse().unwrap());
        let reply = wait(async {
            in_time(Connection::open(host.server.addr, Version::H1)).await.ask(request).await
        });
        reply.unwrap().text().trim().parse::<u32>().unwrap()
    };
    let first = count();
    host.write("reef.toml", &manifest(2));
    let said = host.told(&["apply"]);
    assert!(said.contains("shop is at revision 2; new: kit; as before: other."), "{said}");
    assert_eq!(version_of(&host), "env VERSION=2\n");
    // The same instance, which goes on counting.
    assert_eq!(count(), first + 1);
    // Nothing changed: nothing is made, and there is nothing to go back to.
    let said = host.told(&["apply"]);
    assert!(said.contains("shop is at revision 2, as before: nothing has changed."), "{said}");
    assert_eq!(host.status()["earlier_revisions"], json!([1]));
    // Fresh instances are had by asking for them.
    let said = host.told(&["restart", "shop/other"]);
    assert!(said.contains("new: other; as before: kit."), "{said}");
    assert_eq!(count(), first);
    // A file that changed is enough.
    host.copy("p3-http-kit", "kit.wasm");
    let said = host.told(&["apply"]);
    assert!(said.contains("new: kit; as before: other."), "{said}");
    assert_eq!(version_of(&host), "env VERSION=2\n");
}

#[test]
fn what_is_not_ready_takes_no_traffic_and_the_old_one_goes_on() {
    let guests = [
        ("kit.wasm", "p2-http-kit"),
        ("trap.wasm", "p1-trap"),
        ("hello.wasm", "p1-hello"),
        ("cli.wasm", "p2-cli"),
    ];
    let dir = folder(&guests, &versioned(1, ""));
    std::fs::write(dir.path().join("junk.wasm"), b"\0asm no").unwrap();
    let other = "name = 'other'\n[[workload]]\nname = 'w'\nsource = 'kit.wasm'\ntrigger.http.route = '/other'\n";
    std::fs::write(dir.path().join("other.toml"), other).unwrap();
    let host = Host::with(dir, &["reef.toml", "other.toml"]);
    let route = "trigger.http.route = '/2'";
    for (extra, said) in [
        ("colour = 1\n", "`colour` is not a known field"),
        ("[[workload]]\nname = 'b'\nsource = 'gone.wasm'\n", "there is no file"),
        (&format!("[[workload]]\nname = 'b'\nsource = 'junk.wasm'\n{route}\n"), "junk.wasm"),
        (
            &format!(
                "[[workload]]\nname = 'b'\nsource = 'trap.wasm'\ntrigger.start = {{}}\n{route}\n"
            ),
            "trapped",
        ),
        (
            "[[workload]]\nname = 'b'\nsource = 'cli.wasm'\ntrigger.start.args = ['fail']\n",
            "the command of its start ended with status",
        ),
        (
            &format!(
                "[[workload]]\nname = 'b'\nsource = 'kit.wasm'\nready.path = '/status?code=503'\nready.within = '3s'\n{route}\n"
            ),
            "shop/b is not ready: it answered with status 503, asked at /status?code=503",
        ),
        (
            "[[workload]]\nname = 'b'\nsource = 'kit.wasm'\ntrigger.http.route = '/other'\n",
            "both have the route /other",
        ),
        (
            "[[workload]]\nname = 'b'\nsource = 'hello.wasm'\ntrigger.tcp.addr = '203.0.113.1:9'\n",
            "shop/b cannot listen",
        ),
        (
            &format!(
                "[[workload]]\nname = 'b'\nsource = 'kit.wasm'\nenv = {{ A = '{{{{ x }}}}' }}\n{route}\n[variables.x]\n"
            ),
            "the variable `x` has no value",
        ),
    ] {
        host.write("reef.toml", &versioned(2, extra));
        let ended = host.tell(&["apply", "reef.toml"]);
        assert_ne!(ended.status(), 0, "{extra}");
        assert!(ended.stderr.contains(said), "{said:?} is not in\n{}\nfor\n{extra}", ended.stderr);
        assert_eq!(version_of(&host), "env VERSION=1\n", "{extra}");
        assert_eq!(host.server.get("/2").text(), host.server.get("/1").text(), "{extra}");
    }
    let all: serde_json::Value = serde_json::from_str(&host.told(&["ps", "--json"])).unwrap();
    let shop = &all[0]["applications"][1];
    assert_eq!((&shop["name"], &shop["revision"]), (&"shop".into(), &1.into()));
}

#[test]
fn rollback_goes_back_to_what_ran_though_its_files_have_changed() {
    let host = Host::start(folder(&[("kit.wasm", "p2-http-kit")], &versioned(1, "")));
    host.write("reef.toml", &versioned(2, ""));
    host.copy("p3-http-kit", "kit.wasm");
    host.told(&["apply"]);
    assert_eq!(host.server.get("/").text(), "http kit, WASI 0.3\n");
    std::fs::remove_file(host.path("kit.wasm")).unwrap();
    let said = host.told(&["rollback", "shop"]);
    assert!(said.contains("shop is at revision 3; new: kit."), "{said}");
    assert_eq!(host.server.get("/").text(), "http kit, WASI 0.2\n");
    assert_eq!(version_of(&host), "env VERSION=1\n");
    // And forth.
    host.told(&["rollback", "shop", "--to", "2"]);
    assert_eq!(version_of(&host), "env VERSION=2\n");
    for (args, said) in [
        (
            &["rollback", "shop", "--to", "9"][..],
            "no such revision to go back to; there is 3, 2, 1",
        ),
        (&["rollback", "shopp"], "no application `shopp` runs here"),
        (&["restart", "shop/nobody"], "shop has no workload `nobody`"),
    ] {
        let ended = host.tell(args);
        assert!(ended.status() != 0 && ended.stderr.contains(said), "{said}: {ended:?}");
    }
}

#[test]
fn hanging_up_reads_everything_anew() {
    let host = Host::start(folder(&[("kit.wasm", "p2-http-kit")], &versioned(1, "")));
    host.write("reef.toml", &versioned(2, ""));
    host.server.signal("HUP");
    host.server.wait_for_log(&["Applied.", "shop"]);
    assert_eq!(version_of(&host), "env VERSION=2\n");
    host.write("reef.toml", "name = 'shop'\nnonsense = 1\n");
    host.server.signal("HUP");
    host.server.wait_for_log(&["`nonsense` is not a known field", "The revision before goes on."]);
    assert_eq!(version_of(&host), "env VERSION=2\n");
}

#[test]
fn what_changes_nothing_is_no_revision() {
    let host = Host::start(folder(&[("kit.wasm", "p2-http-kit")], &versioned(1, "")));
    host.write("reef.toml", &versioned(2, ""));
    host.told(&["apply"]);
    // As whoever turns over the access log does, many times.
    for times in 1..=12 {
        host.server.signal("HUP");
        let told = || {
            let log = host.server.log();
            let told = log.iter().filter(|entry| said(entry, "Nothing has changed.")).count();
            (told == times).then_some(())
        };
        eventually("that nothing has changed", told);
    }
    let status = host.status();
    assert_eq!((&status["revision"], &status["earlier_revisions"]), (&2.into(), &json!([1])));
    let back = host.told(&["rollback", "shop"]);
    assert!(back.contains("shop is at revision 3; new: kit."), "{back}");
    assert_eq!(version_of(&host), "env VERSION=1\n");
    // What is not a workload counts as well.
    host.write("reef.toml", &versioned(1, "[[response]]\nroute = '/fixed'\nbody = 'x'\n"));
    let said = host.told(&["apply"]);
    assert!(said.contains("shop is at revision 4; as before: kit."), "{said}");
}

#[test]
fn one_workload_is_restarted_though_the_others_files_are_gone() {
    let extra = "[[workload]]\nname = 'other'\nsource = 'other.wasm'\n\
        scale = { reuse = 1000, idle = '10m' }\n\
        trigger.http.route = '/count'\n";
    let guests = [("kit.wasm", "p2-http-kit"), ("other.wasm", "p3-http-kit")];
    let host = Host::with(folder(&guests, &versioned(1, extra)), &["--workers", "1"]);
    let first = host.server.get("/count").text();
    assert_ne!(host.server.get("/count").text(), first);
    std::fs::remove_file(host.path("kit.wasm")).unwrap();
    let said = host.told(&["restart", "shop/other"]);
    assert!(said.contains("shop is at revision 2; new: other; as before: kit."), "{said}");
    assert_eq!(host.server.get("/count").text(), first);
    assert_eq!(version_of(&host), "env VERSION=1\n");
    host.tell(&["restart", "shop/kit"]).fails(125, &["there is no file kit.wasm"]);
}

/// A workload whose command of the start never ends.
const HANGS: &str =
    "[[workload]]\nname = 'slow'\nsource = 'cli.wasm'\ntrigger.start.args = ['wait']\n";

/// Waits until the host at a socket is at that command.
fn hanging(socket: &Path, dir: &Path) -> serde_json::Value {
    eventually("the command of the start", || {
        let ended = tell(socket, dir, &["ps", "--json"]);
        let all: serde_json::Value = serde_json::from_str(&ended.stdout).ok()?;
        let step = all[0]["change"]["step"].as_str()?;
        (step == "shop/slow: its command of the start runs").then(|| all[0].clone())
    })
}

#[test]
fn a_change_that_hangs_is_called_off_and_others_do_not_wait_for_ever() {
    let guests = [("kit.wasm", "p2-http-kit"), ("cli.wasm", "p2-cli")];
    let dir = folder(&guests, &versioned(1, ""));
    let other = "name = 'other'\n[[workload]]\nname = 'w'\nsource = 'kit.wasm'\ntrigger.http.route = '/other'\n";
    std::fs::write(dir.path().join("other.toml"), other).unwrap();
    let mut host = Host::with(dir, &["reef.toml", "other.toml"]);
    host.write("reef.toml", &versioned(2, HANGS));
    let apply = || {
        let mut command = reef();
        command.arg("apply").arg("--socket").arg(host.path("socket"));
        command.current_dir(host.dir.path());
        std::thread::spawn(move || finish(command, b""))
    };
    let applying = apply();
    hanging(&host.path("socket"), host.dir.path());
    let ended = host.tell(&["restart", "other"]);
    ended.fails(
        125,
        &[
            "another change is in progress (apply of shop, for ",
            "shop/slow: its command of the start runs",
            "end it with `reef stop shop`",
            "Waiting: apply of shop, for ",
        ],
    );
    // Traffic is nobody's to hold up.
    assert_eq!(version_of(&host), "env VERSION=1\n");
    host.told(&["stop", "shop"]);
    let ended = applying.join().unwrap();
    ended.fails(125, &["apply of shop was called off: it is to be stopped"]);
    assert!(ended.stderr.contains("Waiting: apply of shop, for "), "{ended:?}");
    host.told(&["restart", "other"]);
    // The end of the host is the end of everything in it.
    let applying = apply();
    hanging(&host.path("socket"), host.dir.path());
    host.told(&["stop"]);
    assert!(host.server.ended().success());
    assert_ne!(applying.join().unwrap().status(), 0);
}

#[test]
fn whoever_asked_for_a_change_and_goes_calls_it_off() {
    let guests = [("kit.wasm", "p2-http-kit"), ("cli.wasm", "p2-cli")];
    let host = Host::start(folder(&guests, &versioned(1, "")));
    host.write("reef.toml", &versioned(2, HANGS));
    let mut command = reef();
    command.arg("apply").arg("--socket").arg(host.path("socket")).current_dir(host.dir.path());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    hanging(&host.path("socket"), host.dir.path());
    child.kill().unwrap();
    child.wait().unwrap();
    host.write("reef.toml", &versioned(3, ""));
    host.told(&["apply"]);
    assert_eq!(version_of(&host), "env VERSION=3\n");
}

#[test]
fn a_host_that_is_starting_is_seen_and_can_be_stopped() {
    let dir = folder(&[("kit.wasm", "p2-http-kit"), ("cli.wasm", "p2-cli")], &versioned(1, HANGS));
    let socket = dir.path().join("socket");
    let mut command = serving("up", &[] as &[&str]);
    command.arg("--socket").arg(&socket).current_dir(dir.path());
    let starting = std::thread::spawn(move || finish(command, b""));
    let status = hanging(&socket, dir.path());
    assert_eq!(status["ready"], false);
    tell(&socket, dir.path(), &["apply"]).fails(125, &["the host is starting"]);
    assert_eq!(tell(&socket, dir.path(), &["stop"]).status(), 0);
    assert_ne!(starting.join().unwrap().status(), 0);
}

#[test]
fn middleware_is_reordered_without_a_build() {
    let manifest = |middleware: &str| {
        format!(
            "name = 'shop'\n\
             [[workload]]\nname = 'one'\nsource = 'middle.wasm'\nenv = {{ NAME = 'one' }}\n\
             [[workload]]\nname = 'two'\nsource = 'middle.wasm'\nenv = {{ NAME = 'two' }}\n\
             [[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
             trigger.http = {{ route = '/...', middleware = [{middleware}] }}\n"
        )
    };
    let guests = [("kit.wasm", "p2-http-kit"), ("middle.wasm", "p3-middleware")];
    let host = Host::start(folder(&guests, &manifest("'one', 'two'")));
    let names = || -> Vec<String> {
        let headers = host.server.get("/").headers;
        let all = headers.get_all("x-passed-through").iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let first = names();
    assert_eq!(first.len(), 2, "{first:?}");
    host.write("reef.toml", &manifest("'two', 'one'"));
    host.told(&["apply"]);
    let mut turned = names();
    turned.reverse();
    assert_eq!(turned, first);
    host.write("reef.toml", &manifest("'two'"));
    host.told(&["apply"]);
    assert_eq!(names().len(), 1);
    host.write("reef.toml", &manifest(""));
    host.told(&["apply"]);
    assert!(names().is_empty());
    assert_eq!(host.server.get("/").text(), "http kit, WASI 0.2\n");
}
