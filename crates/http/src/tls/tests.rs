#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn the_closest_name_counts() {
    let dir = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut hosts = Hosts::default();
    let files = |name: &str| {
        let cert = dir.path().join(format!("{name}.pem"));
        let key = dir.path().join("key.pem");
        std::fs::write(&cert, issued.cert.pem()).unwrap();
        std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        CertificateFiles { cert, key }
    };
    for host in ["a.example", "*.a.example", "*.x.a.example", "*.example"] {
        hosts.add(host, files(host)).unwrap();
    }
    let found = |hosts: &Hosts, host: Option<&str>| {
        let path = &hosts.find(host)?.cert_path;
        Some(path.file_stem().unwrap().to_str().unwrap().to_owned())
    };
    for (host, expected) in [
        ("a.example", Some("a.example")),
        ("b.a.example", Some("*.a.example")),
        ("c.b.a.example", Some("*.a.example")),
        ("b.x.a.example", Some("*.x.a.example")),
        ("x.a.example", Some("*.a.example")),
        ("b.example.", Some("*.example")),
        ("example", None),
        ("aexample", None),
    ] {
        assert_eq!(found(&hosts, Some(host)).as_deref(), expected, "{host}");
    }
    assert_eq!(found(&hosts, None), None);
    hosts.any = Some(hosts.pair(files("default")).unwrap());
    assert_eq!(found(&hosts, None).as_deref(), Some("default"));
    assert_eq!(found(&hosts, Some("example")).as_deref(), Some("default"));
    let before = hosts.pairs.len();
    hosts.add("again.example", files("a.example")).unwrap();
    assert_eq!(hosts.pairs.len(), before, "the same files are read once");
}
