use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A certificate and its key.
fn made() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn a_file_and_its_text_come_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = made();
    std::fs::write(folder.path().join("c.pem"), &cert).unwrap();
    std::fs::write(folder.path().join("k.pem"), &key).unwrap();
    let named = [("tls-roots", "c.pem"), ("tls-cert", "c.pem"), ("tls-key", "k.pem")];
    let said = [("tls-roots", &*cert), ("tls-cert", &*cert), ("tls-key", &*key)];
    let (mut named, said) = (settings(&named), settings(&said));
    let tls = named.tls(folder.path()).unwrap().unwrap();
    assert!(tls.only_roots.is_some() && tls.identity.is_some());
    assert_eq!(Some(&tls), said.tls(Path::new("/nowhere")).unwrap().as_ref());
    assert!(!format!("{tls:?} {said:?}").contains("PRIVATE"));

    // What is kept of a link is what was in its files.
    named.read_files(&[], folder.path()).unwrap();
    assert_ne!(named, said, "a backend that takes no such settings has others of that name");
    named.read_files(&TLS, folder.path()).unwrap();
    assert_eq!(named, said);
    assert_eq!(settings(&[]).tls(folder.path()), Ok(None));
}

#[test]
fn what_cannot_be_used_is_named_and_no_key_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let ((cert, key), (_, other)) = (made(), made());
    std::fs::write(folder.path().join("large.pem"), vec![b'a'; (1 << 20) + 1]).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (entries, expected) in [
        (&[("tls-roots", "nowhere.pem")][..], "nowhere.pem: No such file"),
        (&[("tls-roots", "large.pem")], "larger than 1 MiB"),
        (&[("tls-roots", " ")], "`tls-roots` is empty"),
        (&[("tls-roots", &key)], "`tls-roots` cannot be used: there is no certificate in it"),
        (&[("tls-roots", broken)], "`tls-roots` cannot be used: a root certificate is not valid"),
        (&[("tls-cert", &cert)], "`tls-key` belongs to `tls-cert`"),
        (&[("tls-key", &key)], "`tls-cert` belongs to `tls-key`"),
        (&[("tls-cert", &key), ("tls-key", &key)], "`tls-cert` cannot be used"),
        (&[("tls-cert", &cert), ("tls-key", &cert)], "`tls-key` cannot be used"),
        (&[("tls-cert", &cert), ("tls-key", &other)], "`tls-key` cannot be used"),
        (&[("tls-cert", &cert), ("tls-key", "hunter2")], "cannot be read: …"),
    ] {
        let error = settings(entries).tls(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("BEGIN"), "{error}");
    }
    let said = settings(&[("tls-cert", "c.pem")]).no_tls("write `rediss://`").unwrap_err();
    assert!(said.to_string().contains("`tls-cert` is of no use without TLS: write `rediss://`"));
    settings(&[("url", "redis://h")]).no_tls("").unwrap();
}
