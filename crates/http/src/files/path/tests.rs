#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Component;

use proptest::prelude::*;

use super::*;

fn resolved(rest: &str) -> Option<(String, bool)> {
    let wanted = resolve(rest, false)?;
    Some((wanted.path.to_str().unwrap().to_owned(), wanted.folder))
}

#[test]
fn names_are_decoded_once() {
    for (rest, path, folder) in [
        ("", "", true),
        ("/", "", true),
        ("/a", "a", false),
        ("/a/b.txt", "a/b.txt", false),
        ("/a/", "a", true),
        ("/a%20b", "a b", false),
        ("/%61", "a", false),
        ("/%2561", "%61", false),
        ("/%252e%252e/a", "%2e%2e/a", false),
        ("/a\\b", "a\\b", false),
        ("/a..b", "a..b", false),
        ("/~", "~", false),
    ] {
        assert_eq!(resolved(rest), Some((path.to_owned(), folder)), "{rest}");
    }
}

#[test]
fn what_no_file_is_meant_by_is_none() {
    for rest in [
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/.",
        "/..",
        "/../a",
        "/a/..",
        "/a/./b",
        "/%2e%2e/a",
        "/%2E%2e/",
        "/.%2e/a",
        "/a%2fb",
        "/%2fetc/passwd",
        "/a%00",
        "/%00",
        "/%",
        "/%4",
        "/%zz",
        "/%+1",
        "/.git/config",
        "/%2egit",
        "/a/.b",
        "/...",
    ] {
        assert_eq!(resolved(rest), None, "{rest}");
    }
    assert!(resolve("/.well-known/x", true).is_some());
    assert_eq!(resolve("/../x", true), None);
    assert_eq!(resolve("/a/.", true), None);
}

proptest! {
    /// Whatever is asked, every step goes down.
    #[test]
    fn a_path_only_goes_down(
        rest in "(/|\\.|%2e|%2E|%2f|%00|%5c|a|\\\\|%25|\u{e4}){0,16}", dot_files: bool,
    ) {
        if let Some(wanted) = resolve(&rest, dot_files) {
            for part in wanted.path.components() {
                let Component::Normal(name) = part else {
                    return Err(TestCaseError::fail(format!("{part:?}")));
                };
                let name = name.to_str().unwrap();
                prop_assert!(!name.contains(['\0', '/']));
                prop_assert!(dot_files || !name.starts_with('.'));
            }
            prop_assert!(wanted.path.is_relative());
        }
    }
}
