use super::*;

#[test]
fn a_page_needs_no_ending() {
    assert_eq!(candidates("/"), ["public/index.html"]);
    assert_eq!(
        candidates("/about"),
        ["public/about", "public/about/index.html", "public/about.html"]
    );
    assert_eq!(candidates("/about/"), ["public/about/index.html", "public/about.html"]);
    assert_eq!(candidates("/img/my%20logo.png")[0], "public/img/my logo.png");
    assert_eq!(candidates("/.well-known/x")[0], "public/.well-known/x");
}

#[test]
fn nothing_leaves_the_folder() {
    for path in [
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/..%2fa",
        "/a%2fb",
        "/a%5cb",
        "/%00",
        "/.git/config",
        "/%ff",
    ] {
        assert_eq!(candidates(path), [""; 0], "{path}");
    }
}
