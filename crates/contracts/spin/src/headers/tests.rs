#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn facts<'a>(route: &'a str, rest: &'a str, uri: &'a Uri) -> Facts<'a> {
    Facts {
        route,
        base: "/",
        rest,
        parameters: &[],
        uri,
        host: "example.com:8080",
        tls: true,
        client: "127.0.0.1:53152".parse().unwrap(),
    }
}

fn get(all: &[(HeaderName, HeaderValue)], name: &str) -> String {
    let mut values = all.iter().filter(|(own, _)| own.as_str() == name);
    let value = values.next().unwrap().1.to_str().unwrap().to_owned();
    assert!(values.next().is_none(), "{name} is there twice");
    value
}

/// The example of Spin's documentation (`http-trigger`, "Additional Request Information").
#[test]
fn the_documented_example() {
    let uri = "/users/1/cart/items/3/edit?theme=pink".parse().unwrap();
    let parameters = [("userid", "1")];
    let route = "/users/:userid/cart/...";
    let facts = Facts { parameters: &parameters, ..facts(route, "/items/3/edit", &uri) };
    let all = own(&facts);
    for (name, value) in [
        ("spin-full-url", "https://example.com:8080/users/1/cart/items/3/edit?theme=pink"),
        ("spin-path-info", "/items/3/edit"),
        ("spin-path-match-userid", "1"),
        ("spin-matched-route", "/users/:userid/cart/..."),
        ("spin-raw-component-route", "/users/:userid/cart/..."),
        ("spin-component-route", "/users/:userid/cart"),
        ("spin-base-path", "/"),
        ("spin-client-addr", "127.0.0.1:53152"),
    ] {
        assert_eq!(get(&all, name), value, "{name}");
    }
    assert_eq!(all.len(), 8);
    let environment = environment(&facts);
    let variable = |name: &str| {
        environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(variable("PATH_INFO"), Some("/items/3/edit"));
    assert_eq!(variable("X_PATH_MATCH_USERID"), Some("1"));
    assert_eq!(variable("X_COMPONENT_ROUTE"), Some("/users/:userid/cart"));
}

#[test]
fn each_form_of_a_route() {
    let uri = "/".parse().unwrap();
    for (route, base, rest, path_info, matched, raw, component) in [
        // The matched route has no slash at its end, even where nothing is left.
        ("/", "/", "", "", "", "/", "/"),
        ("/foo", "/", "", "", "/foo", "/foo", "/foo"),
        ("/foo/", "/", "", "", "/foo", "/foo", "/foo"),
        ("/...", "/", "/", "/", "/...", "/...", ""),
        ("/...", "/", "/1/2", "/1/2", "/...", "/...", ""),
        ("/foo/...", "/", "", "", "/foo/...", "/foo/...", "/foo"),
        ("/foo/...", "/", "/", "/", "/foo/...", "/foo/...", "/foo"),
        ("/foo/...", "/", "/a/", "/a/", "/foo/...", "/foo/...", "/foo"),
        ("/foo/...", "/", "//a//", "/a/", "/foo/...", "/foo/...", "/foo"),
        ("/base/foo/...", "/base", "/a", "/a", "/base/foo/...", "/foo/...", "/foo"),
        ("/base/...", "base/", "/a", "/a", "/base/...", "/...", ""),
        ("/base", "/base", "", "", "/base", "/", "/"),
    ] {
        let facts = Facts { base, ..facts(route, rest, &uri) };
        let all = own(&facts);
        assert_eq!(get(&all, "spin-path-info"), path_info, "{route} {rest}");
        assert_eq!(get(&all, "spin-matched-route"), matched, "{route}");
        assert_eq!(get(&all, "spin-raw-component-route"), raw, "{route}");
        assert_eq!(get(&all, "spin-component-route"), component, "{route}");
        let base = if base == "/" { "/" } else { "/base" };
        assert_eq!(get(&all, "spin-base-path"), base, "{route}");
    }
}

#[test]
fn what_a_client_brings_is_taken_out() {
    let uri = "/a".parse().unwrap();
    let mut headers = HeaderMap::new();
    for name in ["spin-client-addr", "spin-path-match-id", "spin-other", "accept"] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("forged"));
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("twice"));
    }
    set(&mut headers, &facts("/a", "", &uri));
    assert_eq!(headers.get_all("spin-client-addr").iter().count(), 1);
    assert_eq!(headers["spin-client-addr"], "127.0.0.1:53152");
    assert!(!headers.contains_key("spin-path-match-id"));
    // Not one of Spin's.
    assert_eq!(headers.get_all("spin-other").iter().count(), 2);
    assert_eq!(headers.get_all("accept").iter().count(), 2);
}

#[test]
fn names_of_parameters_and_hosts() {
    let uri = "/".parse().unwrap();
    let parameters = [("User_Id", "a%20b"), ("ü", "1"), ("nl", "a\nb")];
    let all = own(&Facts { parameters: &parameters, ..facts("/:User_Id", "", &uri) });
    assert_eq!(get(&all, "spin-path-match-user-id"), "a%20b");
    // What no header can say is not said.
    assert_eq!(all.len(), 8);
    assert_eq!(component_of_host("cart.spin.internal"), Some("cart"));
    assert_eq!(component_of_host("cart.spin.internal:80"), Some("cart"));
    for other in ["spin.internal", ".spin.internal", "a.b.spin.internal", "example.com", ""] {
        assert_eq!(component_of_host(other), None, "{other}");
    }
}

proptest! {
    /// Whatever is asked for, no header is set that a client could not be kept from setting.
    #[test]
    fn every_header_that_is_set_is_reserved(
        route in "(/:?[a-z_]{1,3}){0,3}(/\\.\\.\\.)?/?", rest in "/?[a-z/]{0,6}", name in "\\PC{0,8}", value in "\\PC{0,8}"
    ) {
        let uri = "/x?y".parse().unwrap();
        let parameters = [(&*name, &*value)];
        let facts = Facts { parameters: &parameters, ..facts(&route, &rest, &uri) };
        let all = own(&facts);
        prop_assert!(all.len() >= 7);
        prop_assert!(all.iter().all(|(name, _)| is_reserved(name)));
        prop_assert_eq!(environment(&facts).len(), 8);
    }
}
