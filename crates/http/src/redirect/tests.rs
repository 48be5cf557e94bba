#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn location(to: &str, uri: &str, rest: &str) -> String {
    let uri: Uri = uri.parse().unwrap();
    let response = Redirect::new(308, to).unwrap().answer(&uri, rest);
    assert_eq!(response.status(), 308);
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[test]
fn what_follows_the_route_comes_along() {
    assert_eq!(location("/new/...", "/old/a/b?c=d", "/a/b"), "/new/a/b?c=d");
    assert_eq!(location("/new/...", "/old?c", ""), "/new?c");
    assert_eq!(location("/new/...", "/old/", "/"), "/new/");
    assert_eq!(location("/...", "/old", ""), "/");
    assert_eq!(location("/...", "/old/a", "/a"), "/a");
    assert_eq!(
        location("https://b.example/x/...", "/a%20b?q", "/a%20b"),
        "https://b.example/x/a%20b?q"
    );
    assert_eq!(
        location("https://b.example/...", "/.evil.example", ".evil.example"),
        "https://b.example/.evil.example"
    );
    assert_eq!(location("/new", "/old/a?b", "/a"), "/new");
    assert_eq!(location("/new?x=y#part", "/old", ""), "/new?x=y#part");
    assert_eq!(location("/new/...#part", "/old/a?b", "/a"), "/new/a?b#part");
}

#[test]
fn the_rest_is_never_another_host() {
    for rest in ["//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example"] {
        assert_eq!(location("/...", "/", rest), "/evil.example");
        assert_eq!(location("/new/...", "/", rest), "/new/evil.example");
    }
}

#[test]
fn targets_that_are_none_are_refused() {
    for to in [
        "",
        "new",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "/a b",
        "/a\r\nSet-Cookie: x",
        "ftp://host/",
        "/a?b/...",
        "//...",
        "https://h//...",
        "https://a b/",
        "/\u{e4}",
        "http:/x",
    ] {
        assert!(Redirect::new(301, to).is_err(), "{to:?}");
    }
    for status in [0, 200, 300, 304, 305, 306, 404] {
        assert_eq!(Redirect::new(status, "/x").unwrap_err(), AnswerError::NotARedirect(status));
    }
}

#[test]
fn fixed_answers_are_checked() {
    let fixed = Fixed::new(410, [("x-a", "1"), ("x-a", "2")], "gone\n").unwrap();
    let response = fixed.answer(&Method::GET);
    assert_eq!(
        (response.status().as_u16(), response.headers().get_all("x-a").iter().count()),
        (410, 2)
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    let head = fixed.answer(&Method::HEAD);
    assert_eq!(head.headers()[CONTENT_LENGTH], "5");

    let none: [(&str, &str); 0] = [];
    let empty = Fixed::new(204, none, "").unwrap().answer(&Method::HEAD);
    assert!(!empty.headers().contains_key(CONTENT_LENGTH));
    assert_eq!(Fixed::new(101, none, "").unwrap_err(), AnswerError::Status(101));
    assert_eq!(Fixed::new(999, none, "").unwrap_err(), AnswerError::Status(999));
    assert_eq!(Fixed::new(204, none, "x").unwrap_err(), AnswerError::NoBody(204));
    for (name, value) in [
        ("a b", "c"),
        ("a", "b\r\nc: d"),
        ("Transfer-Encoding", "chunked"),
        ("content-length", "3"),
    ] {
        assert!(Fixed::new(200, [(name, value)], "").is_err(), "{name}");
    }
}

proptest! {
    /// Whatever follows the route, the answer goes to the path or host that was said.
    #[test]
    fn hostile_rests_stay_below_the_target(rest in "\\PC{0,40}", slashes in "[/\\\\]{1,4}") {
        let uri: Uri = "/x".parse().unwrap();
        let rest = slashes + &rest;
        for (to, below) in [("/...", "/"), ("/new/...", "/new/"), ("https://h.example/...", "https://h.example/")] {
            let response = Redirect::new(302, to).unwrap().answer(&uri, &rest);
            let location = response.headers()[LOCATION].to_str().unwrap();
            prop_assert!(location.starts_with(below));
            prop_assert!(!location[below.len()..].starts_with(['/', '\\']));
            prop_assert!(!location.contains('\\') && location.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}

#[test]
fn a_manifest_says_it_too() {
    let text = "name = 'a'\n\
        [[redirect]]\nroute = '/old/...'\nto = '/new/...'\n\
        [[redirect]]\nroute = '/now'\nto = 'https://b.example/'\nstatus = 307\n\
        [[response]]\nroute = '/teapot'\nstatus = 418\nheaders = { x-a = 'b' }\nbody = 'short'\n";
    let manifest =
        reef_app::Manifest::parse(&reef_document::Source::new("reef.toml", text)).unwrap();
    let application =
        manifest.application(None, &mut reef_document::Diagnostics::default()).unwrap();
    let redirects: Vec<Redirect> =
        application.redirects.iter().map(|redirect| redirect.try_into().unwrap()).collect();
    let uri: Uri = "/old/a?b".parse().unwrap();
    let first = redirects[0].answer(&uri, "/a");
    assert_eq!(
        (first.status().as_u16(), &first.headers()[LOCATION]),
        (308, &"/new/a?b".parse().unwrap())
    );
    assert_eq!(redirects[1].answer(&uri, "").status(), 307);
    let fixed = Fixed::try_from(&application.responses[0]).unwrap().answer(&Method::GET);
    assert_eq!((fixed.status().as_u16(), &fixed.headers()["x-a"]), (418, &"b".parse().unwrap()));
}
