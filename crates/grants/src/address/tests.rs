#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_of_machines_and_their_networks_are_not_public() {
    for private in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "4000::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(ip(private)), "{private}");
    }
    for public in [
        "1.1.1.1",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::1.1.1.1",
        "2002:101:101::1",
        "::ffff:1.1.1.1",
    ] {
        assert!(is_public(ip(public)), "{public}");
    }
}

#[test]
fn a_range_holds_its_addresses_in_any_spelling() {
    let ten = IpNetwork::new(ip("10.1.2.3"), 8).unwrap();
    assert_eq!(ten.address(), ip("10.0.0.0"));
    assert!(ten.contains(ip("10.255.255.255")) && ten.contains(ip("::ffff:10.0.0.1")));
    assert!(!ten.contains(ip("11.0.0.0")) && !ten.contains(ip("9.255.255.255")));
    assert!(!ten.contains(ip("::10.0.0.1")) && !ten.contains(ip("a00::")));
    assert_eq!(IpNetwork::new(ip("::ffff:10.0.0.0"), 104), Some(ten));

    assert!(IpNetwork::new(ip("0.0.0.0"), 0).unwrap().contains(ip("255.255.255.255")));
    assert!(!IpNetwork::new(ip("0.0.0.0"), 0).unwrap().contains(ip("::1")));
    assert!(IpNetwork::new(ip("::"), 0).unwrap().contains(ip("ff::1")));
    assert_eq!(IpNetwork::new(ip("10.0.0.0"), 33), None);
    assert_eq!(IpNetwork::new(ip("::"), 129), None);
}

#[test]
fn hosts_have_one_spelling() {
    let name = |text: &str| Target::parse(text).unwrap().to_string();
    assert_eq!(name("Example.COM."), "example.com");
    assert_eq!(name("_dmarc.a-b.c1"), "_dmarc.a-b.c1");
    assert_eq!(name("127.0.0.1"), "127.0.0.1");
    assert_eq!(name("[0:0:0:0:0:0:0:1]"), "[::1]");
    assert_eq!(name("[::ffff:127.0.0.1]"), "127.0.0.1");
    assert_eq!(name("0xfoo.0xg"), "0xfoo.0xg");
}

#[test]
fn addresses_in_disguise_are_no_hosts() {
    for disguised in
        ["2130706433", "127.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "1.2.3.4.5", "127.0.0.1."]
    {
        assert_eq!(Target::parse(disguised), Err(HostFault::Ipv4), "{disguised}");
    }
    for bad in [
        "",
        ".",
        "::1",
        "[::1",
        "[1.2.3.4]",
        "[fe80::1%eth0]",
        "a..b",
        "a b",
        "é.fr",
        "a\0b",
        &"a".repeat(64),
    ] {
        assert!(Target::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    /// The model: compare the leading bits one by one.
    #[test]
    fn a_range_is_a_common_prefix(a in any::<u32>(), flips in any::<u32>(), shift in 0_u32..33, prefix in 0_u8..33) {
        let b = a ^ flips.checked_shr(shift).unwrap_or(0);
        let bits = |value: u32| format!("{value:032b}")[..prefix.into()].to_owned();
        let network = IpNetwork::new(Ipv4Addr::from_bits(a).into(), prefix).unwrap();
        prop_assert_eq!(network.contains(Ipv4Addr::from_bits(b).into()), bits(a) == bits(b));
    }

    #[test]
    fn a_host_is_read_back_from_its_spelling(host in "[a-zA-Z0-9._:\\[\\]-]{0,20}") {
        if let Ok(target) = Target::parse(&host) {
            prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
        }
    }
}
