//! Applications of WAGI.

use std::fs;

use tempfile::tempdir;

use super::{up_in, write};
use crate::{
    client::{self, Version, full, request},
    host::folder,
    origin::{Behaviour, Origin},
    process::finish,
    server::{Server, serving},
    support::{guest, reef},
};

/// Tells its own routes, and answers each with the name of its function.
const ROUTES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 100) "/hello hello\n/bye/... bye\n")
    (data (i32.const 200) "content-type: text/plain\n\nhello\n")
    (data (i32.const 300) "content-type: text/plain\n\nbye\n")
    (data (i32.const 400) "content-type: text/plain\n\nmain\n")
    (data (i32.const 500) "location: /elsewhere\nstatus: 307\n\n")
    (func $say (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_routes") (call $say (i32.const 100) (i32.const 26)))
    (func (export "hello") (call $say (i32.const 200) (i32.const 32)))
    (func (export "bye") (call $say (i32.const 300) (i32.const 30)))
    (func (export "_start") (call $say (i32.const 400) (i32.const 31)))
    (func (export "away") (call $say (i32.const 500) (i32.const 36))))"#;

#[test]
fn a_module_map_runs_as_wagi_ran_it() {
    let manifest = r#"
        [[module]]
        route = "/"
        module = "env.wasm"
        argv = "--path ${SCRIPT_NAME} ${ARGS}"

        [[module]]
        route = "/echo/..."
        module = "echo.wasm"

        [[module]]
        route = "/own/..."
        module = "routes.wat"

        [[module]]
        route = "/away"
        module = "file:away.wat"
        entrypoint = "away"

        [[module]]
        route = "/status"
        module = "status.wasm"
        volumes = { "/data" = "stuff" }
    "#;
    let guests =
        [("env.wasm", "wagi-env"), ("echo.wasm", "wagi-echo"), ("status.wasm", "wagi-status")];
    let dir = folder(&guests, "");
    write(dir.path(), "routes.wat", ROUTES);
    // The same without routes of its own.
    write(dir.path(), "away.wat", &ROUTES.replace("\"_routes\"", "\"other\""));
    fs::create_dir(dir.path().join("stuff")).unwrap();
    let host = up_in(dir, "modules.toml", manifest, &[]);
    let text = |path: &str| host.server.get(path).text();
    assert_eq!(text("/healthz"), "OK");
    let env = text("/?greet=matt&foo=bar");
    for line in [
        "arg 0: --path\n",
        "arg 1: /\n",
        "arg 2: greet=matt\n",
        "arg 3: foo=bar\n",
        "env GATEWAY_INTERFACE=CGI/1.1\n",
        "env QUERY_STRING=greet=matt&foo=bar\n",
        "env X_MATCHED_ROUTE=/\n",
        "env REQUEST_METHOD=GET\n",
    ] {
        assert!(env.contains(line), "{line:?} is not in\n{env}");
    }
    let body = "streamed both ways, ".repeat(10_000);
    let echo =
        client::ask(Version::H1, host.server.addr, request("POST", "/echo/x", full(body.clone())));
    assert_eq!((echo.status, echo.text() == body), (200, true));
    // Routes that the module tells of itself, below its own.
    assert_eq!(text("/own/hello"), "hello\n");
    assert_eq!(text("/own/bye/below/it"), "bye\n");
    assert_eq!(text("/own/else"), "main\n");
    let away = host.server.get("/away");
    assert_eq!((away.status, away.header("location")), (307, "/elsewhere"));
    assert_eq!(host.server.get("/nothing").status, 404);
}

/// Sends a request to the URL in its query, and answers with the number of the error or the body.
const CALLER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_experimental_http" "req"
        (func $req (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_experimental_http" "body_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_experimental_http" "header_get"
        (func $header (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_experimental_http" "close" (func $close (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "URL")
    (data (i32.const 300) "GET")
    (data (i32.const 310) "x-from:wagi\n")
    (data (i32.const 330) "content-type: text/plain\n\n")
    (data (i32.const 360) "error 00\n")
    (data (i32.const 380) "content-length")
    (global $handle (mut i32) (i32.const 0))
    (func $say (param $at i32) (param $length i32)
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4) (local.get $length))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $check (param $error i32)
        (if (local.get $error) (then
            (i32.store8 (i32.const 366) (i32.add (i32.const 48) (i32.div_u (local.get $error) (i32.const 10))))
            (i32.store8 (i32.const 367) (i32.add (i32.const 48) (i32.rem_u (local.get $error) (i32.const 10))))
            (call $say (i32.const 360) (i32.const 9)))))
    (func (export "_start") (local $error i32)
        (call $say (i32.const 330) (i32.const 26))
        (local.set $error (call $req
            (i32.const 16) (i32.const LENGTH) (i32.const 300) (i32.const 3)
            (i32.const 310) (i32.const 12) (i32.const 0) (i32.const 0)
            (i32.const 400) (i32.const 404)))
        (call $check (local.get $error))
        (if (i32.eqz (local.get $error)) (then
            (global.set $handle (i32.load (i32.const 404)))
            (call $check (call $header (global.get $handle) (i32.const 380) (i32.const 14)
                (i32.const 1000) (i32.const 100) (i32.const 408)))
            (call $check (call $header (global.get $handle) (i32.const 300) (i32.const 3)
                (i32.const 1000) (i32.const 100) (i32.const 408)))
            (call $check (call $read (global.get $handle) (i32.const 2000) (i32.const 1000)
                (i32.const 412)))
            (call $say (i32.const 2000) (i32.load (i32.const 412)))
            (call $check (call $close (global.get $handle)))
            (call $check (call $read (global.get $handle) (i32.const 2000) (i32.const 1000)
                (i32.const 412)))))))"#;

/// WAGI takes the paths of a manifest from where it was started; what is beside the manifest goes first.
#[test]
fn paths_of_a_module_map_may_start_where_wagi_was_started() {
    let manifest = r#"
        [[module]]
        route = "/env"
        module = "wasm/env.wasm"

        [[module]]
        route = "/status/..."
        module = "wasm/status.wasm"
        volumes = { "/data" = "stuff" }

        [[module]]
        route = "/both"
        module = "both.wasm"
    "#;
    let dir = tempdir().unwrap();
    let folder = |path: &str| fs::create_dir_all(dir.path().join(path)).unwrap();
    let copy = |name: &str, to: &str| fs::copy(guest(name), dir.path().join(to)).map(drop).unwrap();
    folder("here/wasm");
    folder("here/stuff");
    folder("there");
    write(dir.path(), "there/modules.toml", manifest);
    copy("wagi-env", "here/wasm/env.wasm");
    copy("wagi-status", "here/wasm/status.wasm");
    write(dir.path(), "here/both.wasm", "none");
    copy("wagi-env", "there/both.wasm");
    let mut command = serving("up", ["../there/modules.toml"]);
    command.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path().join("here"));
    let server = Server::spawn(command);
    for path in ["/env", "/both"] {
        assert!(server.get(path).text().contains("GATEWAY_INTERFACE=CGI/1.1"), "{path}");
    }
    assert_eq!(server.get("/status/").status, 200);

    // From anywhere else, nothing is there.
    let mut check = reef();
    check.args(["check", "modules.toml"]).current_dir(dir.path().join("there"));
    let ended = finish(check, b"");
    assert_eq!(ended.status(), 1);
    let said = ended.stdout + &ended.stderr;
    for missing in ["wasm/env.wasm", "wasm/status.wasm", "stuff"] {
        assert!(said.contains(missing), "{missing} is not in {said}");
    }
}

#[test]
fn a_module_sends_requests_where_its_allowed_hosts_let_it() {
    let origin = Origin::start(Behaviour::Answer);
    let url = format!("http://{}/some/path", origin.addr);
    let caller = CALLER.replace("URL", &url).replace("LENGTH", &url.len().to_string());
    let manifest = format!(
        "[[module]]\nroute = '/may'\nmodule = 'caller.wat'\nallowed_hosts = ['http://{}']\n\
         http_max_concurrency = 1\n\
         [[module]]\nroute = '/not'\nmodule = 'caller.wat'\n\
         allowed_hosts = ['https://{}']\n",
        origin.addr, origin.addr
    );
    let dir = folder(&[], "");
    write(dir.path(), "caller.wat", &caller);
    let host = up_in(dir, "modules.toml", &manifest, &[]);
    // No header of that name; the whole answer; nothing more once it is closed.
    assert_eq!(host.server.get("/may").text(), "error 05\nGET /some/patherror 01\n");
    let (head, _) = &origin.requests()[0];
    assert_eq!(head.headers["x-from"], "wagi");
    assert_eq!(host.server.get("/not").text(), "error 07\n");
    let said = host.server.wait_for_log(&["was not granted", &origin.addr.to_string()]);
    assert_eq!(said["denied"], "egress");
}
