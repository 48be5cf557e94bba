//! The text forms: WAT in and out, WIT out.

use reef_artifact::{Artifact, Error};

use crate::guests::{COMMAND_0_1, HTTP_0_2, assemble, component, from_text, from_world};

#[test]
fn a_text_error_points_at_the_place() {
    let text = "(module\n  (func (export \"f\")\n    i32.const x))\n";
    let message = Artifact::read("f.wat", text.as_bytes().to_vec()).unwrap_err().to_string();
    assert!(message.contains("f.wat:3:15"), "{message}");
    assert!(message.contains("i32.const x"), "{message}");
    assert!(message.contains('^'), "{message}");
}

#[test]
fn comments_may_come_first_and_components_have_a_text_form_too() {
    for text in [";; a comment\n(; and\n another ;)\n(module)", "(component)"] {
        Artifact::read("x", text.as_bytes().to_vec()).unwrap();
    }
}

#[test]
fn the_text_form_assembles_to_an_equal_artifact() {
    for bytes in [assemble(COMMAND_0_1), component(HTTP_0_2)] {
        let first = Artifact::read("x.wasm", bytes).unwrap();
        let text = first.wat().unwrap();
        let second = Artifact::read("x.wat", text.clone().into_bytes()).unwrap();
        assert_eq!(second.imports(), first.imports());
        assert_eq!(second.exports(), first.exports());
        assert_eq!(second.wat().unwrap(), text);
        let mut streamed = Vec::new();
        first.write_wat(&mut streamed).unwrap();
        assert_eq!(streamed, text.as_bytes());
    }
}

#[test]
fn a_text_out_of_proportion_is_refused() {
    // Each function is some ten bytes and declares 50,000 locals.
    let mut bytes = assemble("(module (type (func)))");
    let count = 200u8;
    let leb = |n: u32| {
        let mut n = n;
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    };
    let section = |id: u8, body: Vec<u8>| [vec![id], leb(body.len() as u32), body].concat();
    let function = [vec![1], leb(50_000), vec![0x7f, 0x0b]].concat();
    let function = [leb(function.len() as u32), function].concat();
    bytes.extend(section(3, [leb(count.into()), vec![0; count.into()]].concat()));
    bytes.extend(section(10, [leb(count.into()), function.repeat(count.into())].concat()));
    let artifact = Artifact::read("x.wasm", bytes).unwrap();
    assert_eq!(artifact.inspect().unwrap().functions, 200);
    assert!(matches!(artifact.wat(), Err(Error::TooLong { .. })));
}

#[test]
fn an_output_that_fails_is_told_apart_from_a_bad_input() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = from_text("(module)").write_wat(&mut Full).unwrap_err();
    assert!(matches!(error, Error::Output { .. }), "{error}");
}

#[test]
fn names_from_the_file_cannot_write_to_the_terminal() {
    let mut bytes = assemble(r#"(module (@producers (language "Rust" "")))"#);
    let at = bytes.windows(8).position(|name| name == b"language").unwrap();
    bytes[at] = 0x1b;
    let artifact = Artifact::read("x.wasm", bytes).unwrap();
    let mut streamed = Vec::new();
    artifact.write_wat(&mut streamed).unwrap();
    for text in [artifact.wat().unwrap(), String::from_utf8(streamed).unwrap()] {
        assert!(text.contains(r"\u{1b}anguage"), "{text}");
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn wit_reads_back_as_wit() {
    let wit = from_world(HTTP_0_2).wit().unwrap();
    assert!(wit.contains("import wasi:http/types@0.2.3;"), "{wit}");
    assert!(wit.contains("export wasi:http/incoming-handler@0.2.3;"), "{wit}");
    assert!(wit.contains("from-list: static func"), "{wit}");
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_str("out.wit", &wit).unwrap();
}

#[test]
fn a_module_has_no_wit_and_the_message_says_what_to_use() {
    let error = from_text("(module)").wit().unwrap_err();
    assert!(matches!(error, Error::NoWit { .. }));
    assert!(error.to_string().contains("--wat"));
}

#[test]
fn a_component_beyond_wit_is_still_inspected() {
    let artifact = from_text(
        r#"(component
            (import "m" (core module))
            (import "a:b/c@1.0.0" (instance (export "f" (func)) (export "n" (instance))))
            (import "g" (func (param "x" u32))))"#,
    );
    assert!(matches!(artifact.wit(), Err(Error::Wit { .. })));
    let inspection = artifact.inspect().unwrap();
    let names: Vec<_> = inspection.imports.iter().map(|item| item.full_name()).collect();
    assert_eq!(names, ["m", "a:b/c@1.0.0", "g"]);
    assert_eq!(inspection.imports[1].functions[0].name, "f");
}

#[test]
fn wit_that_would_be_immense_is_refused() {
    // One long name, written out at each of its uses.
    let name = "long-name".to_owned() + &"-long-name".repeat(5_000);
    let mut text = format!(
        r#"(component (import "a:b/c" (instance
            (type $t (enum "x")) (export "{name}" (type $n (eq $t)))"#
    );
    for index in 0..500 {
        text += &format!(r#"(export "f{index}" (func (param "x" $n)))"#);
    }
    text += ")))";
    let artifact = from_text(&text);
    let error = artifact.wit().unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    let functions = &artifact.inspect().unwrap().imports[0].functions;
    assert_eq!(functions.len(), 500);
    let signatures = functions.iter().map(|function| function.signature.as_ref().unwrap());
    assert!(signatures.map(String::len).sum::<usize>() <= (16 << 20) + 500 * "…".len());
}
