#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn granted(entries: &[&str]) -> Vec<Destination> {
    entries.iter().flat_map(|entry| allowed_host(entry).unwrap().0).collect()
}

#[test]
fn an_entry_allows_its_host_and_no_other() {
    let allowed =
        granted(&["https://api.brigade.sh", "http://192.168.0.1", "https://example.com/a"]);
    for url in [
        "https://api.brigade.sh/healthz",
        "https://API.brigade.sh:443/healthz?q",
        "https://example.com/some/path",
        "http://192.168.0.1/login",
    ] {
        assert!(check_url(url, &allowed).is_ok(), "{url}");
    }
    for url in [
        "https://test.brigade.sh",
        "https://api.brigade.sh.evil.example/",
        // WAGI does not look at those two.
        "http://api.brigade.sh/healthz",
        "https://api.brigade.sh:8443/",
        "http://192.168.0.2/",
        "https://brigade.sh",
    ] {
        assert_eq!(check_url(url, &allowed), Err(HttpError::DestinationNotAllowed), "{url}");
    }
    assert_eq!(check_url("https://api.brigade.sh/", &[]), Err(HttpError::DestinationNotAllowed));
}

#[test]
fn everything_public_is_allowed_on_request() {
    let allowed = granted(&["https://example.com", ALLOW_ALL]);
    for url in ["https://test.brigade.sh", "http://example.org:8080/", "https://9.9.9.9/"] {
        assert!(check_url(url, &allowed).is_ok(), "{url}");
    }
    for url in ["http://localhost/", "http://127.0.0.1:80/", "http://169.254.169.254/latest"] {
        assert_eq!(check_url(url, &allowed), Err(HttpError::DestinationNotAllowed), "{url}");
    }
}

#[test]
fn what_is_no_url_is_refused() {
    let allowed = granted(&[ALLOW_ALL]);
    for url in [
        "not even a url",
        "",
        "/path",
        "example.com",
        "ftp://example.com/",
        "https://example.com@evil.example/",
        "https://example.com:99999/",
        "https://example.com:/",
        "https:///path",
        "file:///etc/passwd",
    ] {
        assert_eq!(check_url(url, &allowed), Err(HttpError::InvalidUrl), "{url}");
    }
    for (entry, start) in [
        ("api.example.com", "`api.example.com` is no URL: `allowed_hosts` has entries such as"),
        ("localhost:8080", "`localhost:8080` is no URL"),
        ("redis://cache:6379", "`redis://cache:6379` is no URL"),
        ("https://*.example.com", "`*` stands for nothing in `https://*.example.com`"),
        ("https://", "\"https://\" is not an egress destination"),
        ("https://user@example.com", "\"https://user@example.com\" is not an egress destination"),
    ] {
        let error = allowed_host(entry).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn a_path_narrows_nothing_and_is_no_range_of_addresses() {
    let (allowed, path) = allowed_host("http://10.0.0.0/8").unwrap();
    assert!(path);
    assert!(check_url("http://10.0.0.0/", &allowed).is_ok());
    assert!(check_url("http://10.0.0.1/", &allowed).is_err());
    assert!(!allowed_host("https://example.com/").unwrap().1);
}

#[test]
fn errors_have_the_numbers_of_the_abi() {
    assert_eq!(HttpError::InvalidHandle.number(), 1);
    assert_eq!(HttpError::DestinationNotAllowed.number(), 7);
    assert_eq!(HttpError::TooManySessions.number(), 13);
    assert!(FUNCTIONS.is_sorted());
}

#[test]
fn headers_are_lines() {
    let headers = decode_headers("accept:a/b\nX-Two: two \r\nx-colon:a:b\naccept:c/d\n").unwrap();
    let text = encode_headers(&headers);
    let lines: BTreeSet<_> = text.lines().collect();
    assert_eq!(lines, BTreeSet::from(["accept:c/d", "x-two:two", "x-colon:a:b"]));
    assert_eq!(decode_headers("").unwrap(), HeaderMap::new());
    for wrong in ["no colon", ":value", "a b:c", "a:b\0", "\n"] {
        assert_eq!(decode_headers(wrong), Err(HttpError::InvalidEncoding), "{wrong:?}");
    }
    let many: String = (0..MAX_HEADERS).map(|at| format!("x{at}:\n")).collect();
    assert_eq!(decode_headers(&many), Err(HttpError::InvalidEncoding));
    let mut headers = HeaderMap::new();
    headers.insert("x-bytes", HeaderValue::from_bytes(b"\xff").unwrap());
    headers.insert("x-text", HeaderValue::from_static("a\tb"));
    assert_eq!(encode_headers(&headers), "x-text:a\tb\n");
}

#[test]
fn handles_are_given_out_again() {
    let mut responses = Responses::new(2);
    assert_eq!(responses.open('a'), Ok(0));
    assert_eq!(responses.open('b'), Ok(1));
    assert_eq!(responses.open('c'), Err(HttpError::TooManySessions));
    responses.close(0);
    responses.close(7);
    assert_eq!(responses.open('d'), Ok(0));
    assert_eq!(responses.get(0), Ok(&mut 'd'));
    assert_eq!(responses.get(2), Err(HttpError::InvalidHandle));
}

proptest! {
    /// What can be encoded is decoded again, and no header becomes two.
    #[test]
    fn headers_survive(
        headers in prop::collection::btree_map("[a-z-]{1,8}", "[ -~\t]{0,12}", 0..6)
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value.trim()).unwrap(),
            );
        }
        let text = encode_headers(&map);
        prop_assert_eq!(text.lines().count(), map.len());
        prop_assert_eq!(decode_headers(&text).unwrap(), map);
    }

    #[test]
    fn no_url_panics(url in "(https?|ftp)?(://)?[a-z@:/\\[\\]*.0-9?#-]{0,24}") {
        let _ = check_url(&url, &granted(&[ALLOW_ALL]));
        let _ = allowed_host(&url);
    }

    /// Handles against a list of who has which.
    #[test]
    fn handles_are_never_shared(steps in prop::collection::vec(prop::option::of(0u32..6), 0..40)) {
        let mut responses = Responses::new(4);
        let mut open = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Some(handle) => {
                    responses.close(handle);
                    open.retain(|(taken, _)| *taken != handle);
                }
                None => match responses.open(at) {
                    Ok(handle) => open.push((handle, at)),
                    Err(error) => {
                        prop_assert_eq!(error, HttpError::TooManySessions);
                        prop_assert_eq!(open.len(), 4);
                    }
                },
            }
            for (handle, at) in &mut open {
                prop_assert_eq!(responses.get(*handle), Ok(at));
            }
        }
    }
}
