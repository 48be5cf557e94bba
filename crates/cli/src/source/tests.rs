#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn a_name_is_the_last_part_of_where_it_comes_from() {
    for (argument, name) in [
        ("https://example.com/a/hello.wasm?token=x/y.z#sha256=00", "hello"),
        ("https://example.com/hello", "hello"),
        ("https://example.com", "example"),
        ("oci://ghcr.io/shop/hello:1.0", "hello"),
        ("oci://localhost:5000/hello", "hello"),
        ("oci://ghcr.io/shop/hello@sha256:00", "hello"),
        ("bindle:example.com/shop/1.0.0", "shop"),
        ("bindle:x", "artifact"),
        ("a/hello.wasm", "hello"),
        ("-", "standard input"),
    ] {
        assert_eq!(name_of(Path::new(argument)), name, "{argument}");
    }
}

#[test]
fn only_what_is_spelled_as_elsewhere_is() {
    for file in ["hello.wasm", "ghcr.io/shop/hello:1.0", "oci:hello", "a:b.wasm"] {
        assert_eq!(of(Path::new(file)).unwrap(), Source::File(file.into()));
    }
    let reference = of(Path::new("oci://ghcr.io/shop/hello:1.0")).unwrap();
    assert_eq!(reference, Source::Oci("ghcr.io/shop/hello:1.0".into()));
}
