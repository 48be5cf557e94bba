use super::*;

fn parsed(text: &str) -> Address {
    text.parse().unwrap()
}

#[test]
fn servers_and_a_name() {
    for (text, shown) in [
        ("nats://one", "nats://one:4222/default"),
        ("nats://one:4333/", "nats://one:4333/default"),
        ("nats://one:4333/team-a_1", "nats://one:4333/team-a_1"),
        ("tls://one,two:1/x", "tls://one:4222,two:1/x"),
        ("nats://one,nats://two/x", "nats://one:4222,two:4222/x"),
        ("nats://10.0.0.1:1,[::1]:2/x", "nats://10.0.0.1:1,[::1]:2/x"),
        ("nats://reef:hunter2@one,tok@two/x", "nats://one:4222,two:4222/x"),
        ("nats://one/x?user=reef&password=hunter2", "nats://one:4222/x"),
    ] {
        let address = parsed(text);
        assert_eq!(address.to_string(), shown, "{text}");
        assert!(!format!("{address:?}").contains("hunter2"));
        assert_eq!(parsed(shown).to_string(), shown);
    }
}

#[test]
fn what_is_none_is_refused_without_repeating_it() {
    for (text, why) in [
        ("one:4222/hunter2", AddressError::Scheme),
        ("http://one/hunter2", AddressError::Scheme),
        ("nats://one,tls://two", AddressError::Scheme),
        ("nats:///hunter2", AddressError::Server),
        ("nats://one,,two", AddressError::Server),
        ("nats://hunter2@", AddressError::Server),
        ("nats://one/hunter2/b", AddressError::Name),
        ("nats://one/hunter2.b", AddressError::Name),
        ("nats://one/x?hunter2", AddressError::Pair),
        ("nats://one/x?token=", AddressError::Pair),
        ("nats://one/x?token=hunter2&token=b", AddressError::Pair),
    ] {
        let error = text.parse::<Address>().unwrap_err();
        assert_eq!(error, why, "{text}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = "nats://one/x?credentials=a".parse::<Address>().unwrap_err().to_string();
    assert!(error.contains("`credentials-file`"), "{error}");
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2\n").unwrap();
    let address = parsed(&format!("nats://one/x?token-file={}&domain=hub", file.display()));
    let settings = address.settings().unwrap();
    assert_eq!(settings.get("token"), Some("hunter2"));
    assert_eq!(settings.get("domain"), Some("hub"));
    assert_eq!(settings.get("url"), Some("nats://one"));
    assert_eq!(settings.get("token-file"), None);
    let both = parsed(&format!("nats://one/x?token=a&token-file={}", file.display()));
    assert!(both.settings().is_err());
    std::fs::remove_file(&file).unwrap();
    assert!(address.settings().unwrap_err().to_string().contains("token-file"));
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(text in "(nats|tls)://[-a-z0-9:@,/?&=%.\\[\\] ]{0,60}") {
        if let Ok(address) = text.parse::<Address>() {
            let shown = address.to_string();
            proptest::prop_assert_eq!(parsed(&shown).to_string(), shown);
        }
    }
}
