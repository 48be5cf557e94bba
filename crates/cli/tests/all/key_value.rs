//! Key-value stores by the interfaces of Spin and wasmCloud, whatever is behind them.

use reef_servers::{Nats, Server};

use crate::{
    client,
    host::{Host, folder},
};

const SPIN: &[(&str, &str)] = &[("kv.wasm", "p2-spin-key-value")];
const CONCURRENT: &[(&str, &str)] = &[("kv.wasm", "p3-key-value")];

fn linked(links: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kv'\nsource = 'kv.wasm'\ntrigger.http.route = '/...'\n\
         link = [{links}]\n"
    )
}

fn ask(host: &Host, path: &str, value: &str) -> String {
    let request = client::request("POST", path, client::full(value.to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

/// Runs a test over every backend, with a link's settings for each.
pub(crate) fn over_every_backend(test: impl Fn(&str, &str)) {
    let redis = Server::redis().unwrap();
    let (newest, oldest) =
        (Server::nats(Nats::Newest).unwrap(), Server::nats(Nats::Oldest).unwrap());
    let postgres = Server::postgres().unwrap();
    for (backend, url) in [
        ("embedded", None),
        ("memory", None),
        ("redis", Some(redis.url())),
        ("nats", Some(newest.url())),
        ("nats", Some(oldest.url())),
        ("postgres", Some(postgres.url())),
    ] {
        let url = url.map(|url| format!(", url = '{url}'")).unwrap_or_default();
        let expires = if url.contains(&oldest.url()) { "never" } else { "expires" };
        test(&format!("config = {{ backend = '{backend}'{url} }}"), expires);
    }
}

#[test]
fn components_of_spin_use_stores_by_label() {
    over_every_backend(|config, _| {
        let links = format!(
            "{{ import = 'fermyon:spin', capability = 'key-value', {config} }}, \
             {{ import = 'fermyon:spin', name = 'second', capability = 'key-value', {config} }},"
        );
        let host = Host::start(folder(SPIN, &linked(&links)));
        let ask = |path: &str, value: &str| ask(&host, path, value);
        assert_eq!(ask("/spin1/get/default/k", ""), "Error::NoSuchKey");
        assert_eq!(ask("/spin1/set/default/k", "one"), "()");
        assert_eq!(ask("/spin1/get/default/k", ""), "\"one\"");
        assert_eq!(ask("/spin2/get/default/k", ""), "Some(\"one\")", "one store by two interfaces");
        assert_eq!(ask("/spin2/get/second/k", ""), "None", "another label is another store");
        assert_eq!(ask("/spin2/set/second/other", "x"), "()");
        assert_eq!(ask("/spin1/exists/default/k", ""), "true");
        assert_eq!(ask("/spin1/keys/default/-", ""), "[\"k\"]");
        assert_eq!(ask("/spin2/keys/second/-", ""), "[\"other\"]");
        assert_eq!(ask("/spin1/delete/default/k", ""), "()");
        assert_eq!(ask("/spin2/exists/default/k", ""), "false");
        assert_eq!(
            ask("/spin1/closed/default/k", ""),
            "Err(Error::InvalidStore) Err(Error::InvalidStore)"
        );
    });
}

#[test]
fn a_label_that_is_not_linked_is_refused_as_the_interface_has_it() {
    let host = Host::start(folder(SPIN, &linked("")));
    assert_eq!(ask(&host, "/spin1/get/default/k", ""), "Error::AccessDenied");
    assert_eq!(ask(&host, "/spin2/get/cache/k", ""), "Error::AccessDenied");
    host.server
        .wait_for_log(&["add link = [{ import = \"fermyon:spin\", name = \"cache\", capability"]);
}

#[test]
fn components_of_wasmcloud_choose_between_links() {
    let link = |name: &str, capacity: &str| {
        format!(
            "{{ import = 'wasi:keyvalue', name = '{name}', capability = 'key-value', \
             config = {{ backend = 'memory', capacity = '{capacity}' }} }},"
        )
    };
    // What is said alike is one store.
    let links = format!("{}{}", link("cache", "1MiB"), link("default", "2MiB"));
    let host = Host::start(folder(SPIN, &linked(&links)));
    let ask = |path: &str, value: &str| ask(&host, path, value);
    assert_eq!(ask("/bus2/default/b/k", "of the default"), "Some(\"of the default\")");
    assert_eq!(ask("/bus2/cache/b/k", ""), "None");
    assert_eq!(ask("/bus1/cache/b/k", "of the cache"), "Some(\"of the cache\")");
    assert_eq!(ask("/bus1/default/b/k", ""), "Some(\"of the default\")");
    assert_eq!(ask("/bus2/cache/b/k", ""), "Some(\"of the cache\")");
    assert_eq!(ask("/bus2/none/b/k", ""), "no link is called `none`");
    assert!(ask("/bus1/none/b/k", "").contains("AccessDenied"));
}

#[test]
fn asynchronous_stores_do_what_they_say() {
    over_every_backend(|config, expires| {
        let links = format!(
            "{{ import = 'spin:key-value', capability = 'key-value', {config} }}, \
             {{ import = 'wasmcloud:keyvalue', capability = 'key-value', {config} }},"
        );
        let host = Host::start(folder(CONCURRENT, &linked(&links)));
        let ask = |path: &str, value: &str| ask(&host, path, value);
        assert_eq!(ask("/spin3/get/default/k", ""), "None");
        assert_eq!(ask("/spin3/set/default/k", "one"), "()");
        assert_eq!(ask("/spin3/get/default/k", ""), "Some(\"one\")");
        assert_eq!(ask("/spin3/exists/default/k", ""), "true");
        assert_eq!(ask("/spin3/keys/default/-", ""), "[\"k\"] Ok(())");
        assert_eq!(ask("/spin3/some-keys/default/-", ""), "true Ok(())");
        assert_eq!(ask("/spin3/delete/default/k", ""), "()");
        assert_eq!(ask("/spin3/keys/default/-", ""), "[] Ok(())");

        let at = |rest: &str| format!("/wasmcloud/{}", rest.replace('B', "default"));
        assert_eq!(ask(&at("set/B/k"), "one"), "()");
        assert_eq!(ask(&at("get/B/k"), ""), "Some(\"one\")");
        assert_eq!(ask(&at("set-new/B/k"), "two"), "Error::PreconditionFailed");
        assert_eq!(ask(&at("set-new/B/new"), "two"), "()");
        assert_eq!(ask(&at("keys/B/n"), ""), "[\"new\"] None");
        assert_eq!(ask(&at("increment/B/n"), "-3"), "-3");
        assert_eq!(ask(&at("together/B/count"), ""), "Some(20)");
        assert_eq!(ask(&at("append/B/k"), "!"), "CasResult::Swapped true");
        assert_eq!(ask(&at("get/B/k"), ""), "Some(\"one!\")");
        assert_eq!(ask(&at("set/B/k"), "old"), "()");
        assert_eq!(ask(&at("replace/B/k"), "new"), "CasResult::Swapped");
        assert!(ask(&at("replace/B/k"), "newer").starts_with("CasResult::Stale(Some("));
        assert_eq!(ask(&at("replace/B/none"), "new"), "CasResult::Stale(None)");
        assert_eq!(ask(&at("swap-without-condition/B/k"), "x"), "Error::InvalidArgument");
        assert_eq!(ask(&at("set-many/B/x,y"), "z"), "()");
        assert_eq!(ask(&at("get-many/B/x,none"), ""), "[Some((\"x\", [122])), None]");
        assert_eq!(ask(&at("delete-many/B/x,y"), ""), "()");
        assert_eq!(ask(&at("exists/B/x"), ""), "false");
        assert_eq!(ask(&at("delete/B/k"), ""), "()");
        let briefly = ask(&at("set-briefly/B/brief"), "x");
        if expires == "never" {
            assert!(briefly.contains("values cannot expire at NATS 2.10"), "{briefly}");
        } else {
            assert_eq!(briefly, "()");
            let start = std::time::Instant::now();
            while ask(&at("exists/B/brief"), "") == "true" {
                assert!(start.elapsed() < std::time::Duration::from_secs(20), "it stays for ever");
            }
        }
    });
}

#[test]
fn what_goes_wrong_behind_a_link_is_the_interfaces_own_error() {
    let mut redis = Server::redis().unwrap();
    let config =
        format!("config = {{ backend = 'redis', url = '{}', timeout = '5s' }}", redis.url());
    let links = format!("{{ import = 'wasmcloud:keyvalue', capability = 'key-value', {config} }},");
    let host = Host::start(folder(CONCURRENT, &linked(&links)));
    assert_eq!(ask(&host, "/wasmcloud/set/default/k", "v"), "()");
    redis.freeze();
    assert_eq!(ask(&host, "/wasmcloud/get/default/k", ""), "Error::Timeout");
    redis.thaw();
    redis.kill();
    let said = ask(&host, "/wasmcloud/get/default/k", "");
    assert_eq!(said, "Error::StoreUnavailable");
    host.server.wait_for_log(&["shop/kv", "default"]);
    redis.start_again().unwrap();
    let start = std::time::Instant::now();
    while ask(&host, "/wasmcloud/get/default/k", "") != "Some(\"v\")" {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "it does not come back");
    }
}
