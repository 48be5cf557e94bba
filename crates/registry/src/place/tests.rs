#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn place(text: &str) -> Result<Place, PlaceError> {
    Place::new(&text.parse().unwrap(), None, None)
}

#[test]
fn what_is_remote_is_told_from_files_by_its_beginning() {
    for text in ["https://a/b.wasm", "HTTP://a/b.wasm", "oci://a/b:1", "bindle:a/1.0.0"] {
        assert!(is_remote(text), "{text}");
    }
    for text in ["a.wasm", "oci:a.wasm", "https:", "file:///a.wasm", "ghcr.io/a:1", "", "é"] {
        assert!(!is_remote(text), "{text}");
    }
}

#[test]
fn an_address_may_have_its_digest() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let own = format!("https://example.com/a.wasm#sha256={}", "AB".repeat(32));
    let read = place(&own).unwrap();
    assert_eq!(read.digest, Some(digest.parse().unwrap()));
    assert_eq!(read.to_string(), "https://example.com/a.wasm");

    let source = own.parse().unwrap();
    assert_eq!(Place::new(&source, Some(&digest), None), Ok(read));
    let other = format!("sha256:{}", "00".repeat(32));
    assert!(matches!(Place::new(&source, Some(&other), None), Err(PlaceError::Digests { .. })));
    assert!(matches!(Place::new(&source, Some("00"), None), Err(PlaceError::Digest(_))));
    for wrong in ["#md5=00", "#sha256=00", "#"] {
        let error = place(&format!("https://example.com/a.wasm{wrong}"));
        assert!(matches!(error, Err(PlaceError::Fragment(_))), "{error:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let signed = place("https://example.com/a.wasm?signature=hush").unwrap();
    assert_eq!(signed.to_string(), "https://example.com/a.wasm?…");
    for text in ["https://me:hush@example.com/a.wasm", "https://me:hush@:bad/a?x=hush"] {
        let error = place(text).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
    // Apart from one another nevertheless.
    assert_ne!(signed.key(), place("https://example.com/a.wasm?signature=other").unwrap().key());
}
