//! What Spin's applications rely on beside requests.

use std::fs;

use crate::{
    host::{Host, folder},
    server::{Server, serving},
    support::eventually,
};

/// Runs a `spin.toml`.
fn up(
    manifest: &str,
    guests: &[(&str, &str)],
    prepare: impl FnOnce(&mut std::process::Command),
) -> Host {
    let dir = folder(guests, "");
    fs::remove_file(dir.path().join("reef.toml")).unwrap();
    fs::write(dir.path().join("spin.toml"), manifest).unwrap();
    let mut command = serving::<&str>("up", []);
    command.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path());
    prepare(&mut command);
    Host { server: Server::spawn(command), dir }
}

#[test]
fn times_are_handed_to_a_component_that_wants_them() {
    let manifest = r#"
        spin_manifest_version = 2
        application = { name = "clock", version = "1.0.0" }
        [[trigger.cron]]
        component = "two"
        cron_expression = "* * * * * *"
        [[trigger.cron]]
        component = "three"
        cron_expression = "* * * * * *"
        [[trigger.cron]]
        component = "broken"
        cron_expression = "* * * * * *"
        [component.two]
        source = "two.wasm"
        [component.three]
        source = "three.wasm"
        environment = { DO = "fail" }
        [component.broken]
        source = "three.wasm"
        environment = { DO = "trap" }
    "#;
    let guests = [("two.wasm", "spin-events-2"), ("three.wasm", "spin-events-3")];
    let host = up(manifest, &guests, |_| {});
    let runs = |workload: &str| {
        eventually(&format!("two runs of {workload}"), || {
            let task = host.task(workload);
            (task["runs"].as_u64().unwrap() >= 2 && task["running"] == 0).then_some(task)
        })
    };
    assert_eq!(runs("two")["failures"], 0);
    let failed = runs("three");
    assert!(failed["last_failure"].as_str().unwrap().contains("told to fail"), "{failed}");
    let broken = runs("broken");
    assert!(broken["last_failure"].as_str().unwrap().contains("unreachable"), "{broken}");
    let entry = host.server.wait_for_log(&["time ", "clock/two"]).to_string();
    let digits = entry.split("time ").nth(1).unwrap();
    let time: u64 =
        digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(time) < 100, "{time}");
}

const VARIABLES: &str = r#"
    spin_manifest_version = 2
    application = { name = "shop", version = "1.2.3" }
    [variables]
    tea = { default = "green" }
    sugar = { required = true }
    milk = { default = "none" }
    [[trigger.http]]
    route = "/..."
    component = "config"
    [component.config]
    source = "config.wasm"
    variables = { tea = "{{ tea }}", sugar = "{{ sugar }}", milk = "{{ milk }}" }
"#;

#[test]
fn variables_are_found_where_spin_looks_for_them() {
    let host = up(VARIABLES, &[("config.wasm", "p2-config")], |command| {
        let dir = command.get_current_dir().unwrap().to_owned();
        // The environment counts for more than the file.
        fs::write(dir.join(".env"), "SPIN_VARIABLE_SUGAR=file\nSPIN_VARIABLE_MILK='a bit'\n")
            .unwrap();
        command.env("SPIN_VARIABLE_SUGAR", "environment");
    });
    let said = |name: &str| host.server.get(&format!("/spin/{name}")).text();
    assert_eq!(said("tea"), "Ok(\"green\")");
    assert_eq!(said("sugar"), "Ok(\"environment\")");
    assert_eq!(said("milk"), "Ok(\"a bit\")");
}

#[test]
fn an_application_says_of_itself_what_spin_says() {
    let host = up(VARIABLES, &[("config.wasm", "p2-config")], |command| {
        command.env("REEF_VAR_SUGAR", "one");
    });
    assert_eq!(host.server.get("/.well-known/spin/health").text(), "OK");
    let info = host.server.get("/.well-known/spin/info");
    assert_eq!(info.header("content-type"), "application/json");
    assert_eq!(info.text(), "{\n  \"name\": \"shop\",\n  \"version\": \"1.2.3\"\n}");
    assert_eq!(host.server.get("/.well-known/spin/other").status, 404);
    assert_eq!(host.server.get("/.well-known/other").status, 200);
    // A second one has the same routes, and they are no conflict.
    let other = VARIABLES.replace("shop", "till").replace("/...", "/till/...");
    fs::create_dir(host.path("till")).unwrap();
    host.write("till/spin.toml", &other);
    fs::copy(host.path("config.wasm"), host.path("till/config.wasm")).unwrap();
    host.told(&["apply", "till"]);
    assert_eq!(
        host.server.get("/till/spin/sugar").text(),
        "Ok([(\"milk\", \"none\"), (\"sugar\", \"one\"), (\"tea\", \"green\")])".to_owned()
    );
    assert_eq!(host.server.get("/.well-known/spin/health").text(), "OK");
}

#[test]
fn a_handler_from_before_wasi_answers() {
    let manifest = r#"
        spin_manifest_version = 2
        application = { name = "old", version = "1.0.0" }
        [[trigger.http]]
        route = "/..."
        component = "one"
        [[trigger.http]]
        route = "/config-of/..."
        component = "seven"
        [component.one]
        source = "one.wasm"
        variables = { tea = "green" }
        allowed_outbound_hosts = ["http://self"]
        [component.seven]
        source = "seven.wasm"
        variables = { tea = "black" }
    "#;
    let guests = [("one.wasm", "spin1-http"), ("seven.wasm", "spin-http")];
    let host = up(manifest, &guests, |_| {});
    let get = |path: &str| host.server.get(path);
    let echo = get("/echo?a=b");
    assert_eq!((echo.status, echo.header("x-spin")), (200, "1"));
    let said = echo.text();
    assert!(said.starts_with("Method::Get /echo?a=b\n"), "{said}");
    assert!(said.contains("spin-path-info: /echo\n"), "{said}");
    let body = crate::client::full(vec![b'a'; 1 << 20]);
    let sent = crate::client::request("POST", "/echo", body);
    let sent = crate::client::ask(crate::client::Version::H1, host.server.addr, sent);
    assert!(sent.text().ends_with(&"a".repeat(1 << 20)));
    assert_eq!(get("/config/tea").text(), "Ok(\"green\")");
    assert!(get("/config/milk").text().starts_with("Err(Error::Provider("));
    // Through the grants of its component, like any other request.
    assert!(get("/fetch//echo").text().contains("x-asked-by: spin1\n"));
    let refused = |url: &str| get(&format!("/fetch/{url}")).text();
    assert!(refused("http://example.com/").contains("destination-not-allowed"));
    assert!(refused(":").contains("invalid-url"));
    assert_eq!(get("/status/204").status, 204);
    for path in ["/status/7", "/trap"] {
        assert!(get(path).status >= 500, "{path}");
    }
    let odd = crate::client::request("PROPFIND", "/echo", crate::client::empty());
    let odd = crate::client::ask(crate::client::Version::H1, host.server.addr, odd);
    assert_eq!(odd.status, 405);
    assert_eq!(get("/status/201").status, 201);
    // And one of Spin's present SDK.
    let seven = get("/config-of/tea");
    assert_eq!((seven.status, seven.text()), (200, "Ok(\"black\")".to_owned()));
}
