#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn egress(destinations: &[&str]) -> Egress {
    Egress::new(destinations.iter().map(|text| text.parse().unwrap()).collect())
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn nothing_is_permitted_by_default() {
    let nothing = Egress::default();
    assert!(!nothing.permits_host(Some("https"), "example.com", 443));
    assert!(!nothing.permits_addr(addr("127.0.0.1:80")));
    assert!(!nothing.permits_addr(addr("1.1.1.1:53")));
}

#[test]
fn a_host_that_is_none_is_never_permitted() {
    let public = egress(&["*:*"]);
    for host in ["", "a b", "2130706433", "127.1", "::1", "exa\nmple.com"] {
        assert!(!public.permits_host(Some("http"), host, 80), "{host}");
    }
}

#[test]
fn raw_sockets_need_a_grant_of_the_address() {
    let egress = egress(&["10.0.0.0/8:5432", "example.com:443", "https://10.1.0.1", "localhost:9"]);
    assert!(egress.permits_addr(addr("10.3.2.1:5432")));
    assert!(egress.permits_addr(addr("[::ffff:10.3.2.1]:5432")));
    assert!(egress.permits_addr(addr("127.0.0.1:9")));
    assert!(!egress.permits_addr(addr("10.3.2.1:443")));
    assert!(!egress.permits_addr(addr("10.1.0.1:443")));
}

#[test]
fn a_granted_name_does_not_admit_the_private_network() {
    let egress = egress(&["db.example.com:5432", "10.0.0.0/8:5432", "localhost:5432"]);
    let admits =
        |host: &str, to: &str| egress.admits(Some("http"), &Target::parse(host).unwrap(), addr(to));
    assert!(admits("db.example.com", "1.1.1.1:5432"));
    assert!(admits("db.example.com", "10.0.0.1:5432"));
    assert!(!admits("db.example.com", "10.0.0.1:80"));
    assert!(!admits("db.example.com", "192.168.0.1:5432"));
    assert!(!admits("db.example.com", "169.254.169.254:5432"));
    assert!(admits("localhost", "127.0.0.1:5432"));
    assert!(admits("localhost", "[::1]:5432"));
    assert!(!admits("localhost", "192.168.0.1:5432"));
}

#[test]
fn a_refusal_names_the_workload_the_request_and_the_flag() {
    let refusal = Egress::default().refusal("shop", "Example.com", 443);
    assert_eq!(
        refusal.to_string(),
        "workload `shop` may not connect to example.com:443: it was not granted; allow it with \
         `--egress example.com:443`, in a manifest `egress = [\"example.com:443\"]`"
    );
    let bare = Egress::default().refusal("shop", "::1", 80);
    assert_eq!(bare.grant().unwrap().to_string(), "[::1]:80");

    let name = Target::parse("db.example.com").unwrap();
    let private = Refusal::private("shop", &name, addr("10.0.0.7:5432")).to_string();
    assert!(private.contains("db.example.com:5432"), "{private}");
    assert!(private.contains("allow it with `--egress 10.0.0.7:5432`, in a manifest"), "{private}");
}

#[test]
fn a_refusal_of_nonsense_is_printable() {
    let refusal = Egress::default().refusal("shop", "a\r\nb\x1b[31m", 80);
    assert_eq!(refusal.grant(), None);
    assert!(!refusal.to_string().contains(['\r', '\n', '\x1b']), "{refusal}");
}

#[test]
fn what_a_refusal_proposes_is_enough() {
    for host in ["example.com", "10.0.0.1", "[fd00::1]", "localhost"] {
        let grant = Egress::default().refusal("shop", host, 8080).grant().unwrap();
        assert!(Egress::new(vec![grant]).permits_host(Some("http"), host, 8080), "{host}");
    }
}
