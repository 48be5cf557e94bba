#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn under(base: &str, output: &str) -> Vec<String> {
    let routes = DynamicRoutes::parse(output.as_bytes()).unwrap();
    let handlers = routes.under(&base.parse().unwrap()).unwrap();
    let text = |handler: Handler| {
        format!("{} {}", handler.route, handler.entrypoint.as_deref().unwrap_or("-"))
    };
    handlers.into_iter().map(text).collect()
}

#[test]
fn the_example_of_the_documents() {
    let printed = "/hello hello\n/goodbye/... goodbye\n/main _start\n";
    assert_eq!(
        under("/example", printed),
        [
            "/example -",
            "/example/hello hello",
            "/example/goodbye/... goodbye",
            "/example/main _start"
        ]
    );
}

#[test]
fn a_module_below_the_root_a_slash_or_a_wildcard() {
    let printed = "/exact on_exact\nrelative on_relative";
    assert_eq!(under("/", printed), ["/ -", "/exact on_exact", "/relative on_relative"]);
    assert_eq!(under("/a/", printed)[1..], ["/a/exact on_exact", "/a/relative on_relative"]);
    assert_eq!(under("/a/...", printed)[0..2], ["/a/... -", "/a/exact on_exact"]);
    assert_eq!(under("example.com/a", printed)[1], "example.com/a/exact on_exact");
    // A route of Reef's own may hold a parameter; the line's cannot.
    assert_eq!(under("/:user/...", printed)[1], "/:user/exact on_exact");
}

#[test]
fn the_last_route_that_fits_answers() {
    let up = "/one/... one\n/one/two/... two\n/one/two/three/... three";
    assert_eq!(
        under("/", up),
        ["/ -", "/one/... one", "/one/two/... two", "/one/two/three/... three"]
    );
    let down = "/one/two/three/... three\n/one/two/... two\n/one/... one";
    assert_eq!(under("/", down), ["/ -", "/one/... one"]);
    assert_eq!(under("/x/...", "/... all"), ["/x/... all"]);
}

#[test]
fn blank_lines_and_comments_are_left_out() {
    let routes = DynamicRoutes::parse(b"\n# route function\n  \t\r\n/a\tb  \r\n#/c d\n").unwrap();
    let only = DynamicRoute { pattern: "/a".to_owned(), entrypoint: "b".to_owned() };
    assert_eq!(routes.iter().collect::<Vec<_>>(), [&only]);
}

#[test]
fn what_is_no_list_of_routes_is_refused() {
    for (output, start) in [
        ("", "`_routes` printed nothing"),
        ("\n\n# only this\n", "`_routes` printed nothing"),
        ("/hello", "line 1 of what `_routes` printed, \"/hello\", has 1 words: a line is a route"),
        (
            "/a b\n/hello hello heya",
            "line 2 of what `_routes` printed, \"/hello hello heya\", has 3",
        ),
        ("/a b\n/:id c", "line 2 of what `_routes` printed: the route `/:id` has a segment"),
        ("/a?b c", "line 1 of what `_routes` printed: `/a?b` is not a path"),
        (&format!("/{} a", "b".repeat(MAX_LINE)), "line 1 of what `_routes` printed is longer"),
        (&"/a b\n".repeat(MAX_ROUTES + 1), "`_routes` printed more than 1024 routes"),
        (&"#".repeat(MAX_OUTPUT + 1), "`_routes` printed more than 65536 bytes"),
    ] {
        let error = DynamicRoutes::parse(output.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(DynamicRoutes::parse(b"/a \xff"), Err(RoutesError::NotText));
}

/// As WAGI matches: the path alone, or with `/...` also what follows a slash.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix("/...") {
        Some(base) => path == base || path.starts_with(&format!("{base}/")),
        None => path == pattern,
    }
}

proptest! {
    /// The longest of the routes that are left is the last that WAGI has.
    #[test]
    fn the_longest_route_is_the_last_one(
        base in "(/[ab]){0,2}(/|/\\.\\.\\.)?",
        lines in prop::collection::vec("(/[ab]){1,3}(/\\.\\.\\.)?|/\\.\\.\\.", 1..6),
        path in "(/[ab]){1,5}/?",
    ) {
        let base = if base.is_empty() { "/".to_owned() } else { base };
        let printed: String =
            lines.iter().enumerate().map(|(at, line)| format!("{line} f{at}\n")).collect();
        let routes = DynamicRoutes::parse(printed.as_bytes()).unwrap();
        let start = base.strip_suffix("/...").unwrap_or(&base).trim_end_matches('/');
        let last = lines.iter().rposition(|line| matches(&format!("{start}{line}"), &path));
        let expected = match last {
            Some(at) => Some(format!("f{at}")),
            None => matches(&base, &path).then(|| "own".to_owned()),
        };

        let handlers = routes.under(&base.parse().unwrap()).unwrap();
        let longest = handlers
            .iter()
            .filter(|handler| matches(&handler.route.path(), &path))
            .max_by_key(|handler| (handler.route.segments().len(), !handler.route.takes_below()))
            .map(|handler| handler.entrypoint.clone().unwrap_or("own".to_owned()));
        prop_assert_eq!(longest, expected, "{:?}", handlers);
    }

    #[test]
    fn nothing_that_is_printed_panics(output in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(routes) = DynamicRoutes::parse(&output) {
            let _ = routes.under(&"/a/...".parse().unwrap());
        }
    }
}
