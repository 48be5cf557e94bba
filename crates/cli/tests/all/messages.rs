//! Messages on the bus of a host.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::{
    host::{Host, folder},
    process::finish,
    support::{PATIENCE, eventually, reef},
};

const LINK: &str = "link = [{ import = 'wasmcloud:messaging', capability = 'messaging' }]\n";
const GUEST: (&str, &str) = ("messages.wasm", "p2-messages");

/// A workload that does this with messages about a subject.
fn handler(name: &str, doing: &str, subject: &str, rest: &str) -> String {
    let env = if doing.contains('=') { doing.to_owned() } else { format!("DO = '{doing}'") };
    format!(
        "[[workload]]\nname = '{name}'\nsource = 'messages.wasm'\nenv = {{ {env} }}\n\
         trigger.message.subject = '{subject}'\n{rest}\n"
    )
}

fn host(workloads: &[String]) -> Host {
    Host::start(folder(&[GUEST], &format!("name = 'a'\n{}", workloads.concat())))
}

/// Waits until a workload has handled so many messages, and says how that went.
fn handled(host: &Host, workload: &str, messages: u64) -> Value {
    eventually(&format!("{messages} messages for {workload}"), || {
        let task = host.task(workload);
        let done = task["runs"].as_u64().unwrap() >= messages && task["running"] == 0;
        done.then_some(task)
    })
}

#[track_caller]
fn refused(host: &Host, args: &[&str], parts: &[&str]) {
    let ended = host.tell(args);
    assert_ne!(ended.status(), 0, "{args:?}: {ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} is not in\n{}", ended.stderr);
    }
}

#[test]
fn everybody_has_a_message_and_one_of_each_queue() {
    let queue = |name: &str| format!("trigger.message.queue = '{name}'");
    let host = host(&[
        handler("one", "print", "orders.*", ""),
        handler("two", "print", "orders.>", ""),
        handler("three", "print", "orders.new", &queue("workers")),
        handler("four", "print", "orders.*", &queue("workers")),
        handler("five", "print", "orders.new.urgent", ""),
    ]);
    for body in 0..10 {
        let said = host.told(&["publish", "orders.new", &body.to_string()]);
        assert_eq!(said, "Published; 3 subscribers have it.\n");
    }
    for (workload, messages) in [("one", 10), ("two", 10), ("three", 5), ("four", 5)] {
        let task = handled(&host, workload, messages);
        assert_eq!(task["runs"], messages, "{workload}: {task}");
        assert_eq!(task["failures"], 0, "{workload}: {task}");
    }
    assert_eq!(host.task("five")["runs"], 0);
    assert_eq!(host.task("four")["trigger"], "message orders.*, shared by workers");
    host.server.wait_for_log(&["got 9 at orders.new", "a/one"]);
}

#[test]
fn a_component_asks_another_through_the_bus() {
    let host = host(&[
        handler("front", "DO = 'ask', TO = 'back'", "front", LINK),
        handler("back", "answer", "back", LINK),
    ]);
    assert_eq!(host.told(&["publish", "front", "what?", "--request"]), "answer to what?");
    // Without anybody who waits for the answer, there is none, and that is no failure.
    host.told(&["publish", "back", "what?"]);
    assert_eq!(handled(&host, "back", 2)["failures"], 0);
}

#[test]
fn a_command_has_a_message_as_its_input_and_answers_with_its_output() {
    let command = |name: &str, source: &str, subject: &str| {
        format!(
            "[[workload]]\nname = '{name}'\nsource = '{source}'\nenv = {{ REEF_SUBJECT = 'no' }}\n\
             trigger.message.subject = '{subject}'\n"
        )
    };
    let workloads = [
        command("module", "cat.wasm", "module"),
        command("component", "cli.wasm", "cat"),
        command("newer", "newer.wasm", "newer"),
        command("tell", "cli.wasm", "tell.*"),
        command("fail", "cli.wasm", "fail"),
    ];
    let guests = [("cat.wasm", "p1-cat"), ("cli.wasm", "p2-cli"), ("newer.wasm", "p3-cli")];
    let host = Host::start(folder(&guests, &format!("name = 'a'\n{}", workloads.concat())));
    let text = "two\nlines";
    for subject in ["module", "cat"] {
        assert_eq!(host.told(&["publish", subject, text, "--request"]), text, "{subject}");
    }
    for subject in ["tell.it", "newer"] {
        let said = host.told(&["publish", subject, text, "--request"]);
        for part in [&format!("arg 1: {subject}\n"), "env REEF_REPLY_TO=_INBOX."] {
            assert!(said.contains(part), "{said}");
        }
        // What the trigger says counts, and not what was granted.
        assert_eq!(said.matches("REEF_SUBJECT=").count(), 1, "{said}");
        assert!(said.contains(&format!("env REEF_SUBJECT={subject}\n")), "{said}");
    }
    // Otherwise its output goes to the log.
    host.told(&["publish", "tell.us"]);
    host.server.wait_for_log(&["arg 1: tell.us", "a/tell"]);
    // One that fails answers nothing.
    let args = ["publish", "fail", "--request", "--timeout", "300ms"];
    refused(&host, &args, &["no answer about `fail` within 300ms"]);
    assert_eq!(handled(&host, "fail", 1)["last_failure"], "it exited with status 1");
}

#[test]
fn a_handler_that_fails_is_counted_and_the_next_message_is_handled() {
    let host = host(&[
        handler("fail", "fail", "x", ""),
        handler("trap", "trap", "x", ""),
        handler("late", "sleep", "y", "limits.deadline = '100ms'"),
        handler("fine", "print", "x", ""),
    ]);
    host.told(&["publish", "x", "1"]);
    host.told(&["publish", "x", "2"]);
    host.told(&["publish", "y", "600000"]);
    for (workload, why) in
        [("fail", "a/fail failed: told to fail"), ("trap", "a/trap trapped: wasm trap")]
    {
        let task = handled(&host, workload, 2);
        assert_eq!(task["failures"], 2, "{task}");
        assert!(task["last_failure"].as_str().unwrap().contains(why), "{task}");
        host.server.wait_for_log(&[why, "x"]);
    }
    let task = handled(&host, "late", 1);
    assert!(task["last_failure"].as_str().unwrap().contains("deadline"), "{task}");
    assert_eq!(handled(&host, "fine", 2)["failures"], 0);
    assert_eq!(host.server.metric("reef_traps_total", "a/trap"), 2.0);
}

#[test]
fn a_workload_publishes_what_its_link_allows() {
    let pass = |to: &str| format!("DO = 'pass', TO = '{to}'");
    let narrow = "[[workload.link]]\nimport = 'wasmcloud:messaging/consumer@0.2.0'\n\
                  capability = 'messaging'\nconfig.subjects = 'in.*, {{ more }}'\n";
    let more = "[variables.more]\ndefault = 'other.>'\n";
    let host = host(&[
        more.to_owned(),
        handler("sink", "print", "in.here", ""),
        handler("denied", &pass("in.here"), "denied", ""),
        handler("linked", &pass("in.here"), "linked", LINK),
        handler("narrow", &pass("in.here"), "narrow", narrow),
        handler("variable", &pass("other.x.y"), "variable", narrow),
        handler("outside", &pass("secret"), "outside", narrow),
        // What it is asked it may answer, though inboxes are not named.
        handler("answering", "answer", "answering", narrow),
    ]);
    for subject in ["denied", "linked", "narrow", "variable", "outside"] {
        host.told(&["publish", subject, subject]);
    }
    for (workload, failures) in
        [("denied", 1), ("linked", 0), ("narrow", 0), ("variable", 0), ("outside", 1)]
    {
        let task = handled(&host, workload, 1);
        assert_eq!(task["failures"], failures, "{workload}: {task}");
    }
    assert_eq!(handled(&host, "sink", 2)["runs"], 2);
    let entry = host.server.wait_for_log(&["a/denied may not use wasmcloud:messaging", "WARN"]);
    for part in ["\"denied\":\"link\"", "\"grant\":\"wasmcloud:messaging\"", "\"a/denied\""] {
        assert!(entry.to_string().contains(part), "{entry}");
    }
    host.server.wait_for_log(&["add link = [{ import = \"wasmcloud:messaging\""]);
    host.server.wait_for_log(&["a/outside may not publish to `secret`", "in.*,other.>"]);
    assert_eq!(host.told(&["publish", "answering", "it", "--request"]), "answer to it");
}

#[test]
fn a_full_queue_is_told_to_the_publisher() {
    let slow = handler("slow", "sleep", "work.*", "limits = { requests = 1, queue = 2 }");
    let host = host(&[slow, handler("fast", "print", "work.*", "")]);
    host.told(&["publish", "work.x", "600000"]);
    eventually("the first to be taken", || (host.task("slow")["running"] == 1).then_some(()));
    for _ in 0..2 {
        host.told(&["publish", "work.x", "0"]);
    }
    refused(
        &host,
        &["publish", "work.x", "0"],
        &["no room for the message about `work.x`", "a/slow of work.*", "1 of 2 have it"],
    );
    assert_eq!(handled(&host, "fast", 4)["runs"], 4);
}

#[test]
fn what_cannot_be_published_is_refused() {
    let host = host(&[handler("w", "print", "here", "")]);
    refused(
        &host,
        &["publish", "nobody", "x", "--request"],
        &["no responders: nobody subscribes to `nobody`"],
    );
    let said = host.told(&["publish", "nobody"]);
    assert_eq!(said, "Nobody subscribes to `nobody`: nobody has it.\n");
    for subject in ["", "a b", "a..b"] {
        refused(&host, &["publish", subject, "x"], &["is not a subject"]);
    }
    refused(&host, &["publish", "a.*", "x"], &["is a pattern of several"]);
    let publish = |body: &[u8]| {
        let mut command = reef();
        command.args(["publish", "here", "-", "--socket"]).arg(host.path("socket"));
        finish(command, body)
    };
    let most = vec![b'x'; 1 << 20];
    assert_eq!(publish(&most).status(), 0);
    handled(&host, "w", 1);
    let ended = publish(&[&most[..], b"x"].concat());
    assert!(ended.status() != 0 && ended.stderr.contains("more than 1048576 bytes"), "{ended:?}");
}

#[test]
fn what_cannot_handle_messages_is_refused() {
    let manifest = "name = 'a'\n[[workload]]\nname = 'w'\nsource = 'kit.wasm'\n\
                    trigger.message.subject = 'x'\n";
    let dir = folder(&[("kit.wasm", "p2-http-kit"), GUEST], manifest);
    let mut command = reef();
    command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
    finish(command, b"").fails(125, &["wasmcloud:messaging/handler", "HTTP handler"]);
    let link = "link = [{ import = 'wasmcloud:messaging', capability = 'messaging', \
                config.subjects = 'a..b' }]";
    let manifest = format!("name = 'a'\n{}", handler("w", "print", "x", link));
    std::fs::write(dir.path().join("reef.toml"), manifest).unwrap();
    let mut command = reef();
    command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
    finish(command, b"").fails(125, &["`a..b` is not a subject"]);
}

#[test]
fn a_wadm_application_has_its_messages_from_the_bus() {
    let manifest = r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: echo
  annotations: { version: v0.1.0 }
spec:
  components:
    - name: echo
      type: component
      properties: { image: file://./messages.wasm }
      traits:
        - type: spreadscaler
          properties: { instances: 1 }
        - type: link
          properties:
            target: { name: nats }
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
    - name: nats
      type: capability
      properties:
        image: ghcr.io/wasmcloud/messaging-nats:0.27.0
      traits:
        - type: link
          properties:
            target: { name: echo }
            namespace: wasmcloud
            package: messaging
            interfaces: [handler]
            source: { config: [{ name: sub, properties: { subscriptions: 'wasmcloud.echo' } }] }
"#;
    let dir = folder(&[GUEST], "");
    std::fs::remove_file(dir.path().join("reef.toml")).unwrap();
    std::fs::write(dir.path().join("wadm.yaml"), manifest).unwrap();
    let host = Host::with(dir, &["wadm.yaml"]);
    let said = host.told(&["publish", "wasmcloud.echo", "hello", "--request"]);
    assert_eq!(said, "answer to hello");
}

#[test]
fn what_waits_is_handled_before_the_host_ends() {
    let mut host = host(&[handler("w", "sleep", "work", "limits.requests = 1")]);
    for _ in 0..40 {
        assert_eq!(publish(&host.path("socket"), "work", "20"), 200);
    }
    host.told(&["stop"]);
    assert!(host.server.ended().success());
    eventually("every message", || (bodies(&host).get("20") == Some(&40)).then_some(()));
}

/// Publishes without a process of its own; the status of the answer.
fn publish(socket: &Path, subject: &str, body: &str) -> u16 {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v1/publish?subject={subject} HTTP/1.1\r\nHost: reef\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// How often each message was handled, by its body.
fn bodies(host: &Host) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for entry in host.server.log() {
        let text = entry.to_string();
        if let Some(rest) = text.split("got ").nth(1)
            && let Some((body, _)) = rest.split_once(" at work")
        {
            *all.entry(body.to_owned()).or_default() += 1;
        }
    }
    all
}

#[test]
fn no_message_is_lost_while_revisions_change_under_a_stream_of_them() {
    // Slower than its publishers, so that there are always some that wait.
    let manifest = |version: usize| {
        let doing = format!("DO = 'print', VERSION = '{version}'");
        let rest = format!("limits = {{ requests = 1, queue = {} }}", 200 + version);
        format!("name = 'a'\n{}", handler("w", &doing, "work", &rest))
    };
    let host = Host::start(folder(&[GUEST], &manifest(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let (stop, count, socket) = (stop.clone(), count.clone(), host.path("socket"));
            thread::spawn(move || {
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    let body = format!("{publisher}-{own}");
                    match publish(&socket, "work", &body) {
                        200 => {}
                        // There is no place for it, and nobody has it: it is published again.
                        503 => continue,
                        other => panic!("{other} for {body}"),
                    }
                    own += 1;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                own
            })
        })
        .collect();
    for version in 1..=8 {
        let before = count.load(Ordering::Relaxed);
        eventually("messages between two changes", || {
            (count.load(Ordering::Relaxed) > before + 40).then_some(())
        });
        host.write("reef.toml", &manifest(version));
        host.told(&["apply"]);
    }
    stop.store(true, Ordering::Relaxed);
    let published: usize = publishers.into_iter().map(|one| one.join().unwrap()).sum();
    // At last there is no handler any more: what waits is handled all the same.
    host.write("reef.toml", &format!("name = 'a'\n{}", handler("v", "print", "v", "")));
    host.told(&["apply"]);
    assert_eq!(publish(&host.path("socket"), "v", "x"), 200);
    let all = eventually("every message", || {
        let all = bodies(&host);
        (all.len() >= published).then_some(all)
    });
    assert_eq!(all.len(), published);
    let twice: Vec<_> = all.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(host.server.metric("reef_traps_total", ""), 0.0);
}
