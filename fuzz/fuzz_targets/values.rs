//! No file of configuration panics its reader, each name is there once, and what is said of a file is nothing of it.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use reef_config::{Format, Keys, parse};

fuzz_target!(|text: &[u8]| {
    for format in [Format::Toml, Format::Json, Format::Env] {
        match parse(format, text) {
            Ok(values) => {
                let names: BTreeSet<_> = values.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), values.len());
                assert!(!names.iter().any(|name| name.is_empty()));
            }
            Err(fault) => assert!(fault.to_string().len() < 100),
        }
    }
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(keys) = text.parse::<Keys>()
    {
        assert!(
            keys.grants(
                &text
                    .split(',')
                    .map(str::trim)
                    .find(|one| !one.is_empty())
                    .unwrap_or_default()
                    .replace('*', "")
            )
        );
    }
});
