//! What workloads are linked to beyond each other: a guest uses it, whatever is behind it.

use crate::{
    client,
    host::{Host, folder},
    key_value::over_every_backend,
    process::finish,
    support::reef,
};

const GUEST: &[(&str, &str)] = &[("kv.wasm", "p2-key-value")];

/// An application with one workload and these links.
fn linked(links: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kv'\nsource = 'kv.wasm'\ntrigger.http.route = '/...'\n\
         link = [{links}]\n"
    )
}

fn link(more: &str) -> String {
    format!("{{ import = 'wasi:keyvalue', capability = 'key-value'{more} }},")
}

fn ask(host: &Host, path: &str, value: &str) -> String {
    let request = client::request("POST", path, client::full(value.to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

#[test]
fn both_drafts_of_key_value_do_what_they_say() {
    over_every_backend(|config, _| {
        let links = link(&format!(", {config}"));
        let host = Host::start(folder(GUEST, &linked(&links)));
        let ask = |path: &str, value: &str| ask(&host, path, value);
        for draft in ["draft", "draft2"] {
            let at = |rest: &str| format!("/{draft}/{}", rest.replace('B', draft));
            assert_eq!(ask(&at("get/B/k"), ""), "None");
            assert_eq!(ask(&at("set/B/k"), "one"), "()");
            assert_eq!(ask(&at("get/B/k"), ""), "Some(\"one\")");
            assert_eq!(ask(&at("exists/B/k"), ""), "true");
            assert_eq!(ask(&at("increment/B/n"), "41"), "41");
            assert_eq!(ask(&at("increment/B/n"), "1"), "42");
            assert_eq!(ask(&at("set-many/B/x,y"), "z"), "()");
            assert_eq!(ask(&at("delete-many/B/x"), ""), "()");
            // In whatever order.
            let keys = ask(&at("keys/B/"), "");
            let (names, cursor) = keys.split_once("] ").unwrap();
            let mut names: Vec<_> = names.trim_start_matches('[').split(", ").collect();
            names.sort_unstable();
            assert_eq!((names, cursor), (vec!["\"k\"", "\"n\"", "\"y\""], "None"));
            assert_eq!(ask(&at("delete/B/k"), ""), "()");
            assert_eq!(ask(&at("exists/B/k"), ""), "false");
        }
        let many = ask("/draft/get-many/draft/y,none", "");
        assert_eq!(many, "[Some((\"y\", [122])), None]");
        let many = ask("/draft2/get-many/draft2/y,none", "");
        assert_eq!(many, "[(\"y\", Some([122])), (\"none\", None)]");
        assert_eq!(ask("/draft2/append/draft2/y", "!"), "z!");
        assert_eq!(ask("/draft/get/draft2/y", ""), "Some(\"z!\")", "the drafts share their stores");
        let wrong = ask("/draft2/increment/draft2/y", "1");
        assert!(wrong.contains("no whole number"), "{wrong}");
    });
}

#[test]
fn what_is_not_linked_is_refused_with_the_line_to_add() {
    let host = Host::start(folder(GUEST, &linked("")));
    assert!(ask(&host, "/draft/get/orders/k", "").contains("AccessDenied"));
    assert!(ask(&host, "/draft2/set/orders/k", "v").contains("AccessDenied"));
    let line = "add link = [{ import = \"wasi:keyvalue\", name = \"orders\", capability = \"key-value\" }]";
    host.server.wait_for_log(&[line]);
    // Written there, it counts at once; and no other name does.
    host.write("reef.toml", &linked(&link(", name = 'orders', config.bucket = 'all-orders'")));
    host.told(&["apply"]);
    assert_eq!(ask(&host, "/draft/set/orders/k", "v"), "()");
    assert!(ask(&host, "/draft/get/all-orders/k", "").contains("AccessDenied"));
    assert!(ask(&host, "/draft/get/default/k", "").contains("AccessDenied"));
}

#[test]
fn what_was_kept_is_there_after_a_crash_and_another_application_does_not_see_it() {
    let manifest = linked(&link(""));
    let mut host = Host::start(folder(GUEST, &manifest));
    assert_eq!(ask(&host, "/draft/set/b/k", "kept"), "()");
    host.server.signal("KILL");
    host.server.ended();
    let mut host = Host::start(host.dir);
    assert_eq!(ask(&host, "/draft/get/b/k", ""), "Some(\"kept\")");
    host.server.signal("KILL");
    host.server.ended();
    host.write("reef.toml", &manifest.replace("'shop'", "'other'"));
    let host = Host::start(host.dir);
    assert_eq!(ask(&host, "/draft/get/b/k", ""), "None");
}

#[test]
fn two_hosts_do_not_use_the_same_data() {
    let first = Host::start(folder(GUEST, &linked(&link(""))));
    let mut second = reef();
    second.args(["up", "--addr", "127.0.0.1:0"]).arg(first.path("reef.toml"));
    second.arg("--data").arg(first.path("data")).arg("--socket").arg(first.path("second"));
    let ended = finish(second, b"");
    assert_ne!(ended.status(), 0);
    assert!(ended.stderr.contains("another process uses it"), "{ended:?}");
    assert!(ended.stderr.contains("--data"), "{ended:?}");
}

#[test]
fn a_swap_keeps_what_is_open_and_limits_are_those_of_the_link() {
    let links = link(", name = 'cache', config = { backend = 'memory', max-size = '10B' }");
    let host = Host::start(folder(GUEST, &linked(&links)));
    assert_eq!(ask(&host, "/draft/set/cache/k", "0123456789"), "()");
    let large = ask(&host, "/draft/set/cache/k", "0123456789+");
    assert!(large.contains("the value is 11B and may be 10B"), "{large}");
    host.write("reef.toml", &linked(&links.replace("10B", "20B")));
    host.told(&["apply"]);
    assert_eq!(ask(&host, "/draft/get/cache/k", ""), "Some(\"0123456789\")");
    assert_eq!(ask(&host, "/draft/set/cache/k", "0123456789+"), "()");
    let links = links.replace("max-size = '10B'", "rate = '2/1h'");
    host.write("reef.toml", &linked(&links));
    host.told(&["apply"]);
    ask(&host, "/draft/get/cache/k", "");
    ask(&host, "/draft/get/cache/k", "");
    let refused = ask(&host, "/draft/get/cache/k", "");
    assert!(refused.contains("the link `cache` allows 2 uses in 1h"), "{refused}");
}

#[test]
fn a_wrong_link_is_refused_before_anything_runs() {
    for (links, says) in [
        (link(", config.backend = 'redsi'"), "there is no backend `redsi`"),
        (link(", config.backed = 'memory'"), "did you mean `backend`?"),
        (link(", config.rate = 'often'"), "write `100/s`"),
        (link(", config = { backend = 'memory', capacity = 'much' }"), "`capacity`"),
        (format!("{}{}", link(""), link(", config.bucket = 'b'")), "give each a `name`"),
        (link("").replace("wasi:keyvalue", "wasi:blobstore"), "`wasi:keyvalue`"),
    ] {
        let dir = folder(GUEST, &linked(&links));
        let mut up = reef();
        up.args(["up", "--addr", "127.0.0.1:0", "--no-data"]).current_dir(dir.path());
        let ended = finish(up, b"");
        assert_ne!(ended.status(), 0, "{links}");
        assert!(ended.stderr.contains(says), "{links}: {}", ended.stderr);
    }
}

const LAYERS: &[(&str, &str)] =
    &[("kv.wasm", "p2-key-value"), ("cipher.wasm", "p2-kv-cipher"), ("mock.wasm", "p2-kv-mock")];

/// An application whose workload is linked to another one's store; what that one is, follows.
fn layered(workload: &str, more: &str, others: &str) -> String {
    let link = |interface: &str| {
        format!(
            "{{ import = 'wasi:keyvalue/{interface}@0.2.0-draft2', workload = '{workload}'{more} }},"
        )
    };
    let links = ["store", "atomics", "batch"].map(link).concat();
    format!("{}{others}", linked(&links))
}

/// The workload `name`, which runs nothing by itself.
fn layer(name: &str, source: &str, links: &str) -> String {
    format!("[[workload]]\nname = '{name}'\nsource = '{source}'\nlink = [{links}]\n")
}

#[test]
fn a_store_in_front_of_a_store_has_its_own_links() {
    let vault = layer("vault", "cipher.wasm", &link(", name = 'any', config.bucket = 'hidden'"));
    // What looks at what is behind, and the one in front side by side: each by its own link.
    let plain = link(", name = 'plain', config.bucket = 'hidden'");
    let manifest = layered("vault", "", &vault).replace(
        "link = [{ import = 'wasi:keyvalue/store",
        &format!("link = [{plain}{{ import = 'wasi:keyvalue/store"),
    );
    let host = Host::start(folder(LAYERS, &manifest));
    assert_eq!(ask(&host, "/draft2/set/any/k", "secret"), "()");
    assert_eq!(ask(&host, "/draft2/get/any/k", ""), "Some(\"secret\")");
    assert_eq!(ask(&host, "/draft2/increment/any/n", "41"), "41");
    assert_eq!(ask(&host, "/draft2/increment/any/n", "1"), "42");
    assert_eq!(ask(&host, "/draft2/append/any/k", "!"), "secret!");
    assert_eq!(ask(&host, "/draft2/set-many/any/x,y", "z"), "()");
    assert_eq!(ask(&host, "/draft2/get-many/any/x", ""), "[(\"x\", Some([122]))]");
    assert_eq!(ask(&host, "/draft2/keys/any/", ""), "[\"k\", \"n\", \"x\", \"y\"] None");
    // The first draft is not linked to it, but to what is behind.
    let behind = ask(&host, "/draft/get/plain/k", "");
    assert!(behind.starts_with("Some(") && !behind.contains("secret"), "{behind}");
    assert!(
        ask(&host, "/draft/get/any/k", "").contains("AccessDenied"),
        "a link that is not its own"
    );
}

/// What it is configured with and its secrets are its own, and not those of whom it stands in front of.
#[test]
fn a_store_in_front_of_a_store_has_its_own_values_and_secrets() {
    let secrets = |value: &str| {
        format!(
            "{{ import = 'wasmcloud:secrets', capability = 'secrets', config.key = '{value}' }},"
        )
    };
    let vault = |key: &str, secret: &str, inherit: &str| {
        let links = link(", name = 'any', config.bucket = 'hidden'") + &secrets(secret);
        let vault = layer("vault", "cipher.wasm", &links) + &format!("config.key = '{key}'\n");
        let plain = link(", name = 'plain', config.bucket = 'hidden'") + &secrets("zzz");
        layered("vault", inherit, &vault).replace(
            "link = [{ import = 'wasi:keyvalue/store",
            &format!("config.key = 'zzz'\nlink = [{plain}{{ import = 'wasi:keyvalue/store"),
        )
    };
    let host = Host::start(folder(LAYERS, &vault("abc", "def", "")));
    // By 'a' and 'd', turned over: 'x' is 0x78 ^ !(0x61 ^ 0x64).
    assert_eq!(ask(&host, "/draft2/set/any/k", "x"), "()");
    assert_eq!(ask(&host, "/draft2/get/any/k", ""), "Some(\"x\")");
    let behind = ask(&host, "/draft/get/plain/k", "");
    assert!(behind.starts_with("Some("), "{behind}");
    for (key, secret, inherit) in [("d", "a", ""), ("abc", "def", ", inherit = true")] {
        host.write("reef.toml", &vault(key, secret, inherit));
        host.told(&["apply"]);
        assert_eq!(ask(&host, "/draft2/get/any/k", ""), "Some(\"x\")", "{key} {secret}{inherit}");
    }
    for (key, secret) in [("b", "def"), ("abc", "e")] {
        host.write("reef.toml", &vault(key, secret, ""));
        host.told(&["apply"]);
        let other = ask(&host, "/draft2/get/any/k", "");
        assert!(other.starts_with("Some(") && other != "Some(\"x\")", "{key} {secret}: {other}");
        assert_eq!(ask(&host, "/draft/get/plain/k", ""), behind, "what is behind stays");
    }
}

#[test]
fn a_store_in_front_without_a_link_of_its_own_is_refused_and_told_which_to_add() {
    let host =
        Host::start(folder(LAYERS, &layered("vault", "", &layer("vault", "cipher.wasm", ""))));
    assert!(ask(&host, "/draft2/get/orders/k", "").contains("AccessDenied"));
    host.server.wait_for_log(&["vault may not use `orders` of wasi:keyvalue"]);
    // Nor does it get what the one in front of which it stands has, unless that says so.
    let own = link(", name = 'orders'");
    let with = |more: &str| {
        let manifest = layered("vault", more, &layer("vault", "cipher.wasm", ""));
        manifest.replace(
            "link = [{ import = 'wasi:keyvalue/store",
            &format!("link = [{own}{{ import = 'wasi:keyvalue/store"),
        )
    };
    host.write("reef.toml", &with(""));
    host.told(&["apply"]);
    assert!(ask(&host, "/draft2/get/orders/k", "").contains("AccessDenied"));
    host.write("reef.toml", &with(", inherit = true"));
    host.told(&["apply"]);
    assert_eq!(ask(&host, "/draft2/set/orders/k", "v"), "()");
    assert_eq!(ask(&host, "/draft2/get/orders/k", ""), "Some(\"v\")");
}

#[test]
fn layers_stand_on_each_other_each_with_its_own_links() {
    let all = "{ import = 'wasi:keyvalue', workload = 'inner' },";
    let others = layer("outer", "cipher.wasm", all)
        + &layer("inner", "cipher.wasm", &link(", name = 'any', config.bucket = 'b'"));
    let host = Host::start(folder(LAYERS, &layered("outer", "", &others)));
    assert_eq!(ask(&host, "/draft2/set/any/k", "twice"), "()");
    assert_eq!(ask(&host, "/draft2/get/any/k", ""), "Some(\"twice\")");
    // Turned over twice, it is as it was.
    let beside = link(", name = 'b', config.bucket = 'b'");
    let manifest = linked(&beside);
    host.write("reef.toml", &manifest);
    host.told(&["apply"]);
    assert_eq!(ask(&host, "/draft2/get/b/k", ""), "Some(\"twice\")");
}

#[test]
fn a_mock_takes_the_place_of_a_store_with_no_capability_at_all() {
    let host = Host::start(folder(LAYERS, &layered("mock", "", &layer("mock", "mock.wasm", ""))));
    assert_eq!(ask(&host, "/draft2/get/any/who", ""), "Some(\"mock\")");
    assert_eq!(ask(&host, "/draft2/get/any/other", ""), "None");
    // A call from component to component, its text and its answer copied: no host in between.
    // The least of some: whatever else the machine does only adds to it.
    let measured =
        (0..5).map(|_| ask(&host, "/draft2/get-times-10000/any/timed", "").parse::<u64>().unwrap());
    let nanoseconds = measured.min().unwrap();
    assert!(nanoseconds < 100_000, "{nanoseconds} ns a call");
}
