#![allow(clippy::unwrap_used, reason = "tests")]

use reef_engine::{Code, Engine, EngineConfig, Flavour};

use super::{Function, all, find};

fn functions() -> Vec<Function> {
    let text = r#"
        (component
            (core module $m
                (func (export "binary") (param i32 i32) (result i32) unreachable)
                (func (export "nothing")))
            (core instance $i (instantiate $m))
            (func $binary (param "a" s32) (param "b" s32) (result s32)
                (canon lift (core func $i "binary")))
            (func $nothing (canon lift (core func $i "nothing")))
            (instance $adder (export "add" (func $binary)) (export "reset" (func $nothing)))
            (instance $clock (export "reset" (func $nothing)) (export "tick" (func $nothing)))
            (export "docs:math/adder@0.1.0" (instance $adder))
            (export "docs:time/clock@1.2.3" (instance $clock))
            (export "tick" (func $nothing))
            (export "subtract" (func $binary))
        )
    "#;
    let engine = Engine::new(EngineConfig::default());
    let artifact = reef_artifact::Artifact::read("f", text.as_bytes().to_vec()).unwrap();
    match engine.compile(&artifact, Flavour::Plain).unwrap() {
        Code::Component(component) => all(&component),
        Code::Module(_) => unreachable!(),
    }
}

#[test]
fn names_find_one_function() {
    for (asked, path) in [
        ("subtract", "subtract"),
        ("add", "docs:math/adder@0.1.0#add"),
        ("docs:math/adder@0.1.0#add", "docs:math/adder@0.1.0#add"),
        ("docs:time/clock#reset", "docs:time/clock@1.2.3#reset"),
        ("clock.reset", "docs:time/clock@1.2.3#reset"),
        ("docs:time/clock@1.2.3.tick", "docs:time/clock@1.2.3#tick"),
        ("tick", "tick"),
    ] {
        assert_eq!(find(functions(), asked).map(|f| f.path()).unwrap(), path, "{asked}");
    }
}

#[test]
fn a_name_in_two_interfaces_is_ambiguous() {
    assert_eq!(
        find(functions(), "reset").err().unwrap(),
        "`reset` is in more than one interface; write one of\n  docs:math/adder@0.1.0#reset\n  \
         docs:time/clock@1.2.3#reset"
    );
}

#[test]
fn an_unknown_name_gets_the_nearest_and_the_whole_list() {
    let text = find(functions(), "substract").err().unwrap();
    assert!(text.starts_with("it exports no function `substract`; did you mean `subtract`?\n"));
    assert!(
        text.contains("\n  docs:math/adder@0.1.0#add: func(a: s32, b: s32) -> s32\n"),
        "{text}"
    );
    assert!(!find(functions(), "render").err().unwrap().contains("did you mean"));
}
