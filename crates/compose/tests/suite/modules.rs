//! Core modules made components.

use std::borrow::Cow;

use reef_compose::{ComposeError, componentize};

use crate::guests::{MATH, component, module, part, seen};

#[test]
fn a_module_of_a_world_becomes_its_component() {
    let module = module("import acme:math/sub@1.2.0; export run: func();", MATH);
    let made = componentize(part("m", &module)).unwrap();
    assert_eq!(seen(&made), (vec!["acme:math/sub@1.2.0".to_owned()], vec!["run".to_owned()]));
}

#[test]
fn a_component_comes_back_as_it_is() {
    let component = component("export run: func();", "");
    assert!(matches!(componentize(part("c", &component)).unwrap(), Cow::Borrowed(_)));
}

#[test]
fn a_command_of_0_1_becomes_one_of_0_2() {
    let command = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")))"#,
    );
    let made = componentize(part("m", &command.unwrap())).unwrap().into_owned();
    let (imports, exports) = seen(&made);
    assert!(exports[0].starts_with("wasi:cli/run@0.2."), "{exports:?}");
    assert!(imports.iter().any(|name| name.starts_with("wasi:cli/stdout@0.2.")));
}

#[test]
fn what_cannot_be_one_is_refused_by_name() {
    let refused = |text: &str| {
        let module = wat::parse_str(text).unwrap();
        componentize(part("m", &module)).unwrap_err()
    };
    let error = refused(r#"(module (func (export "add")))"#);
    assert!(matches!(error, ComposeError::NoWorld { .. }));
    assert!(error.to_string().contains("it exports `add`"), "{error}");

    let error =
        refused(r#"(module (func (export "handle-http-request")) (func (export "_start")))"#);
    assert!(error.to_string().contains("a Spin SDK of version 1"), "{error}");

    let error = refused(
        r#"(module (import "env" "helper" (func)) (func (export "_start"))
            (memory (export "memory") 1))"#,
    );
    assert!(matches!(error, ComposeError::Componentize { .. }));
    assert!(error.to_string().contains("env"), "{error}");

    let bindings = r#"(module (func (export "f"))
        (@producers (processed-by "wit-bindgen-rust" "0.3.0")))"#;
    assert!(matches!(refused(bindings), ComposeError::OldBindings { .. }));
}

#[test]
fn a_heap_that_cannot_share_its_memory_is_refused() {
    let made = |clang: &str, export: &str| {
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
                (memory (export "memory") 1)
                (func (export "_start"))
                (func (export "{export}") (param i32 i32 i32 i32) (result i32) unreachable)
                (@producers (processed-by "Debian clang" "{clang}")))"#
        );
        let module = wat::parse_str(text).unwrap();
        componentize(part("m", &module)).map(drop)
    };
    assert!(matches!(made("14.0.6", "other"), Err(ComposeError::OldHeap { .. })));
    assert!(matches!(made("15.0.6 (f)", "other"), Err(ComposeError::OldHeap { .. })));
    // It has memory of its own for the adapter.
    assert!(made("14.0.6", "cabi_realloc").is_ok());
    for clang in ["15.0.7", "19.1.4 (1~deb12u1)", "15.1-git", "unknown"] {
        assert!(made(clang, "other").is_ok(), "{clang}");
    }
}
