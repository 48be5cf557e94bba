//! No text panics the reader of `modules.toml`, what it says has its place inside of the text, and
//! the application is one that a `reef.toml` can say. No entry of `allowed_hosts` allows a host that
//! it does not name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_app::Manifest;
use reef_document::{Diagnostics, Source};
use reef_wagi::{experimental_http, modules};

fuzz_target!(|text: &str| {
    let source = Source::new("shop/modules.toml", text);
    let mut found = Diagnostics::default();
    let application = modules::read(&source, &mut found);
    for diagnostic in found.iter() {
        assert!(diagnostic.span().is_none_or(|span| text.get(span).is_some()));
    }
    assert_eq!(application.is_none(), found.has_errors());
    if let Some(application) = application {
        let written = toml::to_string(&application).expect("an application can be written");
        let again = Manifest::parse(&Source::new("reef.toml", written.as_str()));
        let again = again.expect("what was written is read").application(None, &mut found);
        assert_eq!(again, Some(application), "{written}\n{found:?}");
    }

    let lines: Vec<_> = text.lines().take(2).collect();
    if let [entry, url] = lines[..]
        && entry != experimental_http::ALLOW_ALL
        && let Ok((allowed, _)) = experimental_http::allowed_host(entry)
        && let Ok(url) = experimental_http::check_url(url, &allowed)
    {
        let host = url.host().expect("checked").trim_end_matches('.').to_ascii_lowercase();
        let named = entry.to_ascii_lowercase().contains(&host);
        // Addresses and international names have several spellings.
        assert!(named || host.starts_with('[') || host.ends_with(|c: char| c.is_ascii_digit()));
    }
    if let Ok(headers) = experimental_http::decode_headers(text) {
        let again = experimental_http::encode_headers(&headers);
        assert_eq!(experimental_http::decode_headers(&again), Ok(headers));
    }
});
