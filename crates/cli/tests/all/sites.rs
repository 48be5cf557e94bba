//! Folders of workers, as Wasm Workers Server serves them.

use std::{fs, path::PathBuf};

use tempfile::tempdir;

use crate::{
    client::{self, Version, empty, full, request},
    process::finish,
    server::{Server, serving},
    support::{guest, reef},
};

/// Where `cargo xtask runtimes` put the language runtimes; none if it did not.
fn runtimes() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("REEF_RUNTIMES").map(PathBuf::from) else {
        println!("skipped: REEF_RUNTIMES does not say where the runtimes are");
        return None;
    };
    Some(folder)
}

fn site(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn up(dir: &tempfile::TempDir, env: &[(&str, &str)]) -> Server {
    let mut command = serving("up", &[] as &[&str]);
    command.arg("--socket").arg(dir.path().join(".socket")).current_dir(dir.path());
    command.envs(env.iter().copied());
    Server::spawn(command)
}

/// As its documentation has them: the request comes in, a response goes out, entries are kept.
const JAVASCRIPT: &str = r#"
addEventListener("fetch", event => event.respondWith(reply(event.request)));
const reply = async request => {
    const url = new URL(request.url);
    if (request.method === "POST") {
        return new Response(`got ${await request.text()}`, { status: 201, headers: { "x-by": "js" } });
    }
    return new Response(`hello from ${url.pathname}`);
};
"#;

const COUNTER: &str = r#"
const reply = () => {
    const count = Number(Cache.get("count") || 0) + 1;
    Cache.set("count", `${count}`);
    return new Response(`${count}`);
};
addEventListener("fetch", event => event.respondWith(reply(event.request)));
"#;

const PYTHON: &str = r#"
import os

def worker(request):
    body = f"python, {os.environ.get('WHO')}: {request.params.get('id')}"
    return Response(body, headers={"x-by": "python"})
"#;

#[test]
fn a_folder_of_scripts_is_a_site() {
    let Some(_) = runtimes() else { return };
    let dir = site(&[
        ("index.js", JAVASCRIPT),
        ("count.js", COUNTER),
        ("count.toml", "name = 'count'\nversion = '1'\n[data]\n[data.kv]\nnamespace = 'count'\n"),
        ("api/[id].py", PYTHON),
        ("api/[id].toml", "version = '1'\n[vars]\nWHO = '$REEF_TEST_WHO'\n"),
        ("public/style.css", "body {}\n"),
        ("public/404.html", "<p>nothing here</p>\n"),
        ("api/_hidden.js", "nonsense"),
    ]);
    let server = up(&dir, &[("REEF_TEST_WHO", "somebody")]);
    let index = server.get("/");
    assert_eq!((index.status, &*index.text()), (200, "hello from /"), "{:#?}", server.log());
    let posted = client::ask(Version::H1, server.addr, request("POST", "/", full("a thing")));
    assert_eq!((posted.status, posted.header("x-by"), &*posted.text()), (201, "js", "got a thing"));
    // What it keeps is kept between requests, each of which has an instance of its own.
    for count in 1..=5 {
        assert_eq!(server.get("/count").text(), count.to_string());
    }
    assert_eq!(server.get("/count/").text(), "6");
    let python = server.get("/api/42");
    assert_eq!((python.header("x-by"), &*python.text()), ("python", "python, somebody: 42"));
    let style = server.get("/style.css");
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    let gone = server.get("/nothing");
    assert_eq!((gone.status, &*gone.text()), (404, "<p>nothing here</p>\n"));
    assert_eq!(server.get("/api/_hidden").header("x-by"), "python");
}

#[test]
fn workers_in_every_language_answer() {
    let Some(_) = runtimes() else { return };
    let dir = site(&[
        ("one.lua", "return function(request) return Response.new('lua ' .. request.method) end"),
        (
            "two.rb",
            "class Handler\n  def self.run(request)\n    \"ruby #{request.method}\"\n  end\nend\n",
        ),
        ("public/a.txt", "a"),
    ]);
    let server = up(&dir, &[]);
    let lua = server.get("/one");
    assert!(lua.status == 200 && lua.text().contains("lua"), "{lua:?} {:#?}", server.log());
    assert_eq!(server.get("/a.txt").text(), "a");
}

#[test]
fn a_worker_that_is_a_module_speaks_json() {
    // What it is sent is what it sends back, as the body of its response.
    let module = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "{\"data\":\"from a module\",\"headers\":{\"x-by\":\"wat\"},\"status\":203,\"kv\":{}}")
        (func (export "_start")
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 70))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let dir = tempdir().unwrap();
    let wasm = wat_to_wasm(&dir, module);
    fs::create_dir(dir.path().join("public")).unwrap();
    fs::write(dir.path().join("public/x.txt"), "x").unwrap();
    fs::copy(wasm, dir.path().join("[...all].wasm")).unwrap();
    let server = up(&dir, &[]);
    let reply = server.get("/any/thing");
    assert_eq!((reply.status, reply.header("x-by"), &*reply.text()), (203, "wat", "from a module"));
    // Files come before a worker that takes everything.
    assert_eq!(server.get("/x.txt").text(), "x");
    let posted = client::ask(Version::H1, server.addr, request("POST", "/x.txt", empty()));
    assert_eq!(posted.status, 203);
}

/// The binary form, by way of the code that `inspect` has.
fn wat_to_wasm(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join(".module.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path
}

#[test]
fn what_is_wrong_with_a_worker_is_said_before_anything_runs() {
    let Some(runtimes) = runtimes() else { return };
    let run = |files: &[(&str, &str)]| {
        let dir = site(files);
        let mut command = reef();
        command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
        finish(command, b"")
    };
    run(&[("index.js", "this is not javascript")]).fails(125, &["index", "SyntaxError"]);
    run(&[("index.js", "const x = 1;")]).fails(125, &["cannot be evaluated"]);
    run(&[("index.js", JAVASCRIPT), ("index.toml", "version = '1'\n[var]\n")])
        .fails(1, &["index.toml:2:2", "did you mean `vars`?"]);
    run(&[("[a].js", JAVASCRIPT), ("[b].js", JAVASCRIPT)]).fails(1, &["[b].js"]);
    // Without a runtime, what to do is said.
    let dir = site(&[("index.js", JAVASCRIPT)]);
    let mut command = reef();
    command.args(["up", "--addr", "127.0.0.1:0"]).current_dir(dir.path());
    command.env("REEF_RUNTIMES", dir.path()).env("XDG_DATA_HOME", dir.path());
    finish(command, b"").fails(125, &["reef runtimes install javascript FILE"]);
    // And does it.
    let mut command = reef();
    command.args(["runtimes", "install", "javascript"]).arg(runtimes.join("javascript.wasm"));
    command.arg("--to").arg(dir.path());
    finish(command, b"").prints(&["javascript is installed as "]);
    let mut command = reef();
    command.args(["runtimes", "list"]).env("REEF_RUNTIMES", dir.path());
    finish(command, b"").prints(&["JavaScript", "javascript.wasm", "php", "pending"]);
    let mut command = reef();
    command.args(["runtimes", "install", "cobol"]).arg(guest("p1-hello"));
    finish(command, b"").fails(125, &["`cobol` is no language runtime; there is javascript"]);
}
