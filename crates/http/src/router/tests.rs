#![allow(clippy::unwrap_used, reason = "tests")]
use proptest::prelude::*;

use super::*;

fn router(routes: &[(Option<&str>, &str)]) -> Router<usize> {
    let mut builder = RouterBuilder::new();
    for (index, (host, path)) in routes.iter().enumerate() {
        builder.add(&format!("r{index}"), *host, path, index).unwrap();
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
    builder.add("shop", Some("a.com"), "/x/...", ()).unwrap();
    builder.add("other", None, "/x/...", ()).unwrap();
    builder.add("third", Some("a.com"), "/x", ()).unwrap();
    let error = builder.add("cart", Some("A.com"), "/x/...", ()).unwrap_err().to_string();
    assert!(error.contains("`shop`") && error.contains("`cart`") && error.contains("a.com/x/..."));
}

#[test]
fn patterns_that_cannot_match_are_refused() {
    let mut builder = RouterBuilder::new();
    for path in ["", "api", "...", "/a b", "/a?b", "/.../a", "/.../...", "/*"] {
        assert!(matches!(builder.add("r", None, path, ()), Err(RouteError::Path { .. })), "{path}");
    }
    for host in ["", "*", "*.", "a..b", "a:80", "a/b", "*.*.com", "ex*.com"] {
        let added = builder.add("r", Some(host), "/", ());
        assert!(matches!(added, Err(RouteError::Host { .. })), "{host}");
    }
    builder.add("v6", Some("[::1]"), "/", ()).unwrap();
    assert!(builder.build().find(Some("[::1]:8080"), "/").is_some());
}

/// The rules as prose, one route at a time: how exactly does it take the request?
fn rank(route: &Route, host: &str, path: &str) -> Option<(usize, usize, usize)> {
    let host_rank = match route.host() {
        None => 0,
        Some(pattern) => match pattern.strip_prefix('*') {
            None => (pattern == host).then_some(usize::MAX)?,
            Some(suffix) => {
                (host.ends_with(suffix) && host.len() > suffix.len()).then_some(suffix.len())?
            }
        },
    };
    let base = route.base();
    let exact = route.path() == base;
    let taken =
        if exact { path == base } else { path == base || path.starts_with(&format!("{base}/")) };
    taken.then_some((host_rank, usize::from(exact), base.len()))
}

proptest! {
    #[test]
    fn it_agrees_with_trying_every_route(
        patterns in proptest::collection::vec(
            (
                proptest::option::of("(\\*\\.)?[ab](\\.[ab]){0,2}"),
                "(/[ab]{0,2}){1,3}(/\\.\\.\\.)?|/\\.\\.\\.",
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
            // Conflicts are left out; the rest must route.
            let _ = builder.add(&format!("r{index}"), host.as_deref(), path, index);
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
