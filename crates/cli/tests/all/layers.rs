//! A component in front of a capability, for each of them: it has links of its own, which the guest never sees. That of
//! key-value is in `capabilities`.

use reef_servers::Server;

use crate::{
    client,
    host::{Host, folder},
};

const GUESTS: &[(&str, &str)] = &[
    ("blobs.wasm", "p2-blobs"),
    ("blobs-3.wasm", "p3-blobs"),
    ("prefix.wasm", "p2-blob-prefix"),
    ("cipher.wasm", "p3-blob-cipher"),
    ("messages.wasm", "p2-messages"),
    ("stamp.wasm", "p2-message-stamp"),
    ("sql.wasm", "p2-sql"),
    ("guard.wasm", "p2-sql-guard"),
];

fn application(workloads: &[String]) -> String {
    format!("name = 'a'\n{}", workloads.concat())
}

/// A workload with links and more lines, which runs nothing by itself.
fn layer(name: &str, source: &str, links: &str, more: &str) -> String {
    format!("[[workload]]\nname = '{name}'\nsource = '{source}'\nlink = [{links}]\n{more}\n")
}

/// One at a route that begins with its name.
fn served(name: &str, source: &str, links: &str) -> String {
    let route = format!("trigger.http.route = '/{name}/...'");
    layer(name, source, links, &route)
}

/// A link to a layer.
fn to(import: &str, workload: &str) -> String {
    format!("{{ import = '{import}', workload = '{workload}' }},")
}

/// A link to a capability.
fn link(import: &str, capability: &str, more: &str) -> String {
    format!("{{ import = '{import}', capability = '{capability}'{more} }},")
}

fn ask(host: &Host, path: &str, content: &str) -> String {
    let request = client::request("POST", path, client::full(content.to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

#[test]
fn a_blob_store_in_front_of_a_folder_keeps_names_apart() {
    let own = link("wasi:blobstore", "blob-store", ", config.backend = 'file'");
    let manifest = |layers_link: &str, shops_link: &str| {
        application(&[
            served(
                "shop",
                "blobs.wasm",
                &format!("{}{shops_link}", to("wasi:blobstore", "prefix")),
            ),
            layer("prefix", "prefix.wasm", layers_link, ""),
            served("behind", "blobs.wasm", &own),
        ])
    };
    let host = Host::start(folder(GUESTS, &manifest(&own, "")));
    let large = "0123456789abcdef".repeat(60_000);
    assert_eq!(ask(&host, "/shop/create/c/", ""), "c");
    assert_eq!(ask(&host, "/shop/put/c/x", &large), "()");
    assert!(ask(&host, "/shop/get/c/x", "") == large);
    assert_eq!(ask(&host, "/shop/put-late/c/y", "late"), "true");
    assert!(ask(&host, "/shop/part/c/y", "").ends_with("te"));
    assert_eq!(ask(&host, "/shop/copy/c/y", "z"), "()");
    assert_eq!(ask(&host, "/shop/info/c/z", ""), "z c 4 true");
    assert_eq!(ask(&host, "/behind/put/c/other", "mine"), "()");
    assert_eq!(ask(&host, "/shop/list/c/", ""), "3");
    assert_eq!(ask(&host, "/behind/list/c/", ""), "4");
    assert!(ask(&host, "/behind/get/c/kept/x", "") == large, "a folder of its own");
    assert_eq!(ask(&host, "/shop/has/c/other", ""), "false");
    assert_eq!(ask(&host, "/shop/clear/c/", ""), "()");
    assert_eq!(ask(&host, "/behind/get/c/other", ""), "mine");

    // Without a link it has none: neither its own, nor that of the guest.
    host.write("reef.toml", &manifest("", &own.replace("wasi:blobstore'", "wasmcloud:blobstore'")));
    host.told(&["apply"]);
    let refused = ask(&host, "/shop/has/c/x", "");
    assert!(refused.contains("prefix may not use `c` of wasi:blobstore"), "{refused}");
    let line =
        r#"add link = [{ import = "wasi:blobstore", name = "c", capability = "blob-store" }]"#;
    assert!(refused.contains(line), "{refused}");
}

#[test]
fn a_blob_store_of_wasi_0_3_enciphers_what_flows_through_it() {
    let own = link("wasmcloud:blobstore", "blob-store", ", config.backend = 'file'");
    let host = Host::start(folder(
        GUESTS,
        &application(&[
            served("shop", "blobs-3.wasm", &to("wasmcloud:blobstore", "cipher")),
            layer("cipher", "cipher.wasm", &own, ""),
            served("behind", "blobs-3.wasm", &own),
        ]),
    ));
    let large = "0123456789abcdef".repeat(60_000);
    assert_eq!(ask(&host, "/shop/create/c/", ""), "c");
    assert_eq!(ask(&host, "/shop/put/c/x", &large), "()");
    assert!(ask(&host, "/shop/get/c/x", "") == large);
    assert_eq!(ask(&host, "/shop/list/c/", ""), "1");
    assert_eq!(ask(&host, "/shop/info/c/x", ""), format!("x c {} true", large.len()));
    let request = client::request("POST", "/behind/get/c/x", client::full(String::new()));
    let behind = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(behind.body.len(), large.len());
    assert!(behind.body.iter().zip(large.bytes()).all(|(is, was)| *is == !was));
}

#[test]
fn messages_are_stamped_on_their_way_out() {
    let doing = |doing: &str, subject: &str| {
        format!("env = {{ {doing} }}\ntrigger.message = {{ subject = '{subject}' }}")
    };
    let own = link("wasmcloud:messaging", "messaging", ", config.subjects = 'out'");
    let manifest = |layers_link: &str| {
        let stamped = to("wasmcloud:messaging/consumer", "stamp");
        application(&[
            layer("shop", "messages.wasm", &stamped, &doing("DO = 'pass', TO = 'out'", "in")),
            layer("stamp", "stamp.wasm", layers_link, "config.stamp = ' (stamped)'"),
            layer("far", "messages.wasm", "", &doing("DO = 'print'", "out")),
        ])
    };
    let host = Host::start(folder(GUESTS, &manifest(&own)));
    host.told(&["publish", "in", "hello"]);
    host.server.wait_for_log(&["got hello (stamped) at out"]);

    host.write("reef.toml", &manifest(""));
    host.told(&["apply"]);
    host.told(&["publish", "in", "again"]);
    host.server.wait_for_log(&["stamp may not use wasmcloud:messaging: it has no link to it"]);
}

#[test]
fn databases_are_guarded_and_mocked() {
    let server = Server::postgres().unwrap();
    let own = link("fermyon:spin", "sql", ", name = 'books'");
    let links = to("fermyon:spin/sqlite", "guard")
        + &to("fermyon:spin/postgres", "guard")
        + &to("wasmcloud:postgres", "guard");
    let manifest = |own: &str, egress: &str| {
        let more = format!("config.ledger = '{}'\n{egress}", server.url());
        application(&[
            served("shop", "sql.wasm", &links).replace("/shop/...", "/..."),
            layer("guard", "guard.wasm", own, &more),
        ])
    };
    let host = Host::start(folder(GUESTS, &manifest(&own, "")));
    let select = "open books\nquery SELECT 1";
    assert!(ask(&host, "/sqlite", select).contains("Value::Integer(1)"));
    let refused = ask(&host, "/sqlite", "open books\nquery CREATE TABLE t (a)");
    assert!(refused.contains("the guard lets nothing be written"), "{refused}");

    // Nobody has a database for this one.
    let mocked = ask(&host, "/wasmcloud", "query SELECT 1\nprepare INSERT\nexec\n  int8 2");
    assert!(mocked.contains("mocked: SELECT 1") && mocked.ends_with("prepared\n1"), "{mocked}");

    // What it may connect to is its own, too.
    let ledger = "open postgres://nowhere\nquery SELECT 42";
    let refused = ask(&host, "/postgres", ledger);
    assert!(refused.contains("ConnectionFailed"), "{refused}");
    host.server.wait_for_log(&["`a/guard` may not connect", "egress"]);
    host.write("reef.toml", &manifest(&own, &format!("egress = ['{}']", server.addr())));
    host.told(&["apply"]);
    let said = ask(&host, "/postgres", ledger);
    assert!(said.contains("DbValue::Int32(42)"), "{said}");

    host.write("reef.toml", &manifest("", ""));
    host.told(&["apply"]);
    assert!(ask(&host, "/sqlite", select).contains("AccessDenied"));
    let line = r#"add link = [{ import = "fermyon:spin", name = "books", capability = "sql" }]"#;
    host.server.wait_for_log(&["guard may not use `books`", line]);
}
