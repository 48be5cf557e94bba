//! No reference and no manifest panics, and what is read of a reference can be written and put into a
//! path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_oci::{Document, Reference};

fuzz_target!(|bytes: &[u8]| {
    match Document::parse(bytes) {
        Ok(Document::Manifest(manifest)) => {
            let _ = manifest.wasm();
        }
        Ok(Document::Index(index)) => {
            let _ = index.wasm();
        }
        Err(_) => {}
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(reference) = text.parse::<Reference>() else { return };
    let written = reference.to_string();
    let again: Reference = written.parse().expect("what was written is read");
    assert_eq!(again.to_string(), written);
    let path = format!("/v2/{}/manifests/{}", reference.repository(), reference.version());
    assert!(path.is_ascii());
    assert!(path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{path}");
    assert!(!path.contains(['?', '#', '%', ' ', '\\']));
});
