use proptest::prelude::*;

use super::*;

#[test]
fn names_and_patterns() {
    let keys: Keys = "db-*, greeting ,*.url".parse().unwrap();
    for name in ["db-", "db-password", "db-a/b", "greeting", "a.b.url", ".url"] {
        assert!(keys.grants(name), "{name}");
    }
    for name in ["db", "DB-password", "greetings", "url", "x-db-password"] {
        assert!(!keys.grants(name), "{name}");
    }
    assert!(Keys::all().grants("anything"));
    for wrong in ["", " , ", "a?", "[a]", "a{b,c}", "a\\", "**"] {
        assert!(wrong.parse::<Keys>().is_err(), "{wrong}");
    }
}

/// Whether text is of a pattern, by trying.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        [first, rest @ ..] => text.first() == Some(first) && matches(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_star_is_any_characters(pattern in "(\\*?[ab./-]){1,5}\\*?", name in "[ab./-]{0,8}") {
        let keys: Keys = pattern.parse().unwrap();
        prop_assert_eq!(keys.grants(&name), matches(pattern.as_bytes(), name.as_bytes()));
    }
}
