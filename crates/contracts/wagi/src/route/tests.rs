#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn route(text: &str) -> Route {
    text.parse().unwrap()
}

#[test]
fn an_exact_route_is_that_path_alone() {
    assert!(route("/foo").matches("/foo"));
    for other in ["/foo/", "/foo/bar", "/foobar", "/", "", "*", "/Foo"] {
        assert!(!route("/foo").matches(other), "{other}");
    }
    assert!(route("/foo/").matches("/foo/"));
    assert!(!route("/foo/").matches("/foo"));
}

#[test]
fn a_wildcard_route_is_the_path_and_what_lies_below() {
    let static_files = route("/static/...");
    assert_eq!(static_files.path_info("/static"), Some(""));
    assert_eq!(static_files.path_info("/static/"), Some("/"));
    assert_eq!(static_files.path_info("/static/a/b.png"), Some("/a/b.png"));
    assert_eq!(static_files.path_info("/statics"), None);
    assert_eq!(static_files.path_info("/stat"), None);
    assert_eq!(static_files.script_name(), "/static");
}

#[test]
fn the_root_wildcard_takes_everything_and_has_a_script_name() {
    assert_eq!(route("/..."), Route::everything());
    assert_eq!(Route::everything().script_name(), "/");
    assert_eq!(Route::everything().path_info("/"), Some("/"));
    assert_eq!(Route::everything().path_info("/a/b"), Some("/a/b"));
    assert_eq!(route("/").path_info("/"), Some(""));
    assert_eq!(route("/").path_info("/a"), None);
}

#[test]
fn a_route_that_no_path_can_match_is_refused() {
    let error = "files/...".parse::<Route>().unwrap_err();
    assert!(error.to_string().contains("files/..."), "{error}");
}

proptest! {
    #[test]
    fn displays_as_it_was_written(text in "/[a-z./]{0,12}(/\\.\\.\\.)?") {
        prop_assert_eq!(route(&text).to_string(), text);
    }

    /// The model: a wildcard matches when the path, cut at some slash or at its end, is the prefix.
    #[test]
    fn matches_like_a_list_of_ancestors(base in "(/[ab.]{0,2}){0,3}", path in "(/[ab.]{0,2}){1,4}") {
        let ancestors = path.match_indices('/').map(|(at, _)| &path[..at]).chain([path.as_str()]);
        let expected = ancestors.into_iter().any(|ancestor| ancestor == base);
        prop_assert_eq!(route(&format!("{base}/...")).matches(&path), expected);
    }
}
