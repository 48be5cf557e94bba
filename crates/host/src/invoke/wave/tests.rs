#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use reef_engine::{Code, Engine, EngineConfig, Flavour};
use wasmtime::component::{Type, types::ComponentItem};

use super::{has_text, name, read, write};

const TYPES: &str = r#"
    (component
        (type $mood' (enum "calm" "curious"))
        (import "mood" (type $mood (eq $mood')))
        (type $person' (record (field "name" string) (field "age" u32) (field "mood" (option $mood))))
        (import "person" (type $person (eq $person')))
        (type $shape' (variant (case "circle" f64) (case "point") (case "none")))
        (import "shape" (type $shape (eq $shape')))
        (type $flags' (flags "read" "write"))
        (import "access" (type $access (eq $flags')))
        (import "f" (func
            (param "s8" s8) (param "u64" u64) (param "f32" f32) (param "char" char)
            (param "string" string) (param "list" (list u8)) (param "tuple" (tuple bool string))
            (param "person" $person) (param "shape" $shape) (param "access" $access)
            (param "option" (option u32)) (param "nested" (option (option u32)))
            (param "result" (result string (error u8))) (param "stream" (stream u8))
            (param "streams" (list (stream u8)))))
    )
"#;

fn types() -> Vec<(String, Type)> {
    let engine = Engine::new(EngineConfig::default());
    let wasmtime = engine.wasmtime(Flavour::Concurrent).unwrap();
    let artifact = reef_artifact::Artifact::read("types", TYPES.as_bytes().to_vec()).unwrap();
    let code = engine.compile(&artifact, Flavour::Concurrent).unwrap();
    let Code::Component(component) = code else { unreachable!() };
    let component_type = component.component_type();
    let import = component_type.get_import(wasmtime, "f").unwrap();
    let ComponentItem::ComponentFunc(function) = import.ty else { unreachable!() };
    function.params().map(|(name, ty)| (name.to_owned(), ty)).collect()
}

fn ty(types: &[(String, Type)], name: &str) -> Type {
    types.iter().find(|(n, _)| n == name).unwrap().1.clone()
}

#[test]
fn values_are_read_and_written() {
    let types = types();
    for (of, text, written) in [
        ("s8", "-128", "-128"),
        ("u64", "18446744073709551615", "18446744073709551615"),
        ("f32", "1e3", "1000"),
        ("f32", "nan", "nan"),
        ("f32", "-inf", "-inf"),
        ("char", r"'\u{1f44b}'", "'👋'"),
        ("string", r#""a \"b\"\n""#, r#""a \"b\"\n""#),
        ("list", "[ 1, 2,255 ]", "[1, 2, 255]"),
        ("tuple", "(true, \"x\")", "(true, \"x\")"),
        ("person", r#"{age: 3, name: "A"}"#, r#"{name: "A", age: 3}"#),
        (
            "person",
            r#"{name: "A", age: 3, mood: calm}"#,
            r#"{name: "A", age: 3, mood: some(calm)}"#,
        ),
        ("shape", "circle(1.5)", "circle(1.5)"),
        ("shape", "point", "point"),
        ("shape", "%none", "%none"),
        ("shape", "none", "%none"),
        ("access", "{write}", "{write}"),
        ("access", "{}", "{}"),
        ("option", "3", "some(3)"),
        ("option", "some(3)", "some(3)"),
        ("option", "none", "none"),
        ("nested", "some(none)", "some(none)"),
        ("result", "\"fine\"", "ok(\"fine\")"),
        ("result", "err(3)", "err(3)"),
    ] {
        let value = read(text, &ty(&types, of)).unwrap();
        assert_eq!(write(&value), written, "{text}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let types = types();
    for (of, text, span, reason) in [
        ("s8", "128", 0..3, "128 is not a number of type s8"),
        ("s8", "\"1\"", 0..3, "expected s8, found a string"),
        ("string", "hello", 0..5, "expected string, found a case; write \"hello\""),
        ("list", "[1, 256]", 4..7, "256 is not a number of type u8"),
        ("tuple", "(true)", 0..6, "expected tuple<bool, string>, found a tuple"),
        ("person", "{name: \"A\"}", 0..11, "no field `age`"),
        (
            "person",
            "{name: \"A\", age: 1, size: 2}",
            26..27,
            "no field `size`; there are name, age, mood",
        ),
        ("shape", "square(1)", 0..9, "no case `square`; there are circle, point, none"),
        ("shape", "circle", 0..6, "this case has a value, f64"),
        ("shape", "point(2)", 6..7, "this case has no value"),
        ("access", "{run}", 0..5, "no flag `run`; there are read, write"),
        ("nested", "3", 0..1, "expected option<option<u32>>, found a number"),
        (
            "stream",
            "[1]",
            0..3,
            "a stream cannot be written out; write @path, @- for standard input or @https://…",
        ),
    ] {
        let wrong = read(text, &ty(&types, of)).unwrap_err();
        assert_eq!((wrong.span, wrong.reason.as_str()), (span, reason), "{text}");
    }
    let wrong = read("0x10", &Type::U32).unwrap_err();
    assert!(wrong.reason.starts_with("expected u32, found what is not WAVE"), "{}", wrong.reason);
}

#[test]
fn types_are_named_as_in_wit() {
    let types = types();
    for (of, expected, text) in [
        ("list", "list<u8>", true),
        ("shape", "variant { circle(f64), point, none }", true),
        ("access", "flags { read, write }", true),
        ("result", "result<string, u8>", true),
        ("stream", "stream<u8>", false),
        ("streams", "list<stream<u8>>", false),
    ] {
        let ty = ty(&types, of);
        assert_eq!(name(&ty), expected);
        assert_eq!(has_text(&ty), text, "{expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn strings_survive(text: String) {
        let value = wasmtime::component::Val::String(text.clone());
        prop_assert_eq!(read(&write(&value), &Type::String).unwrap(), value);
    }

    #[test]
    fn numbers_survive(number: f64) {
        let value = wasmtime::component::Val::Float64(number);
        prop_assert_eq!(read(&write(&value), &Type::Float64).unwrap(), value);
    }
}
