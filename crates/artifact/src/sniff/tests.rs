use super::*;

#[test]
fn other_formats_are_named() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "empty"),
        (b"\x7fELF\x02\x01\x01\x00rest", "an ELF executable"),
        (b"\x7fELF\x02\x01\x01\xc8rest", "code that Wasmtime compiled ahead of time (.cwasm)"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"MZ\x90\x00", "a Windows executable"),
        (b"BC\xc0\xde", "LLVM bitcode"),
        (b"  <!DOCTYPE html><p>", "an HTML page"),
        (b"{\"error\": \"not found\"}", "JSON"),
        (b"package a:b;\nworld w {}\n", "WIT text"),
        (b"fn main() {}\n", "plain text"),
        ("grüße".as_bytes(), "plain text"),
        (b"\n \t", "blank text"),
        (b"\0\x01\x02\x03", "data of a format that is not known here"),
        (b"\xff\xfe\xfd", "data of a format that is not known here"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(looks_like(bytes).0, *expected, "{bytes:?}");
    }
}

#[test]
fn a_character_cut_at_the_end_of_the_head_is_still_text() {
    let mut text = vec![b'a'; 1023];
    text.extend("é".as_bytes());
    assert_eq!(looks_like(&text).0, "plain text");
}
