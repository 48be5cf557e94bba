//! No text panics the reader of wadm's manifests, what it says has its place inside of the text, and
//! the application is one that a `reef.toml` can say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_app::Manifest;
use reef_document::{Diagnostics, Source};

fuzz_target!(|text: &str| {
    let source = Source::new("wadm.yaml", text);
    let mut found = Diagnostics::default();
    let application = reef_oam::read(&source, &mut found);
    for diagnostic in found.iter() {
        assert!(diagnostic.span().is_none_or(|span| text.get(span).is_some()));
        let _ = diagnostic.line_and_column();
    }
    assert_eq!(application.is_none(), found.has_errors());
    if let Some(application) = application {
        let written = toml::to_string(&application).expect("an application can be written");
        let again = Manifest::parse(&Source::new("reef.toml", written.as_str()));
        let again = again.expect("what was written is read").application(None, &mut found);
        assert_eq!(again, Some(application), "{written}\n{found:?}");
    }
});
