//! Applications of other systems, as their own documentation writes them.

mod wagi;

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    client::{self, Version, empty, full, request},
    host::{Host, folder},
    process::finish,
    support::reef,
};

/// A host of this manifest, in a folder with these guests.
fn up(name: &str, manifest: &str, guests: &[(&str, &str)]) -> Host {
    up_in(folder(guests, ""), name, manifest, &[])
}

fn up_in(dir: TempDir, name: &str, manifest: &str, args: &[&str]) -> Host {
    fs::remove_file(dir.path().join("reef.toml")).unwrap();
    write(dir.path(), name, manifest);
    Host::with(dir, args)
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn ask(host: &Host, name: &str, path: &str) -> client::Reply {
    let mut request = request("GET", path, empty());
    request.headers_mut().insert("host", name.parse().unwrap());
    client::ask(Version::H1, host.server.addr, request)
}

// --- Spin ---

#[test]
fn a_spin_application_runs_unmodified() {
    let manifest = r#"
        spin_manifest_version = 2

        [application]
        name = "shop"
        version = "0.1.0"
        authors = ["Somebody <somebody@example.com>"]

        [variables]
        greeting = { default = "moin" }

        [[trigger.http]]
        route = "/users/:user/..."
        component = "front"

        [[trigger.http]]
        route = { private = true }
        component = "back"

        [[trigger.http]]
        route = "/robots.txt"
        static_response = { status_code = 203, body = "nobody", headers = { x-by = "hand" } }

        [component.front]
        source = "kit.wasm"
        environment = { GREETING = "{{ moin }}" }
        allowed_outbound_hosts = ["http://back.spin.internal"]
        files = ["assets/*.txt", { source = "data", destination = "/data" }]
        exclude_files = ["assets/secret.txt"]
        [component.front.build]
        command = "cargo build --target wasm32-wasip1 --release"

        [component.back]
        source = "kit.wasm"
        environment = { WHO = "back" }
    "#;
    let dir = folder(&[("kit.wasm", "p2-http-kit")], "");
    for file in ["assets/a.txt", "assets/secret.txt", "assets/b.png", "data/deep/c.txt"] {
        write(dir.path(), file, file);
    }
    let host = up_in(dir, "spin.toml", manifest, &[]);
    let headers = ask(&host, "shop.test:81", "/users/ada/headers?x=1").text();
    for line in [
        "spin-path-info: /headers\n",
        "spin-full-url: http://shop.test:81/users/ada/headers?x=1\n",
        "spin-matched-route: /users/:user/...\n",
        "spin-base-path: /\n",
        "spin-component-route: /users/:user\n",
        "spin-path-match-user: ada\n",
    ] {
        assert!(headers.contains(line), "{line:?} is not in\n{headers}");
    }
    // A client cannot say such things itself.
    let mut forged = request("GET", "/users/eve/headers", empty());
    forged.headers_mut().insert("spin-path-match-user", "root".parse().unwrap());
    forged.headers_mut().insert("spin-path-match-admin", "yes".parse().unwrap());
    let headers = client::ask(Version::H1, host.server.addr, forged).text();
    assert!(headers.contains("spin-path-match-user: eve\n"), "{headers}");
    assert!(!headers.contains("root") && !headers.contains("admin"), "{headers}");
    assert!(host.server.get("/users/x/env").text().contains("env GREETING={{ moin }}\n"));
    let fixed = host.server.get("/robots.txt");
    assert_eq!((fixed.status, fixed.header("x-by"), &*fixed.text()), (203, "hand", "nobody"));
    // A private component is reached by its name, from those that may.
    let back = host.server.get("/users/x/outbound?url=http://back.spin.internal/env").text();
    assert_eq!(back, "env WHO=back\n");
    let headers = host.server.get("/users/x/outbound?url=http://back.spin.internal/headers").text();
    assert!(headers.contains("spin-full-url: http://back.spin.internal/headers\n"), "{headers}");
    assert!(headers.contains("spin-matched-route: /...\n"), "{headers}");
    assert_eq!(host.server.get("/env").status, 404);
    // Only from those, and only as they may: over TLS it is another destination.
    for other in ["http://front.spin.internal", "https://back.spin.internal"] {
        let refused = host.server.get(&format!("/users/x/outbound?url={other}/env"));
        assert_eq!(refused.status, 502, "{other}: {refused:?}");
    }
    host.server.wait_for_log(&["may not connect to back.spin.internal:443"]);
}

#[test]
fn components_of_a_spin_application_may_call_each_other_and_themselves() {
    let manifest = r#"
        spin_manifest_version = 2
        application = { name = "round", version = "1.0.0" }
        [[trigger.http]]
        route = "/one/..."
        component = "one"
        [[trigger.http]]
        route = "/two/..."
        component = "two"
        [component.one]
        source = "kit.wasm"
        environment = { WHO = "one" }
        allowed_outbound_hosts = ["http://*.spin.internal"]
        [component.two]
        source = "kit.wasm"
        environment = { WHO = "two" }
        allowed_outbound_hosts = ["http://one.spin.internal", "http://self"]
    "#;
    let host = up("spin.toml", manifest, &[("kit.wasm", "p2-http-kit")]);
    let text = |path: &str| host.server.get(path).text();
    assert_eq!(text("/one/outbound?url=http://two.spin.internal/env"), "env WHO=two\n");
    // Every component is one of them, itself included.
    assert_eq!(text("/one/outbound?url=http://one.spin.internal/env"), "env WHO=one\n");
    assert_eq!(text("/two/outbound?url=http://one.spin.internal/env"), "env WHO=one\n");
    assert_eq!(text("/two/outbound?url=http://self/one/env"), "env WHO=one\n");
    // What the links do not say is refused as ever.
    assert_eq!(host.server.get("/one/outbound?url=http://self/one/env").status, 502);
}

// --- wadm ---

#[test]
fn a_wadm_application_runs_on_one_host() {
    let manifest = r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: shop
  annotations: { version: v1.0.0 }
spec:
  components:
    - name: one
      type: component
      properties:
        image: file://./kit.wasm
      traits:
        - type: spreadscaler
          properties: { instances: 8 }
    - name: two
      type: component
      properties: { image: file://./hello.wasm }
    - name: server
      type: capability
      properties:
        image: ghcr.io/wasmcloud/http-server:0.27.0
        config:
          - name: http-config
            properties: { routing_mode: path, default_address: "127.0.0.1:8081" }
      traits:
        - type: link
          properties:
            name: to-one
            target: { name: one }
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source: { config: [{ name: one-path, properties: { path: /env } }] }
        - type: link
          properties:
            name: to-two
            target: { name: two }
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source: { config: [{ name: two-path, properties: { path: /hello } }] }
"#;
    let guests = [("kit.wasm", "p2-http-kit"), ("hello.wasm", "p2-hello-http")];
    let host = up("wadm.yaml", manifest, &guests);
    assert_eq!(host.server.get("/hello").text(), "hello\n");
    assert_eq!(host.server.get("/env").status, 200);
    assert_eq!(host.status()["version"], "v1.0.0");
}

// --- all of them ---

#[test]
fn every_manifest_is_checked_and_converted() {
    let spin = "spin_manifest_version = 2\n[application]\nname = 'a'\nversion = '1.0.0'\n\
        [[trigger.http]]\nroute = '/...'\ncomponent = 'hello'\n[component.hello]\nsource = 'hello.wasm'\n";
    let wagi = "[[module]]\nroute = '/...'\nmodule = 'env.wasm'\n";
    let oam = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: { name: a }\nspec:\n  \
        components:\n    - name: hello\n      type: component\n      properties: { image: file://hello.wasm }\n";
    for (name, text, wrong, said) in [
        ("spin.toml", spin, "route = '/...'", "did you mean `route`?"),
        ("modules.toml", wagi, "route = '/...'", "did you mean `route`?"),
        ("wadm.yaml", oam, "image:", "did you mean `image`?"),
    ] {
        let dir = folder(&[("hello.wasm", "p2-hello-http"), ("env.wasm", "wagi-env")], "");
        fs::remove_file(dir.path().join("reef.toml")).unwrap();
        write(dir.path(), name, text);
        let run = |args: &[&str]| {
            let mut command = reef();
            command.args(args).current_dir(dir.path());
            finish(command, b"")
        };
        run(&["check"]).prints(&["is well formed: 1 workload"]);
        run(&["check", name]).prints(&["is well formed: 1 workload"]);
        run(&["convert", ".", "--to", "reef.toml"]).prints(&["reef.toml is the "]);
        let own = fs::read_to_string(dir.path().join("reef.toml")).unwrap();
        assert!(own.contains("[[workload]]"), "{own}");
        run(&["check", "reef.toml"]).prints(&["is well formed: 1 workload"]);
        run(&["convert", name, "--to", "reef.toml"]).fails(125, &["is there already"]);
        // To another folder, where its files are found still.
        run(&["convert", name, "--to", "elsewhere.toml"]).prints(&["elsewhere.toml"]);
        fs::create_dir(dir.path().join("sub")).unwrap();
        run(&["convert", name, "--to", "sub/reef.toml"]).prints(&["sub/reef.toml"]);
        run(&["check", "sub"]).prints(&["is well formed: 1 workload"]);
        // A field that is nearly one is named, at its place.
        let (field, _) = wrong.split_once([' ', ':']).unwrap();
        let broken = text.replace(field, &format!("{field}e"));
        write(dir.path(), name, &broken);
        let ended = run(&["check", name]);
        assert_eq!(ended.status(), 1, "{ended:?}");
        assert!(ended.stderr.contains(said) && ended.stderr.contains(name), "{}", ended.stderr);
    }
}

#[test]
fn files_redirects_and_answers_need_no_guest() {
    let manifest = r#"
        name = "site"
        [[static]]
        route = "/..."
        dir = "public"
        not-found = "404.html"
        max-age = "1h"
        [[redirect]]
        route = "/old/..."
        to = "/new/..."
        status = 301
        [[response]]
        route = "/healthz"
        body = "fine"
        headers = { content-type = "text/plain" }
    "#;
    let dir = folder(&[], manifest);
    for file in
        ["public/index.html", "public/404.html", "public/.env", "public/new/a.txt", "secret.txt"]
    {
        write(dir.path(), file, &format!("<p>{file}</p>{}", " ".repeat(2000)));
    }
    let log = dir.path().join("access.log");
    let host = Host::with(
        dir,
        &[
            "--access-log",
            log.to_str().unwrap(),
            "--access-log-format",
            "json",
            "--request-ids",
            "new",
        ],
    );
    let get = |path: &str| host.server.get(path);
    let index = get("/");
    assert_eq!((index.status, index.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(index.header("cache-control"), "max-age=3600");
    let mut part = request("GET", "/index.html", empty());
    part.headers_mut().insert("range", "bytes=3-8".parse().unwrap());
    let part = client::ask(Version::H1, host.server.addr, part);
    assert_eq!((part.status, &*part.text()), (206, "public"));
    let mut again = request("GET", "/", empty());
    again.headers_mut().insert("if-none-match", index.headers["etag"].clone());
    assert_eq!(client::ask(Version::H1, host.server.addr, again).status, 304);
    let mut small = request("GET", "/", empty());
    small.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let small = client::ask(Version::H1, host.server.addr, small);
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.body.len() < 500);
    let gone = get("/nothing");
    assert!(gone.status == 404 && gone.text().contains("public/404.html"), "{gone:?}");
    for hidden in ["/.env", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt"] {
        let reply = get(hidden);
        assert!(reply.status == 404 && !reply.text().contains("secret.txt"), "{hidden}: {reply:?}");
    }
    let old = get("/old/a.txt?x=1");
    assert_eq!((old.status, old.header("location")), (301, "/new/a.txt?x=1"));
    let fixed = get("/healthz");
    assert_eq!(
        (fixed.status, &*fixed.text(), fixed.header("content-type")),
        (200, "fine", "text/plain")
    );
    assert!(!fixed.header("x-request-id").is_empty());
    let line = crate::support::eventually("a line of the access log", || {
        let text = fs::read_to_string(&log).ok()?;
        let line = text.lines().find(|line| line.contains("/healthz"))?;
        serde_json::from_str::<serde_json::Value>(line).ok()
    });
    assert_eq!((&line["status"], &line["route"]), (&200.into(), &"/healthz".into()));
    assert_eq!(line["id"], fixed.header("x-request-id"));
}

#[test]
fn a_route_has_limits_of_its_own() {
    let manifest = r#"
        name = "limits"
        [[workload]]
        name = "kit"
        source = "kit.wasm"
        env = { LONG = "LONG" }
        [[workload.trigger.http]]
        route = "/..."
        compress = true
        [[workload.trigger.http]]
        route = "/never"
        deadline = "200ms"
        [[workload.trigger.http]]
        route = "/echo"
        max-body = "10"
    "#;
    let manifest = manifest.replace("\"LONG\"", &format!("\"{}\"", "long ".repeat(1000)));
    let host = Host::start(folder(&[("kit.wasm", "p2-http-kit")], &manifest));
    assert_eq!(host.server.get("/never").status, 504);
    let echo = |body: &'static str| {
        client::ask(Version::H1, host.server.addr, request("POST", "/echo", full(body)))
    };
    assert_eq!(echo("0123456789").text(), "0123456789");
    assert_eq!(echo("0123456789a").status, 413);
    let long = host.server.get("/env");
    assert!(long.body.len() > 5000 && long.header("content-encoding").is_empty());
    let mut short = request("GET", "/env", empty());
    short.headers_mut().insert("accept-encoding", "br".parse().unwrap());
    let short = client::ask(Version::H1, host.server.addr, short);
    assert!(short.body.len() < 500 && short.header("content-encoding") == "br", "{short:?}");
}

#[test]
fn components_are_linked_and_have_no_more_than_they_were_given() {
    let manifest = |link: &str| {
        format!(
            "name = 'math'\n[[workload]]\nname = 'http'\nsource = 'http.wasm'\n\
             env = {{ SECRET = 'hunter2' }}\ntrigger.http.route = '/...'\n{link}"
        )
    };
    let link = "link = [{ import = 'acme:math', component = 'add.wasm' }]\n";
    let guests = [("http.wasm", "p2-math-http"), ("add.wasm", "p2-math-add")];
    let host = Host::start(folder(&guests, &manifest(link)));
    let text = |path: &str| host.server.get(path).text();
    assert_eq!(text("/add/2/40"), "42\n");
    assert!(!text("/variable/SECRET").contains("hunter2"));
    // The same again: nothing is made.
    assert!(host.told(&["apply"]).contains("as before: http."));
    host.write("reef.toml", &manifest(&link.replace("' }", "', inherit = true }")));
    assert!(host.told(&["apply"]).contains("new: http."));
    assert!(text("/variable/SECRET").contains("hunter2"));
    // Another library is another workload, and this one does not fit.
    host.copy("p2-hello-http", "add.wasm");
    let ended = host.tell(&["apply"]);
    assert!(ended.status() != 0 && ended.stderr.contains("acme:math/"), "{ended:?}");
    assert_eq!(text("/add/2/3"), "5\n");
    // Without the link, what is missing is named.
    host.write("reef.toml", &manifest(""));
    let ended = host.tell(&["apply"]);
    assert!(ended.stderr.contains("imports what Reef does not have"), "{ended:?}");
}

#[test]
fn an_authentication_component_stands_in_front_of_handlers_of_any_language() {
    let manifest = "name = 'shop'\n\
        [[workload]]\nname = 'auth'\nsource = 'auth.wasm'\nenv = { TOKEN = 'Bearer let-me-in' }\n\
        [[workload]]\nname = 'rust'\nsource = 'rust.wasm'\n\
        trigger.http = { route = '/rust', middleware = ['auth'] }\n\
        [[workload]]\nname = 'python'\nsource = 'python.wasm'\n\
        trigger.http = { route = '/python', middleware = ['auth'] }\n\
        [[workload]]\nname = 'open'\nsource = 'rust.wasm'\ntrigger.http.route = '/open'\n";
    let guests = [
        ("auth.wasm", "p2-middleware"),
        ("rust.wasm", "p2-hello-http"),
        ("python.wasm", "py-http"),
    ];
    let host = Host::start(folder(&guests, manifest));
    let with = |path: &str, token: &str| {
        let mut request = request("GET", path, empty());
        request.headers_mut().insert("authorization", token.parse().unwrap());
        client::ask(Version::H1, host.server.addr, request)
    };
    assert_eq!(host.server.get("/open").status, 200);
    for path in ["/rust", "/python"] {
        assert_eq!(host.server.get(path).status, 401, "{path}");
        assert_eq!(with(path, "Bearer wrong").status, 401, "{path}");
        assert_eq!(with(path, "Bearer let-me-in").status, 200, "{path}");
    }
    // A hundred times by one who may, and one who may not in between.
    for _ in 0..50 {
        assert_eq!(with("/rust", "Bearer let-me-in").status, 200);
        assert_eq!(host.server.get("/rust").status, 401);
    }
    assert!(host.told(&["apply"]).contains("as before: open, rust, python."));
    host.write("reef.toml", &manifest.replace("middleware = ['auth']", "middleware = []"));
    assert!(host.told(&["apply"]).contains("new: rust, python; as before: open."));
    assert_eq!(host.server.get("/rust").status, 200);
}

#[test]
fn configuration_is_told_by_whichever_interface_asks() {
    let manifest = "name = 'app'\n[variables.region]\ndefault = 'eu'\n\
        [[workload]]\nname = 'w'\nsource = 'config.wasm'\ntrigger.http.route = '/...'\n\
        config = { place = 'in {{ region }}', plain = 'x' }\n";
    let host = Host::start(folder(&[("config.wasm", "p2-config")], manifest));
    let text = |path: &str| host.server.get(path).text();
    assert_eq!(text("/wasi/place"), "Ok(Some(\"in eu\"))");
    assert_eq!(text("/wasi/none"), "Ok(None)");
    assert_eq!(text("/all"), "Ok([(\"place\", \"in eu\"), (\"plain\", \"x\")])");
    assert_eq!(text("/spin/place"), "Ok(\"in eu\")");
    assert!(text("/spin/none").contains("Undefined"), "{}", text("/spin/none"));
    // Another value is another workload.
    host.write("reef.toml", &manifest.replace("'eu'", "'us'"));
    host.told(&["apply"]);
    assert_eq!(text("/wasi/place"), "Ok(Some(\"in us\"))");
    // Spin's way to say the same.
    let spin = "spin_manifest_version = 2\n[application]\nname = 'spun'\nversion = '1.0.0'\n\
        [variables]\nregion = { default = 'asia' }\n[[trigger.http]]\nroute = '/...'\ncomponent = 'c'\n\
        [component.c]\nsource = 'config.wasm'\n[component.c.variables]\nplace = 'in {{ region }}'\n";
    let host = up("spin.toml", spin, &[("config.wasm", "p2-config")]);
    assert_eq!(host.server.get("/spin/place").text(), "Ok(\"in asia\")");
}
