use super::*;

const ROOT: &str = "-----BEGIN CERTIFICATE-----";

fn made(entries: &[(&str, &str)]) -> Result<Connection, SettingError> {
    let settings: Settings =
        entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Connection::new(&settings, Path::new("/"), "test", runtime.handle().clone())
}

#[test]
fn what_is_wrong_is_told_before_anything_is_connected_to_and_without_its_value() {
    let url = ("url", "nats://127.0.0.1:1");
    for (entries, expected) in [
        (&[][..], "the setting `url` is missing"),
        (&[("url", " , ")], "names no server"),
        (&[("url", "nats://u:hunter2@:x")], "has an address that is none"),
        (&[url, ("user", "hunter2")], "`password` belongs to `user`"),
        (&[url, ("password", "hunter2")], "`user` belongs to `password`"),
        (&[url, ("nkey", "hunter2")], "is no seed of a user"),
        (&[url, ("credentials", "hunter2")], "is not what a `.creds` file holds"),
        (&[url, ("token", "hunter2"), ("user", "u"), ("password", "p")], "one of several ways"),
        (&[("url", "nats://u:hunter2@h"), ("token", "hunter2")], "one of several ways"),
        (&[url, ("tls-key", "hunter2")], "cannot be read: …"),
        (&[url, ("tls", "false"), ("tls-roots", ROOT)], "is of no use without TLS"),
        (&[url, ("tls", "hunter2")], "neither `true` nor `false`"),
    ] {
        let error = made(entries).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let connection = made(&[("url", "nats://u:hunter2@localhost:4222, nats://other")]).unwrap();
    assert!(!format!("{connection:?}").contains("hunter2"));
}

#[test]
fn pauses_grow_up_to_the_longest() {
    let (first, longest) = PAUSE;
    assert!(pause(1) <= first && pause(1) >= first / 2);
    for tries in [20, 1000, usize::MAX] {
        assert!(pause(tries) <= longest && pause(tries) >= longest / 2);
    }
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(version("2.10.26"), Some((2, 10)));
    assert_eq!(version("2.12.0-preview.1"), Some((2, 12)));
    assert!(version("2.9.10").unwrap() < OLDEST);
    assert!(version("3.0.0").unwrap() > OLDEST);
    assert_eq!(version("unknown"), None);
}
