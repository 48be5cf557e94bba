//! The quick reading, and what it says about files that are not what they should be.

use reef_artifact::{Artifact, Error, Import, Sort};

use crate::guests::{COMMAND_0_1, HTTP_0_2, assemble, component, from_text, from_world};

fn error(bytes: impl AsRef<[u8]>) -> Error {
    Artifact::read("x.wasm", bytes.as_ref().to_vec()).unwrap_err()
}

#[test]
fn imports_and_exports_of_a_module() {
    let artifact = from_text(COMMAND_0_1);
    let names: Vec<_> = artifact
        .imports()
        .iter()
        .map(|import| match import {
            Import::Core { module, name, sort } => format!("{module} {name} {}", sort.word()),
            Import::Component { .. } => panic!("not of a module"),
        })
        .collect();
    assert_eq!(
        names,
        ["wasi_snapshot_preview1 fd_write function", "wasi_snapshot_preview1 proc_exit function"]
    );
    let exports: Vec<_> = artifact.exports().iter().map(|e| (e.name(), e.sort())).collect();
    assert_eq!(exports, [("memory", Sort::Memory), ("_start", Sort::Function)]);
}

#[test]
fn imports_of_a_component_are_interfaces_with_versions() {
    let artifact = from_world(HTTP_0_2);
    let names: Vec<_> = artifact
        .imports()
        .iter()
        .map(|import| match import {
            Import::Component { name, sort: Sort::Instance } => name.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["wasi:cli/environment@0.2.3", "wasi:http/types@0.2.3"]);
    assert_eq!(artifact.exports()[0].full_name().to_string(), "wasi:http/incoming-handler@0.2.3");
}

#[test]
fn bodies_are_not_looked_at() {
    // The code section holds nonsense, and the outline is there all the same.
    let mut bytes = assemble(r#"(module (func (export "_start") (nop)))"#);
    let last = bytes.len() - 2;
    bytes[last] = 0xff;
    let artifact = Artifact::read("x.wasm", bytes).unwrap();
    assert_eq!(artifact.exports()[0].name(), "_start");
    assert!(matches!(artifact.inspect(), Err(Error::Invalid { offset, .. }) if offset == last));
}

#[test]
fn clones_share_and_the_digest_is_of_the_binary() {
    let bytes = assemble("(module)");
    let artifact = Artifact::read("x.wasm", bytes.clone()).unwrap();
    let clone = artifact.clone();
    assert_eq!(clone.bytes().as_ptr(), artifact.bytes().as_ptr());
    assert_eq!(
        artifact.digest().to_string(),
        "sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476"
    );
    let text = Artifact::read("x.wat", b"(module)".to_vec()).unwrap();
    assert!(text.is_text_form() && !artifact.is_text_form());
    assert_eq!(text.bytes(), bytes);
    assert_eq!(text.digest(), artifact.digest());
}

#[test]
fn other_formats_are_named_with_advice() {
    for (bytes, expected) in [
        (&b"\x7fELF\x02\x01\x01\x00"[..], "it is an ELF executable"),
        (b"", "it is empty"),
        (b"hello", "it is plain text"),
        (b"<html></html>", "it is an HTML page"),
    ] {
        let message = error(bytes).to_string();
        assert!(message.starts_with("x.wasm is not WebAssembly: "), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(message.lines().count(), 2, "the second line says what to do: {message}");
    }
}

#[test]
fn a_cut_file_says_where_and_how_much_is_missing() {
    let bytes = assemble(COMMAND_0_1);
    let cut = bytes.len() - 3;
    assert_eq!(
        error(&bytes[..cut]),
        Error::Truncated { name: "x.wasm".into(), offset: cut, missing: 3 }
    );
    assert!(matches!(error(b"\0as"), Error::Truncated { missing: 5, .. }));
    assert!(matches!(error(b"\0asm\x01"), Error::Truncated { missing: 3, .. }));
}

#[test]
fn other_versions_of_the_format_are_named() {
    let message = error(b"\0asm\x0c\0\x01\0").to_string();
    assert!(message.contains("draft binary format 0xc"), "{message}");
    let message = error(b"\0asm\x02\0\0\0").to_string();
    assert!(message.contains("version is 0x2"), "{message}");
}

#[test]
fn a_section_size_that_is_no_number_is_refused() {
    for size in [&b"\xff\xff\xff\xff\x1f"[..], b"\x80\x80\x80\x80\x80\x01"] {
        let mut bytes = b"\0asm\x01\0\0\0\x01".to_vec();
        bytes.extend(size);
        assert!(matches!(error(&bytes), Error::Invalid { offset: 9, .. }), "{size:?}");
    }
}

#[test]
fn names_from_the_file_cannot_move_the_cursor() {
    let mut bytes = assemble(r#"(module (func (export "a\1b[2J")) (func (export "b\1b[2J")))"#);
    let second = bytes.windows(2).rposition(|pair| pair == b"b\x1b").unwrap();
    bytes[second] = b'a';
    let message = Artifact::read("\x1b[31mx", bytes).unwrap().inspect().unwrap_err().to_string();
    assert!(message.contains("duplicate export"), "{message}");
    assert!(!message.contains('\x1b'), "{message:?}");
}

#[test]
fn a_component_can_be_read_from_any_holder_of_bytes() {
    let bytes: std::sync::Arc<[u8]> = component(HTTP_0_2).into();
    assert_eq!(Artifact::read("x", bytes.clone()).unwrap().bytes(), &*bytes);
}
