#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn kept(folder: &Path) -> Arc<Kept> {
    Arc::new(Kept::new(folder.to_owned()))
}

#[tokio::test]
async fn what_is_kept_is_known_at_once_and_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = kept(folder.path());
    first.keep(&key("app.default.shop"), &Bytes::from_static(b"1"));
    first.keep(&key("app.default.shop"), &Bytes::from_static(b"2"));
    first.keep(&key("rev.default.shop.1"), &Bytes::from_static(b"one"));
    first.keep(&key("rev.default.shop.2"), &Bytes::from_static(b"two"));
    first.retain(|key| key.as_str() != "rev.default.shop.1");
    assert_eq!(first.read(&key("app.default.shop")).unwrap(), "2");
    assert_eq!(kept(folder.path()).all(), BTreeMap::new());
    first.finish().await;
    let next = kept(folder.path());
    let all: Vec<_> = next.all().into_iter().map(|(key, value)| (key.to_string(), value)).collect();
    let expected = [("app.default.shop", "2"), ("rev.default.shop.2", "two")];
    assert_eq!(all, expected.map(|(key, value)| (key.to_owned(), Bytes::from(value))));
}

#[tokio::test]
async fn what_could_not_be_written_is_written_once_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let (below, one) = (folder.path().join("kept"), key("want.0123"));
    let all = kept(&below);
    std::fs::remove_dir(&below).unwrap();
    all.keep(&one, &Bytes::from_static(b"1"));
    all.finish().await;
    assert_eq!(all.read(&one).unwrap(), "1");
    std::fs::create_dir(&below).unwrap();
    all.finish().await;
    assert_eq!(kept(&below).read(&one).unwrap(), "1");
}

#[tokio::test]
async fn who_waits_for_it_finds_it_written() {
    let folder = tempfile::tempdir().unwrap();
    let all = kept(folder.path());
    let writer = tokio::spawn({
        let all = all.clone();
        async move { all.write().await }
    });
    for number in 0..20_u32 {
        let value = Bytes::from(number.to_string());
        all.keep(&key("want.0123"), &value);
        all.written().await;
        assert_eq!(kept(folder.path()).read(&key("want.0123")), Some(value));
    }
    writer.abort();
}
