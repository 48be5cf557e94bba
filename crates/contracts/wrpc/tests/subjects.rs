//! Subjects, most of them the specification's own examples.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use reef_wrpc::{Function, Path};

#[track_caller]
fn is(subject: &str, prefix: &str, instance: &str, name: &str) {
    let function = Function { prefix: prefix.into(), instance: instance.into(), name: name.into() };
    assert_eq!(function.to_string(), subject);
    assert_eq!(Function::parse(subject), Some(function));
}

#[test]
fn subjects_are_read_as_they_are_written() {
    let key = "MBGL42DWFPGIEI63P333NCZW5BAGYJGSGLAIB6U7PPXKSXKJK74QTUZM";
    let handler = "wasi:http/outgoing-handler";
    is(&format!("{key}.wrpc.0.0.1.{handler}.handle"), key, handler, "handle");
    let handler = "wasi:http/outgoing-handler@0.2.1";
    is(&format!("{key}.wrpc.0.0.1.{handler}.handle"), key, handler, "handle");
    is("default.wrpc.0.0.1.wasi:http/types.fields", "default", "wasi:http/types", "fields");
    let types = "wasi:http/types@0.2.0";
    is("custom.wrpc.0.0.1.wasi:http/types@0.2.0.fields", "custom", types, "fields");
    is("a.b.wrpc.0.0.1.wasi:http/types@0.2.0.fields.get", "a.b", types, "fields.get");
    is("wrpc.0.0.1.my:app/it@1.0.0-rc.1.f", "", "my:app/it@1.0.0-rc.1", "f");
    is("wrpc.0.0.1.run", "", "", "run");
    is("wrpc.0.0.1.counter.next", "", "", "counter.next");
}

#[test]
fn others_are_none() {
    for subject in [
        "",
        "wrpc.0.0.1",
        "wrpc.0.0.1.",
        "wrpc.0.0.2.a:b/c.d",
        "x.wrpc.0.0.1.a:b/c@1.0.0",
        "a.b.c",
        "wrpc.0.0.1.a:b/c.",
        "x..wrpc.0.0.1.f",
    ] {
        assert_eq!(Function::parse(subject), None, "{subject}");
    }
}

#[test]
fn functions_of_resources_are_called_by_their_names() {
    assert_eq!(Function::wire_name("[constructor]fields"), "fields");
    assert_eq!(Function::wire_name("[method]fields.get"), "fields.get");
    assert_eq!(Function::wire_name("[static]fields.from-list"), "fields.from-list");
    assert_eq!(Function::wire_name("handle"), "handle");
}

#[test]
fn paths_have_one_form() {
    assert_eq!("0.12.3".parse(), Ok(Path::new([0, 12, 3])));
    assert_eq!("".parse(), Ok(Path::default()));
    for text in ["00", "+1", "1.", ".1", "-1", "4294967296", "a"] {
        text.parse::<Path>().unwrap_err();
    }
    "1.".repeat(101).trim_end_matches('.').parse::<Path>().unwrap_err();
}
