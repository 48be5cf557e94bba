//! What the code needs, found in what it uses.

use crate::guests::{from_text, from_world};

#[test]
fn each_need_is_found_where_it_is_used_and_alone() {
    let cases: &[(&str, &[&str])] = &[
        ("(module)", &[]),
        // What WebAssembly 2.0 has besides vectors is the baseline.
        (
            r#"(module (memory 1) (table 1 externref)
                (func (param i32) (result i32 i64)
                    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))
                    (i32.extend8_s (local.get 0)) (i64.trunc_sat_f32_s (f32.const 0))))"#,
            &[],
        ),
        ("(module (memory 1 2 shared))", &["threads"]),
        ("(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))", &["threads"]),
        (
            r#"(module (import "wasi" "thread-spawn" (func (param i32) (result i32))))"#,
            &["threads"],
        ),
        ("(module (func (drop (i32x4.splat (i32.const 1)))))", &["SIMD"]),
        ("(module (func (local v128)))", &["SIMD"]),
        (r#"(module (import "a" "b" (func (param v128))))"#, &["SIMD"]),
        (
            "(module (func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))))",
            &["SIMD", "relaxed SIMD"],
        ),
        ("(module (type (struct (field i32))))", &["GC"]),
        ("(module (func (drop (ref.i31 (i32.const 1)))))", &["GC"]),
        ("(module (tag) (func (throw 0)))", &["exceptions"]),
        ("(module (func try nop catch_all end))", &["legacy exceptions"]),
        ("(module (func $f (return_call $f)))", &["tail calls"]),
        (
            "(module (type $f (func)) (func (param (ref null $f)) (call_ref $f (local.get 0))))",
            &["typed function references"],
        ),
        ("(module (memory i64 1))", &["64-bit memory"]),
        ("(module (memory 1) (memory 1))", &["multiple memories"]),
        ("(module (memory 1 (pagesize 1)))", &["custom page sizes"]),
        (
            "(module (func (drop (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))))))",
            &["wide arithmetic"],
        ),
        // Two modules with a memory each are not one with two.
        ("(component (core module (memory 1)) (core module (memory 1)))", &[]),
        ("(component (core module (func (local v128))))", &["SIMD"]),
        ("(component (type (stream u8)))", &["component-model async"]),
        ("(component (core func (canon waitable-set.new)))", &["component-model async"]),
        ("(component (core func (canon thread.index)))", &["component-model threads"]),
    ];
    for (text, expected) in cases {
        let needs = from_text(text).inspect().unwrap_or_else(|e| panic!("{text}: {e}")).needs;
        assert_eq!(needs.words(), *expected, "{text}");
    }
}

#[test]
fn worlds_of_wasi_0_3_need_async_and_those_of_0_2_do_not() {
    let needs = |world| from_world(world).inspect().unwrap().needs.component_model_async;
    assert!(needs("export wasi:http/handler@0.3.0;"));
    assert!(needs("import wasi:cli/stdout@0.3.0-rc-2026-03-15;"));
    assert!(!needs("export wasi:http/incoming-handler@0.2.3;"));
}

#[test]
fn languages_come_from_producers_and_else_from_traces() {
    let languages = |text: &str| {
        let languages = from_text(text).inspect().unwrap().languages;
        languages.into_iter().map(|l| format!("{} ({})", l.name, l.from)).collect::<Vec<_>>()
    };
    let cases = [
        ("(module)", vec![]),
        (r#"(module (@producers (language "Rust" "")))"#, vec!["Rust (producers)"]),
        (
            r#"(module (@producers (language "C_plus_plus_17" "") (language "C11" "")))"#,
            vec!["C++17 (producers)", "C11 (producers)"],
        ),
        (
            r#"(module (@producers (language "Go" "") (processed-by "Go cmd/compile" "go1.25")))"#,
            vec!["Go (producers)"],
        ),
        (
            r#"(component (@producers (processed-by "ComponentizeJS" "0.18")))"#,
            vec!["JavaScript (ComponentizeJS)"],
        ),
        (r#"(module (@custom "go:buildid" "x"))"#, vec!["Go (go:buildid)"]),
        (r#"(module (func (export "__pin")))"#, vec!["AssemblyScript (__pin)"]),
        (r#"(component (core module $libpython3.14.so))"#, vec!["Python (libpython3.14.so)"]),
        (
            r#"(module (func (export "ruby-init: func(args: list<string>) -> ()")))"#,
            vec!["Ruby (ruby-init: func(args: list<string>) -> ())"],
        ),
        // rustc of some distributions names no language; the C library of every one does.
        (
            r#"(module (@producers (language "C11" "") (processed-by "rustc" "1.96.0")))"#,
            vec!["Rust (rustc)", "C11 (producers)"],
        ),
        // Said by a module inside.
        (r#"(component (core module (@producers (language "Zig" ""))))"#, vec!["Zig (producers)"]),
    ];
    for (text, expected) in cases {
        assert_eq!(languages(text), expected, "{text}");
    }
}
