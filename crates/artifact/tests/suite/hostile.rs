//! No input makes any reading panic, and every refusal says something.

use std::sync::LazyLock;

use proptest::prelude::*;
use reef_artifact::{Artifact, CanRun, Error, Provided, report};

use crate::guests::{COMMAND_0_1, COMMAND_0_2, HTTP_0_2, assemble, component};

static VALID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let async_handler =
        "import wasi:cli/stdout@0.3.0-rc-2026-03-15; export wasi:http/handler@0.3.0;";
    vec![
        assemble(COMMAND_0_1),
        component(COMMAND_0_2),
        component(HTTP_0_2),
        component(async_handler),
    ]
});

/// Reads in every way there is; an error that says nothing fails the test.
fn read_everything(bytes: Vec<u8>) {
    let said = |error: Error| assert!(error.to_string().contains("x.wasm"), "{error}");
    let artifact = match Artifact::read("x.wasm", bytes) {
        Ok(artifact) => artifact,
        Err(error) => return said(error),
    };
    assert!(!artifact.kinds().is_empty());
    match artifact.inspect() {
        Ok(inspection) => {
            let answer = CanRun::check(&inspection, &[Provided::all("wasi:io/streams@0.2.0")]);
            let mut out = Vec::new();
            report::human(&mut out, &inspection).unwrap();
            report::can_run(&mut out, &inspection, &answer).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            report::json(&mut Vec::new(), &inspection, Some(&answer)).unwrap();
        }
        Err(error) => said(error),
    }
    let _ = artifact.wit().map_err(said);
    let _ = artifact.wat().map_err(said);
}

#[test]
fn every_prefix() {
    for valid in VALID.iter() {
        for length in 0..valid.len() {
            let prefix = &valid[..length];
            // Within the outermost level no prefix is taken for the whole, except at the end of a
            // section, where nothing tells the difference.
            if let Err(error) = Artifact::read("x.wasm", prefix.to_vec()) {
                let cut = matches!(error, Error::Truncated { .. } | Error::NotWasm { .. });
                assert!(cut, "{length}: {error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits(
        which in 0usize..4,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6),
    ) {
        let mut bytes = VALID[which].clone();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        read_everything(bytes);
    }

    #[test]
    fn pieces_of_one_put_into_another(
        (from, to) in (0usize..4, 0usize..4),
        (start, end, at) in any::<(prop::sample::Index, prop::sample::Index, prop::sample::Index)>(),
    ) {
        let source = &VALID[from];
        let (start, end) = (start.index(source.len()), end.index(source.len()));
        let mut bytes = VALID[to].clone();
        let at = at.index(bytes.len());
        bytes.splice(at..at, source[start.min(end)..start.max(end)].iter().copied());
        read_everything(bytes);
    }

    #[test]
    fn random_sections(
        component in any::<bool>(),
        sections in prop::collection::vec((0u8..14, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut bytes: Vec<u8> = b"\0asm".to_vec();
        bytes.extend(if component { [0x0d, 0, 1, 0] } else { [1, 0, 0, 0] });
        for (id, body) in sections {
            bytes.extend([id, body.len() as u8]);
            bytes.extend(body);
        }
        read_everything(bytes);
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        read_everything(bytes);
    }

    #[test]
    fn random_text(text in "[(); \"a-z0-9$\n]{0,60}") {
        read_everything(text.into_bytes());
    }
}

#[test]
fn nesting_has_a_bound() {
    // Each level holds the next as its only section; sizes are patched from the inside out.
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..200 {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        let mut size = bytes.len();
        while size >= 0x80 {
            outer.push(size as u8 | 0x80);
            size >>= 7;
        }
        outer.push(size as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    let error = Artifact::read("x.wasm", bytes.clone()).unwrap().inspect().unwrap_err();
    assert!(error.to_string().contains("nest deeper"), "{error}");
    read_everything(bytes);
}

#[test]
fn a_million_imports_in_few_bytes_have_a_bound() {
    // The compact form of imports: one module and type, then one byte per (empty) name.
    let count = 1_100_000usize;
    let leb = [count as u8 | 0x80, (count >> 7) as u8 | 0x80, (count >> 14) as u8];
    let mut body = vec![1, 0, 0, 0x7e, 0x03, 0x7f, 0x00];
    body.extend(leb);
    body.extend(vec![0; count]);
    let size = body.len();
    let mut bytes = b"\0asm\x01\0\0\0\x02".to_vec();
    bytes.extend([size as u8 | 0x80, (size >> 7) as u8 | 0x80, (size >> 14) as u8]);
    bytes.extend(body);
    let error = Artifact::read("x.wasm", bytes).unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }), "{error}");
}
