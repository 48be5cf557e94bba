#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn read(file: &str, text: &str) -> (Option<Settings>, Vec<String>) {
    let source = Source::new("worker.toml", text);
    let mut found = Diagnostics::default();
    let settings = Settings::parse(&source, file, &mut found);
    let line = |one: &Diagnostic| {
        let (line, column) = one.line_and_column().unwrap_or_default();
        format!("{line}:{column}: {one}; {}", one.help_text().unwrap_or_default())
    };
    (settings, found.iter().map(line).collect())
}

#[test]
fn every_field_is_read() {
    let (settings, found) = read(
        "api/[id].wasm",
        r#"
name = "users"
version = "1"

[vars]
MESSAGE = "Hello $USER"
TOKEN = "$TOKEN"

[data.kv]
namespace = "users"

[[folders]]
from = "./_libs"
to = "/mnt/libs"

[[folders]]
from = "../_assets"
to = "/mnt/assets"

[features.http_requests]
allowed_methods = ["GET", "POST"]
allowed_hosts = ["api.example.com"]
allow_http = true

[features.wasi_nn]
allowed_backends = ["openvino"]
preload_models = [{ provider = { type = "local", dir = "./_models" }, backend = "openvino" }]
"#,
    );
    assert_eq!(found, [""; 0]);
    let settings = settings.unwrap();
    assert_eq!(settings.name.as_deref(), Some("users"));
    let vars: Vec<_> = settings.vars.values().map(|value| value.value.clone()).collect();
    assert_eq!(vars, [Value::Text("Hello $USER".into()), Value::Environment("TOKEN".into())]);
    assert_eq!(settings.data.kv.unwrap().namespace.value, "users");
    let folders: Vec<_> =
        settings.folders.iter().map(|folder| (&**folder.from, &**folder.to)).collect();
    assert_eq!(folders, [("api/_libs", "/mnt/libs"), ("_assets", "/mnt/assets")]);
    let requests = settings.features.http_requests;
    assert_eq!(requests.allowed_hosts[0].value, "api.example.com");
    assert_eq!(requests.allowed_methods.len(), 2);
    assert!(requests.allow_http);
    let nn = settings.features.wasi_nn;
    assert_eq!(nn.allowed_backends[0].value, Backend::Openvino);
    assert_eq!(nn.preload_models[0].provider.dir.value, "api/_models");
}

#[test]
fn what_is_left_out_allows_nothing() {
    let (settings, found) = read("a.js", "version = \"1\"\n[features]\n[features.http_requests]\n");
    let settings = settings.unwrap();
    assert_eq!(found, [""; 0]);
    assert!(settings.features.http_requests.allowed_hosts.is_empty());
    assert_eq!(settings.features.http_requests.allowed_methods.len(), 5);
    assert_eq!((settings.data.kv, settings.folders.len()), (None, 0));
}

#[test]
fn what_is_unknown_or_wrong_has_its_place() {
    let text = r#"nam = "a"
version = 1
[data.kv]
namespaces = "x"
[features.wasi_nn]
allowed_backends = ["onnx"]
"#;
    let (settings, found) = read("a.js", text);
    assert_eq!(settings, None);
    let starts = [
        "1:1: `nam` is not a known field; did you mean `name`?",
        "2:11: text is expected here, not the number 1",
        "4:1: `namespaces` is not a known field; did you mean `namespace`?",
        "6:21: `onnx` is not known here; there is `none`, `openvino`",
    ];
    for start in starts {
        assert!(found.iter().any(|one| one.starts_with(start)), "{start}: {found:#?}");
    }
}

#[test]
fn a_folder_of_the_site_is_meant() {
    for from in ["..", "../..", "/etc", "a/../../../etc", "..\\\\..", "a\\u0000"] {
        let text = format!("version = \"1\"\n[[folders]]\nfrom = \"{from}\"\nto = \"/a\"\n");
        let (settings, found) = read("api.js", &text);
        assert_eq!(settings, None, "{from}");
        assert!(found[0].contains("is outside of the site's folder"), "{found:?}");
        assert!(found[0].starts_with("3:8"), "{found:?}");
    }
    let (settings, _) =
        read("a/b.js", "version = \"1\"\n[[folders]]\nfrom = \".\\\\..\"\nto = \"/x\"\n");
    assert_eq!(settings.unwrap().folders[0].from.value, ".");
}

#[test]
fn what_cannot_work_is_said() {
    let cases = [
        ("version = \"2\"", "`2` is a version that is not known"),
        ("version = \"1\"\n[vars]\n\"A=B\" = \"x\"", "`A=B` cannot be an environment variable"),
        ("version = \"1\"\n[data.kv]\nnamespace = \"\"", "a namespace has a name"),
        (
            "version = \"1\"\n[[folders]]\nfrom = \"a\"\nto = \"b\"",
            "`b` is not where a folder can be seen",
        ),
        (
            "version = \"1\"\n[features.http_requests]\nallowed_hosts = [\"https://a.b/\"]",
            "`https://a.b/` is not the name of a host",
        ),
        (
            "version = \"1\"\n[features.http_requests]\nallowed_hosts = [\"a.b\"]\nallowed_methods = [\"get\"]",
            "`get` is not a method that workers send",
        ),
        (
            "version = \"1\"\n[features.http_requests]\nallowed_methods = [\"GET\"]",
            "without `allowed_hosts`, no request is allowed",
        ),
    ];
    for (text, expected) in cases {
        let (_, found) = read("a.js", text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:#?}");
    }
}
