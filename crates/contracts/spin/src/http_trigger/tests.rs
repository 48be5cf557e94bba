#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use reef_app::Segment;

use super::*;

fn texts(route: &str, base: &str) -> Vec<String> {
    parse(route, base).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn each_form_of_a_route() {
    for (route, base, expected) in [
        ("/", "/", &["/"][..]),
        ("", "/", &["/"]),
        ("/...", "/", &["/..."]),
        ("...", "/", &["/..."]),
        ("/*", "/", &["/..."]),
        ("/cart", "/", &["/cart", "/cart/"]),
        ("cart/", "/", &["/cart", "/cart/"]),
        ("/users/:id/edit", "/", &["/users/:id/edit", "/users/:id/edit/"]),
        ("/a/:b/...", "/", &["/a/:b/..."]),
        ("/cart", "/base", &["/base/cart", "/base/cart/"]),
        ("/", "base/", &["/base", "/base/"]),
        ("/...", "/base/", &["/base/..."]),
        // A host has no place here.
        ("example.com/...", "/", &["/example.com/..."]),
    ] {
        assert_eq!(texts(route, base), expected, "{route} below {base}");
    }
    for wrong in ["/a b", "/:id.json", "/:", "/a?b", "/.../a", "/:a/:a", "/a*", "/:ü"] {
        assert!(parse(wrong, "/").is_err(), "{wrong}");
    }
}

/// Reef's own rule, as `Route` has it.
fn takes(route: &Route, path: &str) -> bool {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let fits = |(segment, part): (&Segment, &&str)| match segment {
        Segment::Literal(text) => **text == **part,
        Segment::Parameter(_) => !part.is_empty(),
    };
    let (all, wanted) = (parts.len(), route.segments().len());
    let long_enough = if route.takes_below() { all >= wanted } else { all == wanted };
    long_enough && route.segments().iter().zip(&parts).all(fits)
}

proptest! {
    /// Spin's router looks at neither of the slashes at both ends.
    #[test]
    fn routes_take_what_those_of_spin_take(
        route in "(/(:[xy]|[ab])){0,3}(/\\.\\.\\.)?/?",
        path in "(/[abc]){0,4}/?",
    ) {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let Ok(routes) = parse(&route, "/") else { return Ok(()) };
        // The slash after what takes everything below is taken off.
        let plain = route.strip_suffix('/').unwrap_or(&route);
        let (fixed, below) = match plain.strip_suffix("/...") {
            Some(fixed) => (fixed, true),
            None => (plain, false),
        };
        let split = |text: &str| {
            let parts = text.split('/').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let (pattern, parts) = (split(fixed), split(&path));
        let fits = pattern.iter().zip(&parts).all(|(want, is)| want.starts_with(':') || want == is);
        let long = if below { parts.len() >= pattern.len() } else { parts.len() == pattern.len() };
        let taken = routes.iter().any(|route| takes(route, &path));
        prop_assert_eq!(taken, fits && long, "{} {}", route, path);
    }
}
