//! No text panics the readers of manifests, what they say of it has its place inside of it, and an
//! application is the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_app::{Application, Manifest};
use reef_document::{Diagnostics, Node, Source, Syntax, Value, parse};

fn read(source: &Source) -> (Option<Application>, Diagnostics) {
    let mut found = Diagnostics::default();
    let application = match Manifest::parse(source) {
        Ok(manifest) => manifest.application(None, &mut found),
        Err(wrong) => {
            found = wrong;
            None
        }
    };
    (application, found)
}

fn inside(node: &Node, text: &str) {
    assert!(text.get(node.span.clone()).is_some(), "{:?}", node.span);
    match &node.value {
        Value::Array(elements) => elements.iter().for_each(|element| inside(element, text)),
        Value::Table(entries) => entries.iter().for_each(|entry| inside(&entry.value, text)),
        _ => {}
    }
}

fuzz_target!(|text: &str| {
    let source = Source::new("manifest", text);
    for syntax in [Syntax::Toml, Syntax::Yaml] {
        if let Ok(node) = parse(&source, syntax) {
            inside(&node, text);
        }
    }
    let (application, found) = read(&source);
    for diagnostic in found.iter() {
        let span = diagnostic.span();
        assert!(span.is_none_or(|span| text.get(span).is_some()));
        let _ = diagnostic.line_and_column();
    }
    assert_eq!(application.is_none(), found.has_errors());
    if let Some(application) = application {
        let written = toml::to_string(&application).expect("an application can be written");
        let (again, found) = read(&Source::new("again", written.as_str()));
        assert_eq!(again, Some(application), "{written}\n{found:?}");
    }
});
