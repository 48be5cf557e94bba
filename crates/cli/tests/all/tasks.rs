//! What runs beside requests: services, commands at their times, connections.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use crate::{
    host::{Host, folder},
    support::{PATIENCE, eventually},
};

fn workload(name: &str, source: &str, rest: &str) -> String {
    format!("[[workload]]\nname = '{name}'\nsource = '{source}'\n{rest}\n")
}

/// Where the only task of a workload listens.
fn addr_of(host: &Host, workload: &str) -> SocketAddr {
    let trigger = host.task(workload)["trigger"].as_str().unwrap().to_owned();
    trigger.strip_prefix("tcp ").unwrap().parse().unwrap()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_command_of_the_start_runs_once_before_anything_else() {
    let manifest = format!(
        "name = 'a'\n[variables.what]\ndefault = 'tables'\n{}{}",
        workload("init", "cli.wasm", "trigger.start.args = ['make', '{{ what }}']"),
        workload("kit", "kit.wasm", "trigger.http.route = '/...'"),
    );
    let guests = [("cli.wasm", "p2-cli"), ("kit.wasm", "p2-http-kit")];
    let host = Host::start(folder(&guests, &manifest));
    host.server.wait_for_log(&["arg 1: make"]);
    host.server.wait_for_log(&["arg 2: tables"]);
    let log = host.server.log();
    let at = |part: &str| log.iter().position(|entry| entry.to_string().contains(part)).unwrap();
    assert!(at("arg 2: tables") < at("Serving."), "{log:#?}");
    // Not again, as long as it is the same.
    host.told(&["apply"]);
    let runs = |log: &[serde_json::Value]| {
        log.iter().filter(|entry| entry.to_string().contains("arg 1: make")).count()
    };
    assert_eq!(runs(&host.server.log()), 1);
}

#[test]
fn a_service_is_kept_running_and_given_up_when_it_cannot_be() {
    let manifest = format!(
        "name = 'a'\n{}{}",
        workload(
            "brief",
            "hello.wasm",
            "trigger.service = { restarts = 3, window = '1m', backoff = '10ms' }"
        ),
        workload("steady", "cli.wasm", "trigger.service.args = ['wait']"),
    );
    let guests = [("hello.wasm", "p1-hello"), ("cli.wasm", "p2-cli")];
    let mut host = Host::start(folder(&guests, &manifest));
    host.server.wait_for_log(&["ended too often and is not started again", "a/brief"]);
    let brief = host.task("brief");
    assert_eq!((&brief["phase"], &brief["runs"]), (&"failed".into(), &4.into()));
    let steady = eventually("the steady one", || {
        Some(host.task("steady")).filter(|steady| steady["phase"] == "running")
    });
    assert_eq!(steady["runs"], 1);
    // A person mends it and says so.
    let said = host.told(&["restart", "a/brief"]);
    assert!(said.contains("new: brief; as before: steady."), "{said}");
    eventually("another try", || (host.task("brief")["runs"] != 0).then_some(()));
    assert_eq!(host.task("steady")["runs"], 1);
    // It ends, though one of its guests waits for ever.
    host.told(&["stop"]);
    assert!(host.server.ended().success());
}

#[test]
fn commands_run_at_their_times() {
    let manifest = format!(
        "name = 'a'\n{}{}",
        workload("timer", "hello.wasm", "trigger.timer = { every = '50ms', args = ['tick'] }"),
        workload(
            "cron",
            "cli.wasm",
            "trigger.cron = { schedule = '* * * * * *', args = ['fail'] }"
        ),
    );
    let guests = [("hello.wasm", "p1-hello"), ("cli.wasm", "p2-cli")];
    let host = Host::start(folder(&guests, &manifest));
    eventually("five runs of the timer", || {
        (host.task("timer")["runs"].as_u64().unwrap() >= 5).then_some(())
    });
    assert_eq!(host.task("timer")["failures"], 0);
    let cron = eventually("two runs of the schedule", || {
        let cron = host.task("cron");
        (cron["failures"].as_u64().unwrap() >= 2).then_some(cron)
    });
    assert_eq!(cron["last_failure"], "it exited with status 1");
    host.server.wait_for_log(&["arg 1: tick", "a/timer"]);
    host.server.wait_for_log(&["It exited with an error.", "a/cron"]);
}

#[test]
fn a_guest_speaks_on_a_connection_that_it_is_handed() {
    let manifest = format!(
        "name = 'a'\n{}{}",
        workload("module", "cat.wasm", "trigger.tcp.addr = '127.0.0.1:0'"),
        workload("component", "cli.wasm", "trigger.tcp = { addr = '127.0.0.1:0', args = ['cat'] }"),
    );
    let guests = [("cat.wasm", "p1-cat"), ("cli.wasm", "p2-cli")];
    let host = Host::start(folder(&guests, &manifest));
    for workload in ["module", "component"] {
        let addr = addr_of(&host, workload);
        // Two at once, in steps, as people type.
        let (mut one, mut two) = (connect(addr), connect(addr));
        let mut buffer = [0; 64];
        for (stream, text) in [(&mut one, "hello\n"), (&mut two, "there\n")] {
            stream.write_all(text.as_bytes()).unwrap();
            stream.read_exact(&mut buffer[..text.len()]).unwrap();
            assert_eq!(&buffer[..text.len()], text.as_bytes(), "{workload}");
        }
        // The end of one's input is the end of its guest.
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(one.read(&mut buffer).unwrap(), 0);
        // Much, both ways at once, arrives whole.
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut writer = two.try_clone().unwrap();
        let (of, done) = (sent.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            writer.write_all(&of).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
            done.0.send(()).unwrap();
        });
        let mut got = Vec::new();
        two.read_to_end(&mut got).unwrap();
        assert!(got == sent, "{workload}: {} of {} bytes", got.len(), sent.len());
        done.1.recv_timeout(PATIENCE).unwrap();
        eventually("the end of both", || (host.task(workload)["running"] == 0).then_some(()));
    }
}

#[test]
fn a_listener_outlives_the_revision_that_opened_it() {
    let manifest = |argument: &str| {
        let trigger = format!("trigger.tcp = {{ addr = '127.0.0.1:0', args = ['{argument}'] }}");
        format!("name = 'a'\n{}", workload("w", "cli.wasm", &trigger))
    };
    let host = Host::start(folder(&[("cli.wasm", "p2-cli")], &manifest("cat")));
    let addr = addr_of(&host, "w");
    let mut old = connect(addr);
    let mut buffer = [0; 4];
    old.write_all(b"old\n").unwrap();
    old.read_exact(&mut buffer).unwrap();
    host.write("reef.toml", &manifest("new"));
    host.told(&["apply"]);
    assert_eq!(addr_of(&host, "w"), addr, "the same port, though any would do");
    let mut said = String::new();
    connect(addr).read_to_string(&mut said).unwrap();
    assert!(said.contains("arg 1: new"), "{said}");
    // The conversation goes on where it began.
    old.write_all(b"yet\n").unwrap();
    old.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"yet\n");
}

#[test]
fn a_silent_connection_is_closed() {
    let trigger = "trigger.tcp = { addr = '127.0.0.1:0', idle = '200ms' }";
    let manifest = format!("name = 'a'\n{}", workload("w", "cat.wasm", trigger));
    let host = Host::start(folder(&[("cat.wasm", "p1-cat")], &manifest));
    let mut stream = connect(addr_of(&host, "w"));
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap_or(0), 0);
    host.server.wait_for_log(&["The connection was silent and is closed."]);
    eventually("the end of its guest", || (host.task("w")["phase"] == "waiting").then_some(()));
}

#[test]
fn what_is_no_command_is_not_started_as_one() {
    for trigger in ["start = {}", "service = {}", "timer.every = '1s'", "tcp.addr = '127.0.0.1:0'"]
    {
        let manifest =
            format!("name = 'a'\n{}", workload("w", "w.wasm", &format!("trigger.{trigger}")));
        let dir = folder(&[("w.wasm", "p2-hello-http")], &manifest);
        let mut command = crate::support::reef();
        command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
        crate::process::finish(command, b"")
            .fails(125, &["a/w: it is not a command but an HTTP handler"]);
    }
}
