//! Bytes from anybody.

use proptest::prelude::*;
use reef_compose::{ComposeError, Layer, Plug, componentize, in_front, plug};

use crate::guests::{MATH, component, link, module, part, wasi};

/// All ways in. What they say does not matter here, only that they say it.
fn try_all(bytes: &[u8], other: &[u8]) {
    let (one, two) = (part("one", bytes), part("two", other));
    let _ = componentize(one);
    for (handler, library) in [(one, two), (two, one)] {
        for inherit in [true, false] {
            let link = Plug { inherit, ..link("acme:math", "", library.bytes) };
            let _ = plug(handler, &[link]);
            let front = Layer { component: handler, inherit };
            let _ = in_front(&[front], Layer { component: library, inherit });
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let packages = format!("{MATH}{}", wasi("0.2.6"));
    vec![
        component("import acme:math/add@1.2.0; export run: func();", &packages),
        component("export acme:math/add@1.2.0; import wasi:filesystem/preopens@0.2.6;", &packages),
        component(
            "import wasi:http/incoming-handler@0.2.6; export wasi:http/incoming-handler@0.2.6;",
            &packages,
        ),
        module("import acme:math/sub@1.2.0; export run: func();", MATH),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changed_bytes_are_composed_or_refused(
        seed in 0_usize..4,
        other in 0_usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let seeds = seeds();
        let mut bytes = seeds[seed].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        try_all(&bytes, &seeds[other]);
    }

    #[test]
    fn cut_bytes_are_refused(seed in 0_usize..4, at in any::<prop::sample::Index>()) {
        let bytes = &seeds()[seed];
        try_all(&bytes[..at.index(bytes.len())], bytes);
    }
}

#[test]
fn nothing_and_nonsense_are_refused() {
    for bytes in [&b""[..], b"\0asm", b"#!/bin/sh\n", &[0xff; 64]] {
        let error = componentize(part("input", bytes)).unwrap_err();
        assert!(matches!(&error, ComposeError::Unreadable { .. }), "{error}");
        assert!(error.to_string().starts_with("`input` cannot be composed"), "{error}");
    }
}

#[test]
fn components_within_components_are_bounded() {
    let mut bytes = wat::parse_str("(component)").unwrap();
    for _ in 0..80 {
        let mut outer = wasm_encoder::ComponentBuilder::default();
        outer.component_raw(None, &bytes);
        bytes = outer.finish();
    }
    let error = plug(part("deep", &bytes), &[]).unwrap_err();
    assert!(matches!(error, ComposeError::TooMany { what: "levels of nesting", .. }), "{error}");
}

#[test]
fn interfaces_that_use_each_other_across_versions_are_refused() {
    // Each is fine alone; made one by their versions, `x` and `y` use each other.
    let component = |world: &str, x: &str, y: &str| {
        let packages =
            format!("package a:b@1.0.0 {{ interface x {{ {x} }} interface y {{ {y} }} }} {MATH}");
        component(world, &packages)
    };
    let handler = component(
        "import acme:math/sub@1.2.0; import a:b/x@1.0.0; import a:b/y@1.0.0; export run: func();",
        "use y.{t}; type s = u8; f: func(t: t);",
        "type t = u8; g: func();",
    );
    let library = component(
        "export acme:math/sub@1.2.0; import a:b/x@1.0.0; import a:b/y@1.0.0;",
        "type s = u8; h: func();",
        "use x.{s}; i: func(s: s);",
    );
    let error = plug(part("h", &handler), &[link("acme:math", "l", &library)]).unwrap_err();
    assert!(matches!(error, ComposeError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("in a circle"), "{error}");
}

#[test]
fn interfaces_of_immense_content_are_refused() {
    let functions: String =
        (0..1_000).map(|n| format!("(export \"f{n}\" (func (type 0)))")).collect();
    let imports: String =
        (0..200).map(|n| format!("(import \"a:b/i{n}\" (instance (type $i)))")).collect();
    let text = format!("(component (type $i (instance (type (func)) {functions})) {imports})");
    let bytes = wat::parse_str(text).unwrap();
    let error = plug(part("wide", &bytes), &[]).unwrap_err();
    assert!(matches!(error, ComposeError::TooMany { what: "functions and types", .. }), "{error}");
}
