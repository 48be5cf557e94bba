use proptest::prelude::*;

use super::*;

#[test]
fn a_name_is_a_path_or_none() {
    assert_eq!(path("db/password").as_deref(), Some("db/password"));
    assert_eq!(path("a b?c#d%2f").as_deref(), Some("a%20b%3Fc%23d%252f"));
    for none in ["", "/", "a//b", "a/", "/a", "..", "a/../b", "./a"] {
        assert_eq!(path(none), None, "{none}");
    }
}

proptest! {
    #[test]
    fn no_name_leaves_its_place(name in "[a-z./%?#\\\\ é\u{0}-\u{1f}]{0,12}") {
        if let Some(path) = path(&name) {
            let uri: http::Uri = format!("http://vault/v1/secret/data/{path}").parse().unwrap();
            let below = uri.path().strip_prefix("/v1/secret/data/").unwrap();
            prop_assert!(uri.query().is_none());
            prop_assert!(below.split('/').all(|one| !matches!(one, "" | "." | "..")));
            let back = percent_encoding::percent_decode_str(below).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(back, name);
        }
    }
}
