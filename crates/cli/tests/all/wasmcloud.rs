//! Components of wasmCloud that are written with its own SDK crates, as they are.

use crate::{
    client,
    host::{Host, folder},
};

/// What both need; a value of each kind is configured.
const GRANTED: &str = "
config = { greeting = 'moin' }
link = [
    { import = 'wasi:keyvalue', capability = 'key-value' },
    { import = 'wasi:keyvalue', name = 'cache', capability = 'key-value', config.backend = 'memory' },
]
";

fn host(guest: &str, more: &str) -> Host {
    let manifest = format!(
        "name = 'shop'\n[[workload]]\nname = 'api'\nsource = 'api.wasm'\n\
         trigger.http.route = '/...'\n{more}"
    );
    Host::start(folder(&[("api.wasm", guest)], &manifest))
}

fn post(host: &Host, path: &str, body: &str) -> String {
    let request = client::request("POST", path, client::full(body.to_owned()));
    let answer = client::ask(client::Version::H1, host.server.addr, request);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.text()
}

#[test]
fn components_of_both_sdks_count_are_configured_and_log() {
    for guest in ["wasmcloud-http", "wstd-http"] {
        let host = host(guest, GRANTED);
        let get = |path: &str| host.server.get(path).text();
        assert_eq!(get("/count/visits"), "Ok(1)", "{guest}");
        assert_eq!(get("/count/visits"), "Ok(2)", "{guest}");
        assert_eq!(get("/config/greeting"), "Ok(Some(\"moin\"))", "{guest}");
        assert_eq!(get("/config/nothing"), "Ok(None)", "{guest}");
        assert_eq!(get("/log/hello"), "logged", "{guest}");
        host.server.wait_for_log(&["hello", "orders", "shop/api"]);
        let large = "a".repeat(1 << 20);
        assert!(post(&host, "/echo", &large) == large, "{guest}");
        assert_eq!(host.server.get("/nothing").status, 404, "{guest}");
    }
}

#[test]
fn a_component_of_its_sdk_chooses_between_links() {
    let host = host("wasmcloud-http", GRANTED);
    let get = |path: &str| host.server.get(path).text();
    assert_eq!(get("/count/visits"), "Ok(1)");
    assert_eq!(get("/count/visits/cache"), "Ok(1)");
    assert_eq!(get("/count/visits/cache"), "Ok(2)");
    assert_eq!(get("/count/visits/nobody"), "no link is called `nobody`");
    assert_eq!(get("/count/visits"), "Ok(2)", "what one request chose is not the next one's");
    assert_eq!(get("/config"), "Ok([(\"greeting\", \"moin\")])");
}

#[test]
fn what_they_are_not_granted_is_their_interfaces_error() {
    for guest in ["wasmcloud-http", "wstd-http"] {
        let host = host(guest, "");
        let get = |path: &str| host.server.get(path).text();
        assert!(get("/count/visits").contains("AccessDenied"), "{guest}");
        host.server.wait_for_log(&["add link = [{ import = \"wasi:keyvalue\""]);
        assert_eq!(get("/config/greeting"), "Ok(None)", "{guest}");
    }
}

#[test]
fn a_component_of_wstd_waits_and_fetches_what_it_may() {
    let other = host("wasmcloud-http", GRANTED);
    let granted = format!("egress = ['{}']\n", other.server.addr);
    let host = host("wstd-http", &granted);
    let get = |path: &str| host.server.get(path);
    assert_eq!(get("/later").text(), "late");
    let url = format!("http://{}/config/greeting", other.server.addr);
    assert_eq!(get(&format!("/fetch/{url}")).text(), "Ok(Some(\"moin\"))");
    assert_eq!(get("/fetch/http://127.0.0.1:1/").status, 502);
}
