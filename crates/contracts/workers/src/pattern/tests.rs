#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn parameters(file: &str, path: &str) -> Option<String> {
    let found = Pattern::of_file(file).unwrap().parameters(path)?;
    Some(found.iter().map(|(name, value)| format!("{name}={value};")).collect())
}

#[test]
fn a_path_has_the_values_of_its_parameters() {
    let cases = [
        ("index", "/", Some("")),
        ("index", "/index", None),
        ("show/[id]", "/show/7", Some("id=7;")),
        ("show/[id]", "/show", None),
        ("show/[id]", "/show/", None),
        ("show/[id]", "/show/7/8", None),
        ("[resource]/[id]/show", "/articles/2/show", Some("id=2;resource=articles;")),
        ("[resource]/[id]/show", "/articles/2/edit", None),
        ("other/[...slug]/index", "/other/a/b", Some("slug=a/b;")),
        ("other/[...slug]", "/other/a", Some("slug=a;")),
        ("other/[...slug]", "/other", None),
        ("other/[...slug]", "/other/", None),
        ("[...slug]", "/", Some("slug=;")),
        ("[...slug]", "/a", Some("slug=a;")),
        ("[id]", "/", None),
        ("user/[user-id]", "/user/J%C3%BCrgen", Some("user-id=Jürgen;")),
        // What a script would take for more than it is stays as it was sent.
        ("[id]", "/a%2Fb%252B%2B%zz%", Some("id=a%2Fb%252B%2B%zz%;")),
    ];
    for (file, path, expected) in cases {
        assert_eq!(parameters(file, path).as_deref(), expected, "{file} {path}");
    }
}

#[test]
fn names_are_those_of_a_url() {
    assert!(parameters("über/my page", "/%C3%BCber/my%20page").is_some());
    assert!(parameters(":id", "/%3Aid").is_some());
    assert!(parameters("a*b?c#d%20", "/a%2Ab%3Fc%23d%2520").is_some());
}

#[test]
fn what_is_no_pattern_is_refused() {
    let error = |file| Pattern::of_file(file).unwrap_err();
    assert_eq!(error("user-[id]"), PatternError::Brackets("user-[id]".into()));
    assert_eq!(error("[id]x"), PatternError::Brackets("[id]x".into()));
    assert_eq!(error("[a b]"), PatternError::Name("a b".into()));
    assert_eq!(error("[...]"), PatternError::Name(String::new()));
    assert_eq!(error("[id]/[id]"), PatternError::Twice("id".into()));
    assert_eq!(error("[...all]/more"), PatternError::NotLast("all".into()));
    assert_eq!(error("a/.../b"), PatternError::Segment("...".into()));
    assert_eq!(error(&"a/".repeat(40)), PatternError::TooDeep);
}
