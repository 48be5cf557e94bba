//! No folder, settings or output of a worker panics its readers, and what they say holds no control
//! characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_document::{Diagnostics, Source};
use reef_workers::{Project, Response, Settings, Site};

fuzz_target!(|input: &[u8]| {
    match Response::from_json(input) {
        Ok(response) => {
            assert!((200..600).contains(&response.status.as_u16()));
            assert!(response.headers.contains_key("content-type"));
            assert!(!response.headers.contains_key("connection"));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }

    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut found = Diagnostics::default();
    let source = Source::new("worker.toml", text);
    if let Some(settings) = Settings::parse(&source, "a/b.js", &mut found) {
        for folder in &settings.folders {
            let outside = folder.from.split('/').any(|part| matches!(part, "" | ".."));
            assert!(!outside, "{}", folder.from);
        }
    }
    Project::parse(&source, &mut found);
    for diagnostic in found.iter() {
        assert!(diagnostic.span().is_none_or(|span| text.get(span).is_some()));
    }

    let site = Site::of(text.lines());
    for worker in &site.workers {
        assert!(!worker.routes.is_empty(), "{}", worker.file);
    }
    for path in text.lines() {
        let path = Site::normal(path);
        if let Some((worker, parameters)) = site.find(&path) {
            assert_eq!(worker.parameter_names().count(), parameters.len());
        }
        let leaves = |file: &String| file.split('/').any(|part| part == "..");
        assert!(!reef_workers::public::candidates(&path).iter().any(leaves));
    }
});
