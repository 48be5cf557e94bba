#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::body::RequestBody;

fn check(version: Version, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut builder = Request::builder().version(version).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    request(&builder.body(RequestBody::empty()).unwrap(), &Limits::default())
}

#[test]
fn host_is_needed_once_and_valid() {
    let h1 = |headers: &[(&str, &str)]| check(Version::HTTP_11, "/", headers);
    assert_eq!(h1(&[("host", "example.com:80")]), Ok(()));
    assert_eq!(h1(&[("host", "[::1]:80")]), Ok(()));
    assert_eq!(h1(&[("host", "")]), Ok(()), "empty is allowed by RFC 9112 section 3.2");
    assert_eq!(h1(&[]), Err(Refusal::HostMissing));
    assert_eq!(h1(&[("host", "a"), ("host", "a")]), Err(Refusal::HostRepeated));
    assert_eq!(h1(&[("host", "a b")]), Err(Refusal::HostInvalid));
    assert_eq!(h1(&[("host", "a/b")]), Err(Refusal::HostInvalid));
    assert_eq!(h1(&[("host", "user@a")]), Err(Refusal::HostInvalid));
    assert_eq!(check(Version::HTTP_10, "/", &[]), Ok(()));
    assert_eq!(check(Version::HTTP_2, "http://a/", &[("host", "A")]), Ok(()));
    assert_eq!(check(Version::HTTP_2, "http://a/", &[("host", "b")]), Err(Refusal::HostDiffers));
}

#[test]
fn chunked_stands_alone() {
    let te =
        |value: &str| check(Version::HTTP_11, "/", &[("host", "a"), ("transfer-encoding", value)]);
    assert_eq!(te("chunked"), Ok(()));
    assert_eq!(te("Chunked"), Ok(()));
    assert_eq!(te("gzip, chunked"), Err(Refusal::CodingUnknown));
    assert_eq!(te("chunked, chunked"), Err(Refusal::CodingInvalid));
    assert_eq!(te("chunked, identity"), Err(Refusal::CodingUnknown));
    assert_eq!(te("xchunked"), Err(Refusal::CodingInvalid));
}

#[test]
fn only_websocket_upgrades_are_refused() {
    let upgrade = |value: &str| check(Version::HTTP_11, "/", &[("host", "a"), ("upgrade", value)]);
    assert_eq!(upgrade("websocket"), Err(Refusal::WebSocket));
    assert_eq!(upgrade("h2c, WebSocket"), Err(Refusal::WebSocket));
    assert_eq!(upgrade("h2c"), Ok(()), "an upgrade may be ignored, RFC 9110 section 7.8");
}

#[test]
fn limits_are_inclusive() {
    let path = |len: usize| format!("/{}", "a".repeat(len - 1));
    let limit = Limits::default().max_uri_bytes;
    assert_eq!(check(Version::HTTP_11, &path(limit), &[("host", "a")]), Ok(()));
    assert_eq!(
        check(Version::HTTP_11, &path(limit + 1), &[("host", "a")]),
        Err(Refusal::UriTooLong { limit })
    );
    let many = |count: usize| vec![("x", "y"); count - 1];
    let with_host = |mut headers: Vec<(&'static str, &'static str)>| {
        headers.push(("host", "a"));
        check(Version::HTTP_11, "/", &headers)
    };
    assert_eq!(with_host(many(100)), Ok(()));
    assert!(matches!(with_host(many(101)), Err(Refusal::HeadersTooLarge { .. })));
}
