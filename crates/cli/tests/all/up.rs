//! `reef up`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
};

use tempfile::{TempDir, tempdir};

use crate::{
    process::finish,
    server::{Server, serving},
    support::{guest, reef},
};

/// A folder with guests under these names.
fn folder(guests: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, of) in guests {
        fs::copy(guest(of), dir.path().join(name)).unwrap();
    }
    dir
}

fn up(dir: &TempDir, args: &[&str]) -> Server {
    let mut command = serving("up", args);
    command.current_dir(dir.path());
    Server::spawn(command)
}

#[test]
fn an_application_runs_as_its_manifest_says() {
    let dir = folder(&[("hello.wasm", "p3-hello-http"), ("kit.wasm", "p2-http-kit")]);
    fs::create_dir(dir.path().join("assets")).unwrap();
    let manifest = "
        name = 'shop'
        [variables.greeting]
        [variables.kind]
        default = 'plain'
        [[workload]]
        name = 'hello'
        source = 'hello.wasm'
        trigger.http.route = '/...'
        [[workload]]
        name = 'kit'
        source = 'kit.wasm'
        env = { SAID = '{{ greeting }}, {{ kind }}' }
        limits = { deadline = '300ms' }
        trigger.http = [{ route = '/env' }, { route = '/never' }, { route = 'kit.test/...' }]
        [profile.production.variables.kind]
        default = 'fancy'
    ";
    fs::write(dir.path().join("reef.toml"), manifest).unwrap();
    for (args, said) in [
        (&["--var", "greeting=moin"][..], "env SAID=moin, plain\n"),
        (&["--var", "greeting=moin", "--profile", "production"], "env SAID=moin, fancy\n"),
    ] {
        let server = up(&dir, args);
        assert_eq!(server.get("/").text(), "hello\n");
        assert_eq!(server.get("/env").text(), said);
        // Limits are the workload's own.
        assert_eq!(server.get("/never").status, 504);
    }
}

#[test]
fn what_is_said_of_many_hosts_does_no_harm_on_one() {
    let dir = folder(&[("hello.wasm", "p3-hello-http")]);
    let manifest = "
        name = 'shop'
        namespace = 'team-a'
        [[workload]]
        name = 'hello'
        source = 'hello.wasm'
        trigger.http.route = '/...'
        [workload.scale]
        instances = 6
        spread = [{ name = 'east', labels = { region = 'east' }, weight = 80 }, { name = 'west', labels = { region = 'west' } }]
        require = [{ label = 'zone', in = ['a', 'b'] }]
        prefer = [{ label = 'disk', in = 'ssd', weight = 10 }]
        topology = { label = 'zone', required = true }
        per-host = 2
        packing = 'bin-pack'
        max-unavailable = '25%'
        priority = 7
        auto = { min = 2, max = 20, target = { concurrency = 10 } }
        [workload.rollout]
        strategy = 'canary'
        steps = [{ weight = 10, hold = '5m' }]
        gates = { max-error-rate = '1%', max-latency = '1s' }
    ";
    let file = dir.path().join("reef.toml");
    fs::write(&file, manifest).unwrap();
    let server = up(&dir, &[]);
    assert_eq!(server.get("/").text(), "hello\n");
    drop(server);
    // Not so a link to what is not here.
    let link = "[[workload.link]]\nimport = 'a:b/c'\nworkload = 'x'\napplication = 'other'\n";
    fs::write(&file, format!("{manifest}{link}")).unwrap();
    let mut command = reef();
    command.args(["up", "--addr", "127.0.0.1:0"]).arg(&file);
    let ended = finish(command, b"");
    assert_ne!(ended.status(), 0);
    assert!(
        ended.stderr.contains(
            "hello: the link of `a:b/c` is to another application, which only a lattice has"
        ),
        "{}",
        ended.stderr
    );
}

/// On a terminal, which `script` (bsdutils) is here.
#[test]
#[cfg(target_os = "linux")]
fn a_terminal_shows_each_workload_while_it_is_made() {
    let manifest = "name = 'shop'\n[[workload]]\nname = 'one'\nsource = 'kit.wasm'\ntrigger.http.route = '/1'\n\
        [[workload]]\nname = 'two'\nsource = 'hello.wasm'\ntrigger.http.route = '/2'\n\
        [[workload]]\nname = 'init'\nsource = 'cli.wasm'\ntrigger.start.args = ['fail']\n";
    let dir = folder(&[
        ("kit.wasm", "p2-http-kit"),
        ("hello.wasm", "p3-hello-http"),
        ("cli.wasm", "p2-cli"),
    ]);
    for (manifest, ready) in
        [(manifest.replace("'fail'", "'x'"), true), (manifest.to_owned(), false)]
    {
        fs::write(dir.path().join("reef.toml"), manifest).unwrap();
        let up = format!(
            "'{}' up --addr 127.0.0.1:0 --socket socket --cache-dir cache",
            env!("CARGO_BIN_EXE_reef")
        );
        let mut command = std::process::Command::new("script");
        command.args(["-qefc", &up, "/dev/null"]).current_dir(dir.path());
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("`script`, of the package bsdutils");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let last = if ready { "Serving shop/two at" } else { "ended with status" };
        let mut said = String::new();
        while !said.contains(last) {
            let line = lines.next().unwrap_or_else(|| panic!("{last:?} is not in {said}")).unwrap();
            said.push_str(&line);
            said.push('\n');
        }
        assert_eq!(said.contains("shop: 3 workloads ready in "), ready, "{said}");
        if ready {
            // Compiled for the first time, which takes long enough to be seen.
            let seen = said.contains("Compiling 1 of 3: shop/one (")
                && said.contains("shop/one: compiled in ");
            assert!(seen, "{said}");
            let mut stop = reef();
            stop.args(["stop", "--socket", "socket"]).current_dir(dir.path());
            assert_eq!(finish(stop, b"").status(), 0);
        }
        // Nothing is left in its way: the rest can be read to its end.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        child.wait().unwrap();
        assert!(!rest.iter().any(|line| line.contains("Compiling")), "{rest:?}");
    }
}

#[test]
fn a_file_or_a_folder_of_files_is_an_application() {
    let dir = folder(&[("hello.wasm", "p3-hello-http")]);
    for args in [&[][..], &["."], &["hello.wasm"]] {
        let server = up(&dir, args);
        assert_eq!(server.get("/anywhere").text(), "hello\n", "{args:?}");
    }
    let dir = folder(&[("one.wasm", "p3-hello-http"), ("two.wasm", "p2-hello-http")]);
    let server = up(&dir, &[]);
    for path in ["/one", "/two/below"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/").status, 404);
}

#[test]
fn several_applications_share_a_listener_unless_they_want_the_same_place() {
    let dir = folder(&[("hello.wasm", "p3-hello-http")]);
    for (name, route) in [("a", "/a/..."), ("b", "/b/..."), ("c", "/:x/...")] {
        let workload = "[[workload]]\nname = 'w'\nsource = 'hello.wasm'";
        let text = format!("name = '{name}'\n{workload}\ntrigger.http.route = '{route}'\n");
        fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
    }
    let server = up(&dir, &["a.toml", "b.toml", "c.toml"]);
    for path in ["/a", "/b/x", "/else"] {
        assert_eq!(server.get(path).text(), "hello\n", "{path}");
    }
    // Each under its own name.
    for workload in ["a/w", "b/w", "c/w"] {
        let requests = server.metric("reef_requests_total", &format!("workload=\"{workload}\""));
        assert_eq!(requests, 1.0, "{workload}");
    }
    let text = fs::read_to_string(dir.path().join("a.toml")).unwrap();
    fs::write(dir.path().join("d.toml"), text.replace("name = 'a'", "name = 'd'")).unwrap();
    for (other, said) in [
        ("d.toml", "`a/w` and `d/w` both have the route /a/..."),
        ("a.toml", "two applications are called `a`"),
    ] {
        let mut command = reef();
        command.current_dir(dir.path()).args(["up", "--addr", "127.0.0.1:0", "a.toml", other]);
        let ended = finish(command, b"");
        assert_ne!(ended.status(), 0);
        assert!(ended.stderr.contains(said), "{said:?}: {ended:?}");
    }
}

#[test]
fn nothing_runs_of_what_cannot_run_whole() {
    let dir = folder(&[("hello.wasm", "p3-hello-http")]);
    let start = "name = 'a'\n[variables.x]\n[[workload]]\nname = 'w'\nsource = 'hello.wasm'\n";
    let route = "trigger.http.route = '/...'\n";
    let digest = format!("digest = 'sha256:{}'\n", "0".repeat(64));
    for (text, args, said) in [
        (
            format!("{start}{route}"),
            &[][..],
            "the variable `x` has no value; give it one with --var x=VALUE or REEF_VAR_X",
        ),
        (format!("{start}{route}"), &["--var", "y=1"], "no application here has a variable `y`"),
        (format!("{start}{route}"), &["--var", "x"], "write NAME=VALUE"),
        (start.to_owned(), &["--var", "x=1"], "nothing starts a workload of `a`"),
        (format!("{start}{route}{digest}"), &["--var", "x=1"], "is not what the manifest pins"),
        (
            format!("{start}{route}egress = ['{{{{ x }}}}']\n"),
            &["--var", "x=:"],
            "is not an egress destination",
        ),
        (
            format!("{start}{route}").replace("hello.wasm'", "oci://127.0.0.1:1/a/b:1'"),
            &["--var", "x=1"],
            "127.0.0.1:1 refused the connection",
        ),
        (format!("{start}{route}").replace("hello", "gone"), &[], "there is no file gone.wasm"),
        (format!("{start}colour = 1\n"), &[], "`colour` is not a known field"),
    ] {
        fs::write(dir.path().join("reef.toml"), &text).unwrap();
        let mut command = reef();
        command.current_dir(dir.path()).args(["up", "--addr", "127.0.0.1:0"]).args(args);
        let ended = finish(command, b"");
        assert_ne!(ended.status(), 0, "{text}");
        assert!(ended.stderr.contains(said), "{said:?} is not in\n{}\nfor\n{text}", ended.stderr);
    }
    let empty = tempdir().unwrap();
    let mut command = reef();
    command.current_dir(empty.path()).arg("up");
    let ended = finish(command, b"");
    assert!(ended.stderr.contains("has neither a reef.toml nor a .wasm file"), "{ended:?}");
}
