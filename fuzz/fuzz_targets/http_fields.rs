//! No `Range` or `Accept-Encoding` panics: a range is of bytes that are there and no byte is sent
//! twice, a coding is one that the client takes; and no rest of a path makes a redirection leave its
//! target.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_http::{AcceptEncoding, ByteRanges, Coding, Redirect};

fuzz_target!(|input: (u64, &[u8])| {
    let (length, field) = input;
    if let ByteRanges::Parts(mut parts) = ByteRanges::select(field, length) {
        assert!((1..=16).contains(&parts.len()));
        assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
        assert!(parts.iter().map(|part| u128::from(part.len())).sum::<u128>() <= length.into());
        parts.sort_by_key(|part| part.first);
        assert!(parts.windows(2).all(|pair| pair[0].last < pair[1].first));
    }

    let accept = AcceptEncoding::parse([field]);
    match accept.best(Coding::ALL) {
        Some(best) => {
            assert!(accept.accepts(best));
            assert_eq!(accept.best([best]), Some(best));
        }
        None => assert!(Coding::ALL.iter().all(|coding| accept.best([*coding]).is_none())),
    }
    // Said twice, it says the same.
    assert_eq!(accept, AcceptEncoding::parse([field, field]));

    let Ok(rest) = std::str::from_utf8(field) else { return };
    if rest.is_empty() {
        return;
    }
    let uri = http::Uri::from_static("/old?query");
    for (to, base) in [("/...", "/"), ("/new/...", "/new/"), ("https://h/...", "https://h/")] {
        let response = Redirect::new(308, to).expect("a target").answer(&uri, rest);
        let location = response.headers()["location"].to_str().expect("visible ASCII");
        let below = location.strip_prefix(base).expect("below the target");
        assert!(!below.starts_with(['/', '\\']) && !location.contains(['\r', '\n', '\\', ' ']));
    }
});
