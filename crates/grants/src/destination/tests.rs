#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn destination(text: &str) -> Destination {
    text.parse().unwrap()
}

fn fault(text: &str) -> String {
    text.parse::<Destination>().unwrap_err().to_string()
}

fn grants(destination: &str, scheme: Option<&str>, host: &str, port: u16) -> bool {
    self::destination(destination).grants(scheme, &Target::parse(host).unwrap(), port)
}

#[test]
fn destinations_display_in_their_shortest_form() {
    for (text, shown) in [
        ("example.com:443", "example.com:443"),
        ("EXAMPLE.com.:*", "example.com:*"),
        ("*.Example.com:443", "*.example.com:443"),
        ("*:80", "*:80"),
        ("10.0.0.0/8:5432", "10.0.0.0/8:5432"),
        ("10.0.0.1/32:5432", "10.0.0.1:5432"),
        ("[::1]:80", "[::1]:80"),
        ("[fd00::]/8:*", "[fd00::]/8:*"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("HTTPS://example.com:443", "https://example.com"),
        ("http://host:8080", "http://host:8080"),
        ("http://10.0.0.0/8", "http://10.0.0.0/8"),
        ("https://*.example.com:*", "https://*.example.com:*"),
        ("redis://cache:6379", "redis://cache:6379"),
    ] {
        assert_eq!(destination(text).to_string(), shown);
    }
}

#[test]
fn an_error_says_what_would_be_right() {
    for (text, hint) in [
        ("example.com", "`example.com:443`"),
        ("[::1]", "`[::1]:443`"),
        ("redis://cache", "`cache:443`"),
        ("example.com:", "a number from 1 to 65535"),
        ("example.com:0", "a number from 1 to 65535"),
        ("example.com:+80", "a number from 1 to 65535"),
        ("example.com:65536", "a number from 1 to 65535"),
        ("::1:80", "[::1]"),
        ("fd00::/8:80", "[::1]"),
        ("[fd00::/8]:80", "[fd00::]/8:443"),
        ("10.1.2.3/8:80", "write `10.0.0.0/8`"),
        ("10.0.0.0/33:80", "from 0 to 32"),
        ("https://example.com/api", "leave out what follows `https://example.com`"),
        ("https://example.com:8443/api?x", "leave out what follows `https://example.com:8443`"),
        ("https://10.0.0.1/api", "leave out what follows `https://10.0.0.1`"),
        ("https://me:secret@example.com", "user name or password"),
        ("exa*mple.com:80", "`*.example.com:443`"),
        ("*.10.0.0.1:80", "`*.example.com:443`"),
        ("1http://example.com", "not a URL scheme"),
        ("127.1:80", "four decimal parts"),
        ("münchen.de:80", "Punycode"),
        ("", "the host is empty"),
        (":80", "the host is empty"),
    ] {
        let message = fault(text);
        assert!(message.contains(hint), "{message}");
        assert!(message.contains(&format!("{text:?}")), "{message}");
    }
}

#[test]
fn names_grant_themselves_and_wildcards_what_is_below() {
    assert!(grants("example.com:443", Some("https"), "EXAMPLE.com.", 443));
    assert!(!grants("example.com:443", Some("https"), "example.com", 80));
    assert!(!grants("example.com:443", Some("https"), "www.example.com", 443));
    assert!(grants("example.com:*", None, "example.com", 1));
    assert!(grants("*.example.com:443", None, "www.example.com", 443));
    assert!(grants("*.example.com:443", None, "a.b.example.com", 443));
    assert!(!grants("*.example.com:443", None, "example.com", 443));
    assert!(!grants("*.example.com:443", None, "evilexample.com", 443));
    assert!(!grants("*.example.com:443", None, "example.com.evil.com", 443));
}

#[test]
fn a_scheme_binds_and_is_not_for_raw_sockets() {
    assert!(grants("https://example.com", Some("HTTPS"), "example.com", 443));
    assert!(!grants("https://example.com", Some("http"), "example.com", 443));
    assert!(!grants("https://example.com", None, "example.com", 443));
    assert!(!grants("http://10.0.0.1", None, "10.0.0.1", 80));
}

#[test]
fn a_star_is_the_public_internet() {
    assert!(grants("*:443", None, "example.com", 443));
    assert!(grants("*:443", None, "1.1.1.1", 443));
    assert!(!grants("*:443", None, "10.0.0.1", 443));
    assert!(!grants("*:443", None, "[::ffff:169.254.169.254]", 443));
    assert!(!grants("*:443", None, "localhost", 443));
}

#[test]
fn localhost_is_the_loopback_network() {
    assert!(grants("localhost:80", None, "localhost", 80));
    assert!(grants("localhost:80", None, "127.0.0.1", 80));
    assert!(grants("localhost:80", None, "[::1]", 80));
    assert!(!grants("localhost:80", None, "127.0.0.1", 81));
    assert!(!grants("localhost:80", None, "10.0.0.1", 80));
    assert!(!grants("127.0.0.1:80", None, "[::1]", 80));
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}(\\.[a-c]{1,2}){0,2}",
        Just("localhost".to_owned()),
        prop::sample::select(vec![
            "10.0.0.1",
            "10.9.0.1",
            "127.0.0.1",
            "1.1.1.1",
            "[::1]",
            "[fd00::1]"
        ])
        .prop_map(str::to_owned),
    ]
}

fn granted_host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => host(),
        2 => "[a-c]{1,2}(\\.[a-c]{1,2}){0,1}".prop_map(|name| format!("*.{name}")),
        1 => Just("*".to_owned()),
        1 => Just("10.0.0.0/16".to_owned()),
        1 => Just("[fd00::]/8".to_owned()),
    ]
}

/// The rules as the documentation's table has them, on text.
fn model(scheme: &str, granted: &str, port: &str, asked: (Option<&str>, &str, u16)) -> bool {
    if !scheme.is_empty() && asked.0 != Some(scheme) {
        return false;
    }
    if port != "*" && port != asked.2.to_string() {
        return false;
    }
    let loopback = ["127.0.0.1", "[::1]"].contains(&asked.1);
    let is_address = asked.1.contains("0.") || asked.1.contains("1.") || asked.1.contains(':');
    match granted {
        "*" => asked.1 == "1.1.1.1" || (!is_address && asked.1 != "localhost"),
        "10.0.0.0/16" => asked.1.starts_with("10.0."),
        "[fd00::]/8" => asked.1.starts_with("[fd"),
        "localhost" => asked.1 == "localhost" || loopback,
        _ if granted.starts_with("*.") => !is_address && asked.1.ends_with(&granted[1..]),
        _ => granted == asked.1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_shown_parses_to_the_same(text in "([a-z]{1,5}://)?[a-zA-Z0-9.*_/:\\[\\]-]{1,16}(:([0-9]{1,5}|\\*))?") {
        if let Ok(destination) = text.parse::<Destination>() {
            prop_assert_eq!(destination.to_string().parse::<Destination>(), Ok(destination));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_reason(text in "\\PC{0,30}") {
        if let Err(error) = text.parse::<Destination>() {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn grants_what_the_table_says(
        scheme in prop::sample::select(vec!["", "http", "https"]),
        granted in granted_host(),
        port in prop::sample::select(vec!["*", "80", "443"]),
        asked_scheme in prop::sample::select(vec![None, Some("http"), Some("https")]),
        asked_host in host(),
        asked_port in prop::sample::select(vec![80_u16, 443]),
    ) {
        let prefix = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
        let destination = format!("{prefix}{granted}:{port}");
        prop_assert_eq!(
            grants(&destination, asked_scheme, &asked_host, asked_port),
            model(scheme, &granted, port, (asked_scheme, &asked_host, asked_port)),
            "{} asked for {:?} {}:{}", destination, asked_scheme, asked_host, asked_port
        );
    }
}
