//! Configuration and secrets: where they come from, who may read them, and who never sees them.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::{
    client::{self, Version},
    host::{Host, folder},
    process::finish,
    server::{Server, serving},
    support::{eventually, reef},
};

/// What must be shown to guests and to nobody else.
const MARKER: &str = "hunter2-marker";

const GUESTS: &[(&str, &str)] = &[("p2.wasm", "p2-values"), ("p3.wasm", "p3-values")];

/// Two workloads that read by all interfaces, the second by the asynchronous ones; with these links.
fn manifest(links: &str) -> String {
    let workload = |name: &str, route: &str| {
        format!(
            "[[workload]]\nname = '{name}'\nsource = '{name}.wasm'\ntrigger.http.route = '{route}'\n\
             config = {{ greeting = 'own' }}\nlink = [{links}]\n"
        )
    };
    let (p2, p3) = (workload("p2", "/..."), workload("p3", "three.local/..."));
    format!("name = 'app'\n{p2}{p3}")
}

fn text(host: &Host, path: &str) -> String {
    host.server.get(path).text()
}

fn third(host: &Host, path: &str) -> String {
    let mut request = client::request("GET", path, client::empty());
    request.headers_mut().insert("host", "three.local".parse().unwrap());
    client::ask(Version::H1, host.server.addr, request).text()
}

#[test]
fn every_interface_reads_what_is_its_own_and_then_what_it_is_linked_to() {
    let dir = folder(
        GUESTS,
        &manifest(
            "{ import = 'wasi:config', capability = 'config', config = { backend = 'file', path = 'etc' } }, \
             { import = 'wasmcloud:secrets', capability = 'secrets', config = { password = 'p', 'value.rate' = 'r' } }",
        ),
    );
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/greeting"), "of the file").unwrap();
    fs::write(dir.path().join("etc/place"), "here").unwrap();
    let host = Host::start(dir);
    for draft in ["rc.1", "2024-09-27", "draft", "runtime"] {
        assert_eq!(text(&host, &format!("/{draft}/greeting")), "Ok(Some(\"own\"))", "{draft}");
        assert_eq!(text(&host, &format!("/{draft}/place")), "Ok(Some(\"here\"))", "{draft}");
        assert_eq!(text(&host, &format!("/{draft}/none")), "Ok(None)", "{draft}");
        assert_eq!(
            text(&host, &format!("/{draft}")),
            "Ok([(\"greeting\", \"own\"), (\"place\", \"here\")])",
            "{draft}"
        );
    }
    for spin in ["spin-1", "spin-2"] {
        assert_eq!(text(&host, &format!("/{spin}/greeting")), "Ok(\"own\")", "{spin}");
        assert_eq!(text(&host, &format!("/{spin}/place")), "Ok(\"here\")", "{spin}");
    }
    assert_eq!(third(&host, "/spin-3/place"), "Ok(\"here\")");
    assert!(text(&host, "/spin-1/none").contains("Provider"));
    assert!(text(&host, "/spin-2/none").contains("Undefined"));
    assert!(text(&host, "/spin-2/No-Name").contains("InvalidName"));
    assert!(third(&host, "/spin-3/none").contains("Undefined"));
    for version in ["secrets-0.1", "secrets-1"] {
        let of = |key: &str| text(&host, &format!("/{version}/{key}"));
        assert_eq!(of("password"), "SecretValue::String(\"p\")");
        assert_eq!(of("rate"), "SecretValue::String(\"r\")");
        assert_eq!(of("password/held"), "held: true");
        assert!(of("greeting").ends_with("NotFound"), "configuration is no secret");
    }
    assert_eq!(third(&host, "/secrets-2/password"), "SecretValue::String(\"p\")");
    assert!(third(&host, "/secrets-2/none").ends_with("NotFound"));
}

/// Puts values where Kubernetes would.
fn mount(folder: &Path, generation: &str, entries: &[(&str, &str)]) {
    let data = folder.join(format!("..{generation}"));
    fs::create_dir_all(&data).unwrap();
    for (name, value) in entries {
        fs::write(data.join(name), value).unwrap();
        if !folder.join(name).is_symlink() {
            symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        }
    }
    symlink(format!("..{generation}"), folder.join("..tmp")).unwrap();
    fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
}

#[test]
fn a_value_that_changes_at_its_source_is_seen_without_a_new_deployment() {
    let dir = folder(
        GUESTS,
        &manifest(
            "{ import = 'wasi:config', capability = 'config', \
               config = { backend = 'file', path = 'etc', cache = '0s' } }, \
             { import = 'wasmcloud:secrets', capability = 'secrets', \
               config = { backend = 'file', path = 'etc' } }",
        ),
    );
    let etc = dir.path().join("etc");
    fs::create_dir(&etc).unwrap();
    mount(&etc, "1", &[("level", "one")]);
    let host = Host::start(dir);
    assert_eq!(text(&host, "/rc.1/level"), "Ok(Some(\"one\"))");
    assert!(text(&host, "/secrets-1/level").contains("one"));
    mount(&etc, "2", &[("level", "two"), ("more", "x")]);
    assert_eq!(text(&host, "/rc.1/level"), "Ok(Some(\"two\"))");
    assert_eq!(text(&host, "/spin-2/more"), "Ok(\"x\")");
    // What was read a moment ago is good for a second.
    eventually("the new secret", || text(&host, "/secrets-1/level").contains("two").then_some(()));
    // What is gone is an error that says so, and the workload goes on.
    fs::remove_dir_all(&etc).unwrap();
    let gone = text(&host, "/rc.1/level");
    assert!(gone.contains("Upstream") && gone.contains("cannot read"), "{gone}");
    host.server.wait_for_log(&["cannot read", "app/p2"]);
    assert_eq!(text(&host, "/rc.1/greeting"), "Ok(Some(\"own\"))");
}

#[test]
fn a_name_that_is_not_granted_is_refused_with_the_line_to_change() {
    let dir = folder(
        GUESTS,
        &manifest(
            "{ import = 'wasi:config', capability = 'config', \
               config = { keys = 'db-*', db-host = 'h', other = 'o' } }",
        ),
    );
    let host = Host::start(dir);
    assert_eq!(text(&host, "/rc.1/db-host"), "Ok(Some(\"h\"))");
    assert_eq!(text(&host, "/rc.1"), "Ok([(\"db-host\", \"h\"), (\"greeting\", \"own\")])");
    let refused = text(&host, "/rc.1/other");
    assert!(refused.contains("config.keys = \\\"db-*, other\\\""), "{refused}");
    host.server.wait_for_log(&["app/p2 may not read `other` of config"]);
    // Without a link to secrets there are none, and the answer is the line to add.
    for refused in [text(&host, "/secrets-0.1/a"), third(&host, "/secrets-2/a")] {
        assert!(refused.contains("Upstream"), "{refused}");
        assert!(refused.contains("capability = \\\"secrets\\\""), "{refused}");
    }
    // A link that makes no sense is told before anything runs.
    for (config, told) in [
        ("backend = 'vaul'", "there is no backend `vaul`"),
        ("backend = 'vault', url = 'http://localhost:1'", "exactly one is needed"),
        ("backend = 'file', path = 'gone'", "change the setting `path`"),
        ("bucket = 'b'", "written `value.bucket`"),
    ] {
        let link =
            format!("{{ import = 'wasi:config', capability = 'config', config = {{ {config} }} }}");
        host.write("reef.toml", &manifest(&link));
        let ended = host.tell(&["apply"]);
        assert!(ended.status() != 0 && ended.stderr.contains(told), "{told}: {ended:?}");
    }
    assert_eq!(text(&host, "/rc.1/db-host"), "Ok(Some(\"h\"))", "what ran runs on");
}

#[test]
fn variables_have_values_from_the_application_s_sources() {
    let text_of = |sources: &str| {
        format!(
            "name = 'app'\n[variables.given]\n[variables.default]\ndefault = 'd'\n\
             [variables.password]\nsecret = true\n{sources}\
             [[workload]]\nname = 'p2'\nsource = 'p2.wasm'\ntrigger.http.route = '/...'\n\
             config = {{ all = '{{{{ given }}}} {{{{ default }}}} {{{{ password }}}}' }}\n"
        )
    };
    let sources = "[[variable-source]]\nbackend = 'file'\nconfig = { path = 'one.toml', keys = 'given, default' }\n\
         [[variable-source]]\nbackend = 'file'\nconfig = { path = '{{ default }}.json' }\n";
    let dir = folder(&GUESTS[..1], &text_of(sources));
    fs::write(dir.path().join("one.toml"), "given = '1'\ndefault = '2'\npassword = 'not granted'")
        .unwrap();
    fs::write(
        dir.path().join("2.json"),
        format!(r#"{{"given": "other", "password": "{MARKER}"}}"#),
    )
    .unwrap();
    let host = Host::with(dir, &["--var", "given=by hand"]);
    let all = |host: &Host| text(host, "/rc.1/all");
    assert_eq!(all(&host), format!("Ok(Some(\"by hand 2 {MARKER}\"))"));
    // They are read again with each deployment.
    host.write("2.json", r#"{"password": "new"}"#);
    host.told(&["apply"]);
    assert_eq!(all(&host), "Ok(Some(\"by hand 2 new\"))");
    host.write("2.json", r#"{"password": "newer"}"#);
    host.told(&["restart", "app"]);
    assert_eq!(all(&host), "Ok(Some(\"by hand 2 newer\"))");
    // What cannot be read is told, and what ran runs on.
    host.write("2.json", &format!("{{\"password\": {MARKER}"));
    let ended = host.tell(&["apply"]);
    let said = "variable-source 2 (file): the variable `password` cannot be read";
    assert!(ended.status() != 0 && ended.stderr.contains(said), "{ended:?}");
    assert!(!ended.stderr.contains(MARKER), "{ended:?}");
    host.write("reef.toml", &text_of(""));
    let ended = host.tell(&["apply"]);
    assert!(ended.stderr.contains("the variable `password` has no value"), "{ended:?}");
    assert_eq!(all(&host), "Ok(Some(\"by hand 2 newer\"))");
}

#[test]
fn an_application_of_spin_has_variables_of_its_runtime_configuration() {
    let spin = "spin_manifest_version = 2\n[application]\nname = 'spun'\nversion = '1.0.0'\n\
        [variables]\napi_key = { required = true, secret = true }\nregion = { default = 'asia' }\n\
        [[trigger.http]]\nroute = '/...'\ncomponent = 'c'\n[component.c]\nsource = 'p2.wasm'\n\
        [component.c.variables]\nkey = '{{ api_key }} {{ region }}'\n";
    let dir = folder(&GUESTS[..1], "");
    fs::remove_file(dir.path().join("reef.toml")).unwrap();
    fs::write(dir.path().join("spin.toml"), spin).unwrap();
    let providers = format!(
        "[[config_provider]]\ntype = 'env'\nprefix = 'NOTHING'\n\
         [[config_provider]]\ntype = 'static'\nvalues = {{ api_key = '{MARKER}' }}\n"
    );
    fs::write(dir.path().join("runtime-config.toml"), providers).unwrap();
    let host = Host::with(dir, &["--runtime-config-file", "runtime-config.toml", "spin.toml"]);
    assert_eq!(text(&host, "/spin-2/key"), format!("Ok(\"{MARKER} asia\")"));
    assert!(!host.told(&["ps", "--json"]).contains(MARKER));
}

/// Secrets wherever they can be: variables, links of every backend, files that are wrong, tokens that are refused.
#[test]
fn a_secret_is_shown_nowhere() {
    let link = |name: &str, capability: &str, config: &str| {
        let import = if capability == "config" { "wasi:config" } else { "wasmcloud:secrets" };
        format!(
            "{{ import = '{import}', name = '{name}', capability = '{capability}', config = {{ {config} }} }}"
        )
    };
    let links = [
        link("manifest", "secrets", "password = '{{ password }}', keys = 'password'"),
        link("env", "secrets", "backend = 'env', prefix = 'MARKED_', keys = 'env'"),
        link("folder", "secrets", "backend = 'file', path = 'etc', keys = 'in-folder'"),
        link("file", "secrets", "backend = 'file', path = 'values.json', keys = 'in-file'"),
        link("bad", "secrets", "backend = 'file', path = 'bad.toml', keys = 'bad'"),
        // Nobody listens there.
        link(
            "vault",
            "secrets",
            "backend = 'vault', url = 'http://localhost:1', token = '{{ password }}', keys = 'vault', timeout = '1s'",
        ),
        link("own", "config", "setting = '{{ password }}'"),
    ];
    let manifest = format!(
        "name = 'app'\n[variables.password]\nsecret = true\n\
         [[variable-source]]\nbackend = 'file'\nconfig = {{ path = 'values.json' }}\n\
         [[workload]]\nname = 'p2'\nsource = 'p2.wasm'\ntrigger.http.route = '/...'\n\
         config = {{ copy = '{{{{ password }}}}' }}\nenv = {{ COPY = '{{{{ password }}}}' }}\nlink = [{}]\n",
        links.join(", ")
    );
    let dir = folder(&GUESTS[..1], &manifest);
    let put = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    put("etc/in-folder", MARKER.to_owned());
    put("values.json", format!(r#"{{"in-file": "{MARKER}", "password": "{MARKER}"}}"#));
    put("bad.toml", format!("bad = \"{MARKER}"));
    let mut command = serving("up", ["--log", "trace"]);
    command.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path());
    command.env("REEF_DATA", dir.path().join("data")).env("MARKED_ENV", MARKER);
    let host = Host { server: Server::spawn(command), dir };

    for read in [
        "/secrets-1/password",
        "/secrets-0.1/env",
        "/secrets-1/in-folder",
        "/secrets-1/in-file",
        "/rc.1/setting",
        "/spin-2/copy",
        "/rc.1",
    ] {
        let read_text = text(&host, read);
        assert!(read_text.contains(MARKER), "the guest has it: {read}: {read_text}");
    }
    let mut shown = Vec::new();
    for read in
        ["/secrets-1/bad", "/secrets-1/vault", "/secrets-1/other", "/secrets-1/password/held"]
    {
        shown.push(text(&host, read));
    }
    assert!(shown[0].contains("line 1") && shown[1].contains("Upstream"), "{shown:?}");
    // An apply that is refused, and one that is not.
    host.write("reef.toml", &manifest.replace("timeout = '1s'", "timeout = '{{ password }}'"));
    let refused = host.tell(&["apply"]);
    assert_ne!(refused.status(), 0);
    shown.push(refused.stderr);
    host.write("reef.toml", &manifest);
    shown.push(host.told(&["apply"]));
    for command in [
        &["ps"][..],
        &["ps", "--json"],
        &["top", "-n", "1", "--every", "100ms"],
        &["logs", "app"],
        &["logs", "app", "--json"],
    ] {
        let ended = host.tell(command);
        assert_eq!(ended.status(), 0, "{ended:?}");
        shown.extend([ended.stdout, ended.stderr]);
    }
    for command in [
        &["check", "."][..],
        &["check", ".", "--json"],
        &["convert", "reef.toml"],
        &["inspect", "p2.wasm"],
        &["inspect", "p2.wasm", "--json"],
    ] {
        let mut reef = reef();
        reef.args(command).current_dir(host.dir.path());
        let ended = finish(reef, b"");
        assert_eq!(ended.status(), 0, "{ended:?}");
        shown.extend([ended.stdout, ended.stderr]);
    }
    for page in ["/metrics", "/healthz", "/readyz"] {
        shown.push(client::get(host.server.admin, page).text());
    }
    host.told(&["stop", "app"]);
    shown.push(format!("{:?}", host.server.log()));
    for one in &shown {
        assert!(!one.contains(MARKER), "{one}");
    }
    assert!(host.server.log().len() > 20, "the log was looked at");
}
