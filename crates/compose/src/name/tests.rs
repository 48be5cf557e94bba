use proptest::prelude::*;

use super::*;

fn version(text: &str) -> Option<Version> {
    Some(Version::parse(text).unwrap())
}

#[test]
fn names_are_taken_apart() {
    let name = Name::parse("wasi:http/types@0.2.6");
    assert_eq!((name.package, name.item), ("wasi:http", "types"));
    assert_eq!((name.version.clone(), name.namespace()), (version("0.2.6"), "wasi"));
    let package = Name::parse("acme:math@1.0.0");
    assert_eq!((package.package, package.is_item()), ("acme:math", false));
    let plain = Name::parse("run");
    assert_eq!((plain.package, plain.item, plain.version), ("", "run", None));
}

#[test]
fn a_link_covers_what_it_names() {
    let import = Name::parse("a:b/c@1.2.0");
    for (link, covered) in [
        ("a:b", true),
        ("a:b@1.0.0", true),
        ("a:b/c", true),
        ("a:b/c@1.9.9", true),
        ("a:b/c@2.0.0", false),
        ("a:b/d", false),
        ("a:c", false),
        ("c", false),
        ("", false),
    ] {
        assert_eq!(Name::parse(link).covers(&import), covered, "{link}");
    }
}

#[test]
fn the_nearest_name_is_offered_if_it_is_near() {
    let known = ["acme:math/add@1.0.0", "acme:math/sub@1.0.0"];
    assert_eq!(nearest("acme:math/ad", known).as_deref(), Some(known[0]));
    assert_eq!(nearest("acme:math/sub@1.0.1", known).as_deref(), Some(known[1]));
    assert_eq!(nearest("something", known), None);
    assert_eq!(nearest("x", []), None);
}

proptest! {
    /// Semantic versioning: the leftmost number that is not zero may not change.
    #[test]
    fn compatible_is_what_semantic_versioning_says(
        a in proptest::array::uniform3(0_u64..3),
        b in proptest::array::uniform3(0_u64..3),
    ) {
        let leftmost = a.iter().position(|number| *number != 0).unwrap_or(2);
        let same = a[..=leftmost] == b[..=leftmost];
        let version = |[x, y, z]: [u64; 3]| Some(Version::new(x, y, z));
        prop_assert_eq!(compatible(&version(a), &version(b)), same);
    }

    #[test]
    fn any_text_is_a_name(text in any::<String>()) {
        let name = Name::parse(&text);
        let _ = name.covers(&name.clone());
        let _ = nearest(&text, [&*text, "a:b/c"]);
    }
}
