//! How an artifact is run, told from its outermost imports and exports.

use reef_artifact::{Event, Form, Kind, Served, Wasi};

use crate::guests::{COMMAND_0_1, COMMAND_0_2, HTTP_0_2, from_text, from_world};

fn version(text: &str) -> semver::Version {
    semver::Version::parse(text).unwrap()
}

#[test]
fn core_modules() {
    let cases = [
        (COMMAND_0_1, Kind::Command(Wasi::V0_1)),
        (r#"(module (func (export "_start")))"#, Kind::Command(Wasi::V0_1)),
        (
            r#"(module (import "wasi_unstable" "proc_exit" (func (param i32)))
                (func (export "_start")))"#,
            Kind::Command(Wasi::Unstable),
        ),
        (
            r#"(module (import "wasi_unstable" "a" (func))
                (import "wasi_snapshot_preview1" "b" (func)) (func (export "_start")))"#,
            Kind::Command(Wasi::V0_1),
        ),
        (
            r#"(module (func (export "proxy_abi_version_0_2_0")) (func (export "_start"))
                (func (export "proxy_abi_version_0_2_1")))"#,
            Kind::ProxyFilter { abi: "0.2.1".into() },
        ),
        (
            r#"(module (import "redpanda_transform" "check_abi_version_2" (func))
                (import "redpanda_transform" "check_abi_version_1" (func))
                (func (export "_start")))"#,
            Kind::StreamTransform { abi: Some(2) },
        ),
        (
            r#"(module (import "redpanda_transform" "write_record" (func)))"#,
            Kind::StreamTransform { abi: None },
        ),
        (r#"(module (func (export "_initialize")))"#, Kind::Library { reactor: true }),
        (r#"(module (func (export "add")))"#, Kind::Library { reactor: false }),
        // A memory of that name starts nothing.
        (r#"(module (memory (export "_start") 1))"#, Kind::Library { reactor: false }),
    ];
    for (text, expected) in cases {
        let artifact = from_text(text);
        assert_eq!(artifact.form(), Form::Module);
        assert_eq!(artifact.kinds(), [expected], "{text}");
    }
}

#[test]
fn components() {
    let cases = [
        (COMMAND_0_2, vec![Kind::Command(Wasi::V0_2(version("0.2.3")))]),
        (HTTP_0_2, vec![Kind::HttpHandler(Wasi::V0_2(version("0.2.3")))]),
        (
            "export wasi:cli/run@0.3.0-rc-2026-03-15;",
            vec![Kind::Command(Wasi::V0_3(version("0.3.0-rc-2026-03-15")))],
        ),
        // The kind follows the export, whatever is imported.
        (
            "import wasi:http/types@0.2.3; export wasi:http/handler@0.3.0;",
            vec![Kind::HttpHandler(Wasi::V0_3(version("0.3.0")))],
        ),
        (
            "export wasmcloud:messaging/handler@0.2.0;",
            vec![Kind::MessageHandler { version: Some(version("0.2.0")) }],
        ),
        (
            "import wasi:keyvalue/store@0.2.0-draft2; export wasi:keyvalue/watcher@0.2.0-draft2;",
            vec![Kind::EventHandler(Event::Watch)],
        ),
        ("export handle-cron-event: func(at: u64);", vec![Kind::EventHandler(Event::Cron)]),
        ("export handle-message: func(message: list<u8>);", vec![Kind::EventHandler(Event::Mqtt)]),
        ("export add: func(a: u32, b: u32) -> u32;", vec![Kind::Library { reactor: false }]),
    ];
    for (world, expected) in cases {
        let artifact = from_world(world);
        assert_eq!(artifact.form(), Form::Component);
        assert_eq!(artifact.kinds(), expected, "{world}");
    }
}

#[test]
fn a_component_of_several_kinds_is_first_what_answers_others() {
    let artifact = from_world(
        "export wasi:cli/run@0.2.3; export wasi:http/incoming-handler@0.2.3;
         export wasi:http/handler@0.3.0;",
    );
    assert_eq!(
        artifact.kinds(),
        [
            Kind::HttpHandler(Wasi::V0_3(version("0.3.0"))),
            Kind::HttpHandler(Wasi::V0_2(version("0.2.3"))),
            Kind::Command(Wasi::V0_2(version("0.2.3"))),
        ]
    );
}

#[test]
fn releases_before_0_2_0_are_named_exactly() {
    let artifact = from_text(
        r#"(component (import "a" (instance $a))
            (export "wasi:http/incoming-handler@0.2.0-rc-2023-11-10" (instance $a)))"#,
    );
    let wasi = Wasi::V0_2(version("0.2.0-rc-2023-11-10"));
    assert_eq!(artifact.kind().to_string(), "HTTP handler, WASI 0.2 (0.2.0-rc-2023-11-10)");
    assert_eq!(artifact.kinds(), [Kind::HttpHandler(wasi)]);
}

#[test]
fn an_unknown_generation_is_still_a_handler_and_says_so() {
    let artifact = from_text(
        r#"(component (import "a" (instance $a))
            (export "wasi:http/handler@0.9.0" (instance $a)))"#,
    );
    assert_eq!(artifact.kind().to_string(), "HTTP handler, unknown WASI 0.9.0");
}

#[test]
fn what_can_be_served() {
    assert_eq!(from_text(COMMAND_0_1).kind().servable(), Some(Served::Wagi));
    let wasi = Wasi::V0_2(version("0.2.3"));
    assert_eq!(from_world(HTTP_0_2).kind().servable(), Some(Served::Http(wasi)));
    assert_eq!(from_world(COMMAND_0_2).kind().servable(), None);
    assert_eq!(from_text("(module)").kind().servable(), None);
}
