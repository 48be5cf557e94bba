#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const NEW: &str = "Sun, 06 Nov 1994 08:49:39 GMT";

fn have() -> Validators {
    Validators { etag: "\"a\"".into(), modified: Some(784_111_778) }
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, value.parse().unwrap());
    }
    map
}

#[test]
fn preconditions_have_an_order() {
    use Verdict::{Failed, Go, NotModified};
    for (fields, expected) in [
        (&[][..], Go),
        (&[("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "W/\"a\"")], NotModified),
        (&[("if-none-match", "*")], NotModified),
        (&[("if-none-match", "\"b,\", \"a\"")], NotModified),
        (&[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")], NotModified),
        (&[("if-none-match", "\"b\"")], Go),
        (&[("if-none-match", "a")], Go),
        (&[("if-none-match", "\"b\" x \"a\"")], Go),
        // A tag outweighs a date.
        (&[("if-none-match", "\"b\""), ("if-modified-since", NEW)], Go),
        (&[("if-modified-since", OLD)], Go),
        (&[("if-modified-since", SAME)], NotModified),
        (&[("if-modified-since", NEW)], NotModified),
        (&[("if-modified-since", "yesterday")], Go),
        (&[("if-match", "\"a\"")], Go),
        (&[("if-match", "*")], Go),
        (&[("if-match", "W/\"a\"")], Failed),
        (&[("if-match", "\"b\"")], Failed),
        (&[("if-match", "")], Failed),
        (&[("if-match", "\"a\""), ("if-unmodified-since", OLD)], Go),
        (&[("if-unmodified-since", OLD)], Failed),
        (&[("if-unmodified-since", SAME)], Go),
        (&[("if-unmodified-since", "never")], Go),
        (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], Failed),
        (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified),
        (&[("if-unmodified-since", NEW), ("if-modified-since", NEW)], NotModified),
    ] {
        assert_eq!(evaluate(&headers(fields), &have()), expected, "{fields:?}");
    }
    let timeless = Validators { etag: "\"a\"".into(), modified: None };
    assert_eq!(evaluate(&headers(&[("if-modified-since", NEW)]), &timeless), Go);
}

#[test]
fn a_range_is_of_just_what_the_client_has() {
    for (fields, expected) in [
        (&[][..], true),
        (&[("if-range", "\"a\"")], true),
        (&[("if-range", "W/\"a\"")], false),
        (&[("if-range", "\"b\"")], false),
        (&[("if-range", SAME)], true),
        (&[("if-range", OLD)], false),
        (&[("if-range", NEW)], false),
        (&[("if-range", "\"a\""), ("if-range", "\"a\"")], false),
    ] {
        assert_eq!(range_holds(&headers(fields), &have()), expected, "{fields:?}");
    }
}

#[test]
fn times_that_no_date_can_say_are_left_out_or_bounded() {
    assert_eq!(Validators::of(1, (-1, 5), "").last_modified(), None);
    let future = Validators::of(1, (i64::MAX, 5), "");
    assert!(future.modified.unwrap() <= LAST_SECOND && future.last_modified().is_some());
    assert_ne!(Validators::of(1, (1, 5), "").etag, Validators::of(1, (1, 5), "-br").etag);
    assert_ne!(Validators::of(1, (1, 5), "").etag, Validators::of(1, (1, 6), "").etag);
    assert_eq!(Validators::of(1, (784_111_778, 0), "").last_modified().unwrap(), SAME);
}
