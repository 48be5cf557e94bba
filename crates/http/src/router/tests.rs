#![allow(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;

fn router(routes: &[(Option<&str>, &str)]) -> Router<usize> {
    let mut builder = RouterBuilder::new();
    for (index, (host, path)) in routes.iter().enumerate() {
        let route = format!("{}{path}", host.unwrap_or_default()).parse().unwrap();
        builder.add(&format!("r{index}"), route, index).unwrap();
    }
    builder.build()
}

fn found<'a>(router: &'a Router<usize>, host: &str, path: &'a str) -> Option<(usize, &'a str)> {
    router.find(Some(host), path).map(|found| (*found.value, found.rest))
}

#[test]
fn the_longest_path_wins_by_segment() {
    let router = router(&[
        (None, "/..."),
        (None, "/"),
        (None, "/api"),
        (None, "/api/..."),
        (None, "/api/v1/..."),
        (None, "/only"),
    ]);
    assert_eq!(found(&router, "a", "/"), Some((1, "")));
    assert_eq!(found(&router, "a", "/x"), Some((0, "/x")));
    assert_eq!(found(&router, "a", "/api"), Some((2, "")));
    assert_eq!(found(&router, "a", "/api/"), Some((3, "/")));
    assert_eq!(found(&router, "a", "/apis"), Some((0, "/apis")));
    assert_eq!(found(&router, "a", "/api/v1"), Some((4, "")));
    assert_eq!(found(&router, "a", "/api/v1/x/y"), Some((4, "/x/y")));
    assert_eq!(found(&router, "a", "/api/v2"), Some((3, "/v2")));
    assert_eq!(found(&router, "a", "/only/more"), Some((0, "/only/more")));
    assert_eq!(found(&router, "a", "*"), None, "the target of OPTIONS * is no path");
}

#[test]
fn hosts_go_from_exact_to_any() {
    let router = router(&[
        (None, "/..."),
        (Some("*.example.com"), "/..."),
        (Some("*.eu.example.com"), "/..."),
        (Some("Shop.example.com"), "/cart/..."),
    ]);
    assert_eq!(found(&router, "other.org", "/"), Some((0, "/")));
    assert_eq!(found(&router, "example.com", "/"), Some((0, "/")));
    assert_eq!(found(&router, ".example.com", "/"), Some((0, "/")));
    assert_eq!(found(&router, "a.example.com:8080", "/"), Some((1, "/")));
    assert_eq!(found(&router, "a.b.EU.example.com.", "/"), Some((2, "/")));
    assert_eq!(found(&router, "shop.EXAMPLE.com", "/cart/1"), Some((3, "/1")));
    assert_eq!(found(&router, "shop.example.com", "/x"), Some((1, "/x")), "the next host");
    assert_eq!(found(&router, &"a".repeat(5000), "/"), Some((0, "/")));
    assert_eq!(router.find(None, "/").map(|found| *found.value), Some(0));
}

#[test]
fn a_conflict_names_both() {
    let mut builder = RouterBuilder::new();
    let mut add = |name, route: &str| builder.add(name, route.parse().unwrap(), ()).map(|_| ());
    add("shop", "a.com/x/...").unwrap();
    add("other", "/x/...").unwrap();
    add("third", "a.com/x").unwrap();
    add("parameter", "a.com/:x").unwrap();
    for (route, first) in [("A.com/x/...", "`shop`"), ("a.com/:y", "`parameter`")] {
        let error = add("cart", route).unwrap_err().to_string();
        let route = route.to_lowercase();
        for said in [first, "`cart`", &route] {
            assert!(error.contains(said), "{error}");
        }
    }
}

#[test]
fn addresses_are_hosts_too() {
    let router = router(&[(Some("[::1]"), "/")]);
    assert_eq!(found(&router, "[::1]:8080", "/"), Some((0, "")));
}

#[test]
fn parameters_take_one_segment_each_after_what_is_written_out() {
    let router = router(&[
        (None, "/users/:id"),
        (None, "/users/me"),
        (None, "/users/:id/posts/..."),
        (None, "/users/me/:what"),
        (None, "/:a/:b/:c"),
    ]);
    assert_eq!(found(&router, "a", "/users/7"), Some((0, "")));
    assert_eq!(found(&router, "a", "/users/me"), Some((1, "")));
    assert_eq!(found(&router, "a", "/users/7/posts/1/2"), Some((2, "/1/2")));
    assert_eq!(found(&router, "a", "/users/7/posts"), Some((2, "")));
    assert_eq!(found(&router, "a", "/users/me/posts"), Some((3, "")));
    assert_eq!(found(&router, "a", "/users/me/posts/1"), Some((2, "/1")), "another way round");
    assert_eq!(found(&router, "a", "/users/7/likes"), Some((4, "")));
    assert_eq!(found(&router, "a", "/users/"), None, "a parameter stands for something");
    let taken = router.find(None, "/users/7/posts/1").unwrap();
    assert_eq!(taken.parameters().collect::<Vec<_>>(), [("id", "7")]);
    let taken = router.find(None, "/x/y/z").unwrap();
    assert_eq!(taken.parameters().collect::<Vec<_>>(), [("a", "x"), ("b", "y"), ("c", "z")]);
}

/// The rules as prose, one route at a time: how exactly does it take the request?
fn rank(route: &Route, host: &str, path: &str) -> Option<(usize, Vec<u8>, bool)> {
    let host_rank = match route.host() {
        None => 0,
        Some(pattern) => match pattern.strip_prefix('*') {
            None => (pattern == host).then_some(usize::MAX)?,
            Some(suffix) => {
                (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len())?
            }
        },
    };
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let segments = route.segments();
    let long_enough = if route.takes_below() {
        parts.len() >= segments.len()
    } else {
        parts.len() == segments.len()
    };
    // From the left, a segment written out is worth more than a parameter, and that more than none.
    let mut worth = Vec::new();
    for (segment, part) in segments.iter().zip(&parts) {
        worth.push(match segment {
            Segment::Literal(text) => (**text == **part).then_some(2)?,
            Segment::Parameter(_) => (!part.is_empty()).then_some(1)?,
        });
    }
    long_enough.then_some((host_rank, worth, !route.takes_below()))
}

proptest! {
    #[test]
    fn it_agrees_with_trying_every_route(
        patterns in proptest::collection::vec(
            (
                proptest::option::of("(\\*\\.)?[ab](\\.[ab]){0,2}"),
                "(/([ab]{0,2}|:[xy])){1,3}(/\\.\\.\\.)?|/\\.\\.\\.",
            ),
            0..12,
        ),
        requests in proptest::collection::vec(
            ("[ab](\\.[ab]){0,3}", "(/[ab]{0,2}){1,4}"),
            1..24,
        ),
    ) {
        let mut builder = RouterBuilder::new();
        for (index, (host, path)) in patterns.iter().enumerate() {
            // What is no route, or in conflict, is left out; the rest must route.
            let route = format!("{}{path}", host.as_deref().unwrap_or_default()).parse();
            let _ = route.map(|route| builder.add(&format!("r{index}"), route, index).is_ok());
        }
        let router = builder.build();
        for (host, path) in &requests {
            let expected = router
                .routes()
                .filter_map(|(route, value)| Some((rank(route, host, path)?, *value)))
                .max();
            let found = router.find(Some(host), path);
            prop_assert_eq!(
                found.as_ref().map(|found| *found.value),
                expected.map(|(_, value)| value),
                "{} {}", host, path
            );
        }
    }
}
