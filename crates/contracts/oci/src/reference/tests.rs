#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn digest() -> String {
    format!("sha256:{}", "0a".repeat(32))
}

#[test]
fn a_reference_is_read_as_docker_reads_it() {
    let digest = digest();
    for (text, registry, repository, version) in [
        ("ghcr.io/shop/front:1.0", "ghcr.io", "shop/front", "1.0"),
        ("GHCR.io/shop/front", "ghcr.io", "shop/front", "latest"),
        ("localhost:5000/front", "localhost:5000", "front", "latest"),
        ("localhost/a/b__c.d--e:x", "localhost", "a/b__c.d--e", "x"),
        ("127.0.0.1:5000/front:1", "127.0.0.1:5000", "front", "1"),
        ("[::1]:5000/front:1", "[::1]:5000", "front", "1"),
        ("front:1", "docker.io", "library/front", "1"),
        ("shop/front", "docker.io", "shop/front", "latest"),
        (&format!("shop/front@{digest}"), "docker.io", "shop/front", &digest),
        (&format!("ghcr.io/shop/front:1@{digest}"), "ghcr.io", "shop/front", &digest),
    ] {
        let read: Reference = text.parse().unwrap();
        assert_eq!(read.registry(), registry, "{text}");
        assert_eq!(read.repository(), repository, "{text}");
        assert_eq!(read.version(), version, "{text}");
    }
    let docker: Reference = "front".parse().unwrap();
    assert_eq!(docker.host(), "registry-1.docker.io");
}

#[test]
fn what_is_no_reference_is_refused() {
    for text in [
        "",
        "Front",
        "ghcr.io/",
        "ghcr.io/Shop/front",
        "ghcr.io/shop//front",
        "ghcr.io/shop/-front",
        "ghcr.io/shop/front_.a",
        "ghcr.io/shop/../front",
        "ghcr.io/shop/front:",
        "ghcr.io/shop/front:.1",
        "ghcr.io/shop/front:a b",
        "ghcr.io:0/front",
        "ghcr.io:99999/front",
        "user:password@ghcr.io/front",
        "[::1/front",
        "front@sha256:00",
        "front@md5:00",
        "front?x=1",
        "front#x",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
    let long = format!("ghcr.io/{}", "a".repeat(300));
    assert!(long.parse::<Reference>().is_err());
}

proptest! {
    /// Whatever is taken is written so that it reads the same, and holds nothing that means something
    /// else in a URL.
    #[test]
    fn what_is_read_can_be_written(text in "[a-zA-Z0-9:/@._\\[\\]-]{0,24}(@sha256:[0-9a-f]{64})?") {
        let Ok(read) = text.parse::<Reference>() else { return Ok(()) };
        let written = read.to_string();
        let again: Reference = written.parse().unwrap();
        prop_assert_eq!(again.to_string(), written);
        prop_assert_eq!(again.version(), read.version());
        prop_assert_eq!(again.repository(), read.repository());
        let path = format!("/v2/{}/manifests/{}", read.repository(), read.version());
        prop_assert!(path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{}", path);
        prop_assert!(!path.contains(['?', '#', '%', ' ']));
    }
}
