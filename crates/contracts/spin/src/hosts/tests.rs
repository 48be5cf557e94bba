#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use reef_grants::Target;

use super::*;

fn granted(text: &str) -> Vec<String> {
    let all = Allowed::parse(text).unwrap().destinations().unwrap();
    all.iter().map(ToString::to_string).collect()
}

/// The cases of Spin's own tests for this grammar, with what each becomes.
#[test]
fn each_form() {
    for (text, destinations) in [
        ("http://spin.fermyon.dev", &["http://spin.fermyon.dev"][..]),
        ("http://spin.fermyon.dev/", &["http://spin.fermyon.dev"]),
        ("https://spin.fermyon.dev", &["https://spin.fermyon.dev"]),
        ("http://spin.fermyon.dev:4444/", &["http://spin.fermyon.dev:4444"]),
        ("*://spin.fermyon.dev:7777", &["spin.fermyon.dev:7777"]),
        ("http://localhost:3001", &["http://localhost:3001"]),
        ("http://*.example.com", &["http://*.example.com"]),
        ("http://192.168.1.1", &["http://192.168.1.1"]),
        ("http://[::1]", &["http://[::1]"]),
        ("http://[::1]:8001", &["http://[::1]:8001"]),
        ("*://127.0.0.1/24:80", &["127.0.0.0/24:80"]),
        ("https://192.168.1.0/24", &["https://192.168.1.0/24"]),
        ("*://ff00::/8:80", &["[ff00::]/8:80"]),
        ("redis://h:10..13", &["redis://h:10", "redis://h:11", "redis://h:12"]),
        ("http://self", &[]),
        ("https://self.alt/", &[]),
        ("http://a.spin.internal", &[]),
        ("http://*.spin.internal", &[]),
    ] {
        assert_eq!(granted(text), destinations, "{text}");
    }
    for wrong in [
        "spin.fermyon.dev",
        "localhost:3001",
        "*",
        ":",
        "",
        "?",
        "http://spin.fermyon.dev/a",
        "http://spin.fermyon.dev:6666/a/b",
        "http://*.fermyon.dev/a",
        "http://*.*.dev",
        "*://127.0.0.0/24",
        "insecure:allow-all",
        "http://h:",
        "http://h:0x50",
        "tcp://a.spin.internal:80",
        "http://user@h",
    ] {
        let all = Allowed::parse(wrong).and_then(|allowed| allowed.destinations());
        // An empty port is none.
        assert_eq!(all.is_ok(), wrong == "http://h:", "{wrong}: {all:?}");
    }
}

#[test]
fn the_older_field() {
    let granted = |text: &str| {
        let all = Allowed::parse_http(text).unwrap();
        let all = all.iter().flat_map(|one| one.destinations().unwrap());
        all.map(|one| one.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(granted("a.dev"), ["http://a.dev", "https://a.dev"]);
    assert_eq!(granted("http://a.dev:80/"), ["http://a.dev", "https://a.dev"]);
    assert_eq!(granted("a.dev:7777"), ["http://a.dev:7777", "https://a.dev:7777"]);
    assert_eq!(granted("[::1]:8001"), ["http://[::1]:8001", "https://[::1]:8001"]);
    assert_eq!(granted("self"), Vec::<String>::new());
    assert_eq!(Allowed::parse_http("self").unwrap()[0].host, Host::Own);
    let open = Allowed::parse_http("insecure:allow-all").unwrap();
    assert!(open.iter().any(|one| one.host == Host::Own) && open.len() == 3);
    for wrong in ["ftp://a.dev", "a.dev/path", "http://a.dev/path"] {
        let read = Allowed::parse_http(wrong);
        assert!(read.is_err(), "{wrong}: {read:?}");
    }
}

/// Spin's own answer to whether an entry allows a connection, written down again.
fn model(entry: (&str, &str, &str), asked: (&str, &str, u16)) -> bool {
    let ((scheme, host, port), (asked_scheme, asked_host, asked_port)) = (entry, asked);
    let host_fits = match host.strip_prefix("*.") {
        _ if host == "*" => true,
        Some(parent) => asked_host.ends_with(&format!(".{parent}")),
        None => match host.split_once('/') {
            None => host == asked_host,
            Some((net, _)) => asked_host.starts_with(net.trim_end_matches('0')),
        },
    };
    let port_fits = match port.split_once("..") {
        Some((from, to)) => (from.parse().unwrap()..to.parse().unwrap()).contains(&asked_port),
        None => port == "*" || port.parse() == Ok(asked_port),
    };
    (scheme == "*" || scheme == asked_scheme) && host_fits && port_fits
}

fn hosts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "*",
        "*.a.dev",
        "a.dev",
        "b.a.dev",
        "10.0.0.7",
        "10.0.0.0/24",
        "10.0.1.7",
        "127.0.0.1",
    ])
}

proptest! {
    /// What is granted is what Spin allows: no more, and no less.
    #[test]
    fn destinations_grant_what_spin_allows(
        scheme in prop::sample::select(vec!["*", "http", "https", "redis"]),
        host in hosts(),
        port in prop::sample::select(vec!["*", "80", "443", "79..82", "81..81"]),
        asked_scheme in prop::sample::select(vec!["http", "https", "redis"]),
        asked_host in hosts().prop_filter("a host", |host| !host.contains(['*', '/'])),
        asked_port in prop::sample::select(vec![79_u16, 80, 81, 82, 443]),
    ) {
        let allowed = Allowed::parse(&format!("{scheme}://{host}:{port}")).unwrap();
        let all = allowed.destinations().unwrap_or_default();
        let target = Target::parse(asked_host).unwrap();
        let granted = all.iter().any(|one| one.grants(Some(asked_scheme), &target, asked_port));
        let expected = model((scheme, host, port), (asked_scheme, asked_host, asked_port));
        prop_assert_eq!(granted, expected);
    }

    #[test]
    fn no_text_is_too_odd(text in "[a-z*./:\\[\\]{}0-9]{0,20}") {
        let _ = Allowed::parse(&text).map(|allowed| allowed.destinations());
        let _ = Allowed::parse_http(&text);
    }
}
