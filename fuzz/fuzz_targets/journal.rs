//! No record of a journal panics its reader, and what is split into pieces is what was joined of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_journal::{file_name, joined, split};

fuzz_target!(|bytes: &[u8]| {
    if let Some(parts) = split(bytes) {
        assert_eq!(joined(&parts), bytes);
    }
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    assert_eq!(split(&joined(&parts)), Some(parts));
    if let Ok(name) = std::str::from_utf8(bytes) {
        assert!(file_name(name).len() <= 120);
    }
});
