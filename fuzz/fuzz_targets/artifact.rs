//! No file makes any reading of an artifact panic, every refusal names the file, and what people
//! see holds no control characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_artifact::{Artifact, CanRun, Error, Provided, report};

fn named(error: Error) {
    assert!(error.to_string().contains("input.wasm"), "{error}");
}

fuzz_target!(|input: &[u8]| {
    let artifact = match Artifact::read("input.wasm", input.to_vec()) {
        Ok(artifact) => artifact,
        Err(error) => return named(error),
    };
    assert!(!artifact.kinds().is_empty());
    match artifact.inspect() {
        Ok(inspection) => {
            assert!(artifact.imports().len() == inspection.imports.len());
            let host = [
                Provided::all("wasi:io/streams@0.2.12"),
                Provided::with("wasi_snapshot_preview1", ["fd_write"]),
            ];
            let answer = CanRun::check(&inspection, &host);
            let mut text = Vec::new();
            report::human(&mut text, &inspection).expect("memory takes it");
            report::can_run(&mut text, &inspection, &answer).expect("memory takes it");
            let text = String::from_utf8(text).expect("text");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
            report::json(&mut Vec::new(), &inspection, Some(&answer)).expect("memory takes it");
            // What is valid has a text form, unless it is out of proportion.
            match artifact.wat() {
                Ok(text) => assert!(!text.contains(|c: char| c.is_control() && c != '\n')),
                Err(Error::TooLong { .. }) => {}
                Err(error) => panic!("valid, and cannot be printed: {error}"),
            }
        }
        Err(error) => {
            named(error);
            let _ = artifact.wat().map_err(named);
        }
    }
    match artifact.wit() {
        Ok(text) => assert!(!text.contains(|c: char| c.is_control() && c != '\n')),
        Err(error) => named(error),
    }
});
