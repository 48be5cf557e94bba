//! No text panics the reader of Spin's manifests, what it says of one has its place inside of it, and an
//! application that comes out is the same when it is written as a `reef.toml` and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_app::Manifest;
use reef_document::{Diagnostics, Source};

fuzz_target!(|text: &str| {
    let source = Source::new("spin.toml", text);
    for profile in [None, Some("debug")] {
        let mut found = Diagnostics::default();
        let application = reef_spin::read(&source, profile, &mut found);
        for diagnostic in found.iter() {
            let span = diagnostic.span();
            assert!(span.is_none_or(|span| text.get(span).is_some()));
            let _ = diagnostic.line_and_column();
        }
        assert_eq!(application.is_none(), found.has_errors());
        let Some(application) = application else { continue };
        let written = toml::to_string(&application).expect("an application can be written");
        let again = Source::new("reef.toml", written.as_str());
        let mut found = Diagnostics::default();
        let again = Manifest::parse(&again).expect("this is TOML").application(None, &mut found);
        assert_eq!(again, Some(application), "{written}\n{found:?}");
    }
});
