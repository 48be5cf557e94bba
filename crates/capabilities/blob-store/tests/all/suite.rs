//! What every backend does.

use reef_blob_store::{BlobStore, CHUNK, CONTAINER, OBJECT, Removed};

use super::*;

/// More objects than any backend's pages, and its removals, have.
pub(crate) const MANY: usize = 1100;

/// All of it, in containers whose names begin so.
pub(crate) async fn all(store: &dyn BlobStore, prefix: &str) {
    all_but_nested(store, prefix, MANY).await;
    nested(store, &format!("{prefix}-nested")).await;
}

/// All but that a name may begin with another one and `/`.
pub(crate) async fn all_but_nested(store: &dyn BlobStore, prefix: &str, number: usize) {
    containers(store, &format!("{prefix}-containers")).await;
    objects(store, &format!("{prefix}-objects")).await;
    ranges(store, &format!("{prefix}-ranges")).await;
    uploads(store, &format!("{prefix}-uploads")).await;
    between(store, &format!("{prefix}-between")).await;
    many(store, &format!("{prefix}-many"), number).await;
    odd_names(store, &format!("{prefix}-odd")).await;
    what_is_read_stays(store, &format!("{prefix}-stays")).await;
}

async fn remove(store: &dyn BlobStore, name: &str) {
    while store.delete_container(name).await.unwrap() == Removed::Some {}
}

async fn containers(store: &dyn BlobStore, name: &str) {
    assert!(is_missing(CONTAINER, &store.container_info(name).await));
    assert!(is_missing(CONTAINER, &store.delete_container(name).await));
    assert!(is_missing(CONTAINER, &store.clear(name).await));
    assert!(is_missing(CONTAINER, &names(store, name).await));
    assert!(is_missing(CONTAINER, &put(store, at(name, "x"), &[b"1"]).await));
    assert!(is_missing(CONTAINER, &get(store, at(name, "x")).await));
    assert!(is_missing(CONTAINER, &store.info(at(name, "x")).await));
    assert!(is_missing(CONTAINER, &store.delete(name, &["x".to_owned()]).await));

    store.create_container(name).await.unwrap();
    let again = store.create_container(name).await;
    assert!(matches!(again, Err(Failure::Conflict(_))), "{again:?}");
    let created = store.container_info(name).await.unwrap().created;
    let ago = created.and_then(|time| time.elapsed().ok());
    assert!(ago.is_none_or(|ago| ago.as_secs() < 60), "{created:?}");
    assert!(names(store, name).await.unwrap().is_empty());

    put(store, at(name, "x"), &[b"1"]).await.unwrap();
    remove(store, name).await;
    assert!(is_missing(CONTAINER, &store.container_info(name).await));
    store.create_container(name).await.unwrap();
    assert!(names(store, name).await.unwrap().is_empty(), "nothing of the one before");
    remove(store, name).await;
}

async fn objects(store: &dyn BlobStore, name: &str) {
    store.create_container(name).await.unwrap();
    let x = at(name, "x");
    assert!(is_missing(OBJECT, &get(store, x).await));
    assert!(is_missing(OBJECT, &store.info(x).await));

    for content in [&b""[..], b"one", &pattern(3 * CHUNK + 17)] {
        put(store, x, &[content]).await.unwrap();
        assert_eq!(get(store, x).await.unwrap(), content);
        let info = store.info(x).await.unwrap();
        assert_eq!(info.size, content.len() as u64);
        let ago = info.created.unwrap().elapsed().unwrap_or_default();
        assert!(ago.as_secs() < 60, "{info:?}");
        assert_eq!(names(store, name).await.unwrap(), ["x"]);
    }

    put(store, at(name, "y"), &[b"why"]).await.unwrap();
    let gone = ["x".to_owned(), "never".to_owned()];
    store.delete(name, &gone).await.unwrap();
    store.delete(name, &gone).await.unwrap();
    assert!(is_missing(OBJECT, &get(store, x).await));
    assert_eq!(get(store, at(name, "y")).await.unwrap(), b"why");
    while store.clear(name).await.unwrap() == Removed::Some {}
    assert!(names(store, name).await.unwrap().is_empty());
    assert!(is_missing(OBJECT, &store.info(at(name, "y")).await));
    put(store, at(name, "y"), &[b"again"]).await.unwrap();
    assert_eq!(get(store, at(name, "y")).await.unwrap(), b"again");
    remove(store, name).await;
}

async fn ranges(store: &dyn BlobStore, name: &str) {
    store.create_container(name).await.unwrap();
    let all = pattern(2 * CHUNK + 1000);
    let x = at(name, "x");
    let (first, then) = all.split_at(CHUNK + 7);
    put(store, x, &[first, then]).await.unwrap();
    let size = all.len() as u64;
    let chunk = CHUNK as u64;
    let ends = [0, 1, 999, chunk - 1, chunk, chunk + 1, 2 * chunk, size - 1, size];
    for start in ends {
        for end in ends.into_iter().filter(|end| *end >= start) {
            let (from, to) = (start as usize, end as usize);
            assert_eq!(part(store, x, start..end).await.unwrap(), all[from..to], "{start}..{end}");
        }
    }
    assert_eq!(part(store, x, 10..u64::MAX).await.unwrap(), all[10..], "to the end");
    assert!(part(store, x, size..u64::MAX).await.unwrap().is_empty());
    assert!(part(store, x, size + 5..size + 9).await.unwrap().is_empty(), "beyond the end");
    put(store, at(name, "empty"), &[]).await.unwrap();
    assert!(part(store, at(name, "empty"), 0..10).await.unwrap().is_empty());
    remove(store, name).await;
}

async fn uploads(store: &dyn BlobStore, name: &str) {
    store.create_container(name).await.unwrap();
    let x = at(name, "x");
    let mut upload = store.write(x).await.unwrap();
    upload.write(Bytes::from_static(b"new")).await.unwrap();
    assert!(is_missing(OBJECT, &store.info(x).await), "not before it is finished");
    assert!(names(store, name).await.unwrap().is_empty());
    upload.finish().await.unwrap();
    assert_eq!(get(store, x).await.unwrap(), b"new");

    let mut upload = store.write(x).await.unwrap();
    upload.write(pattern(CHUNK).into()).await.unwrap();
    assert_eq!(get(store, x).await.unwrap(), b"new");
    drop(upload);
    assert_eq!(get(store, x).await.unwrap(), b"new", "as it was before what was dropped");
    assert_eq!(names(store, name).await.unwrap(), ["x"]);

    // Two at once: the last to finish is it, and whole.
    let (mut a, mut b) = (store.write(x).await.unwrap(), store.write(x).await.unwrap());
    for _ in 0..3 {
        a.write(vec![b'a'; CHUNK].into()).await.unwrap();
        b.write(vec![b'b'; CHUNK].into()).await.unwrap();
    }
    b.finish().await.unwrap();
    a.finish().await.unwrap();
    assert_eq!(get(store, x).await.unwrap(), vec![b'a'; 3 * CHUNK]);

    // Many small pieces.
    let content = pattern(20_000);
    let pieces: Vec<_> = content.chunks(100).collect();
    put(store, x, &pieces).await.unwrap();
    assert_eq!(get(store, x).await.unwrap(), content);

    // Into a container that is gone by then.
    let mut upload = store.write(x).await.unwrap();
    upload.write(Bytes::from_static(b"late")).await.unwrap();
    remove(store, name).await;
    let late = upload.finish().await;
    let there = store.container_info(name).await.is_ok();
    assert!(late.is_err() || there, "acknowledged, and nowhere");
    if there {
        remove(store, name).await;
    }
}

async fn between(store: &dyn BlobStore, name: &str) {
    let other = format!("{name}-2");
    store.create_container(name).await.unwrap();
    store.create_container(&other).await.unwrap();
    let content = pattern(CHUNK + 3);
    let (x, y, z) = (at(name, "x"), at(name, "y"), at(&other, "z"));
    put(store, x, &[&content]).await.unwrap();
    put(store, z, &[b"before"]).await.unwrap();

    store.copy(x, y).await.unwrap();
    store.copy(x, z).await.unwrap();
    for one in [x, y, z] {
        assert_eq!(get(store, one).await.unwrap(), content);
    }
    store.copy(x, x).await.unwrap();
    assert_eq!(get(store, x).await.unwrap(), content, "onto itself");
    store.delete(name, &["x".to_owned()]).await.unwrap();
    assert_eq!(get(store, y).await.unwrap(), content, "a copy is its own");

    let w = at(&other, "w");
    store.rename(y, w).await.unwrap();
    assert!(is_missing(OBJECT, &store.info(y).await));
    assert_eq!(get(store, w).await.unwrap(), content);
    store.rename(w, z).await.unwrap();
    assert_eq!(names(store, &other).await.unwrap(), ["z"]);
    store.rename(z, z).await.unwrap();
    assert_eq!(get(store, z).await.unwrap(), content, "onto itself");

    assert!(is_missing(OBJECT, &store.copy(x, z).await));
    assert!(is_missing(OBJECT, &store.rename(x, z).await));
    let nowhere = at("reef-test-nowhere", "x");
    assert!(is_missing(CONTAINER, &store.copy(z, nowhere).await));
    assert!(is_missing(CONTAINER, &store.rename(z, nowhere).await));
    assert_eq!(get(store, z).await.unwrap(), content, "where it was");
    remove(store, name).await;
    remove(store, &other).await;
}

async fn many(store: &dyn BlobStore, name: &str, number: usize) {
    store.create_container(name).await.unwrap();
    let expected: Vec<_> = (0..number).map(|nth| format!("n/{nth:05}")).collect();
    for some in expected.chunks(50) {
        let all = some.iter().map(|object| put(store, at(name, object), &[b"1"]));
        for done in futures::future::join_all(all).await {
            done.unwrap();
        }
    }
    assert_eq!(names(store, name).await.unwrap(), expected);
    store.delete(name, &expected[..100]).await.unwrap();
    assert_eq!(names(store, name).await.unwrap(), expected[100..]);
    while store.clear(name).await.unwrap() == Removed::Some {}
    assert!(names(store, name).await.unwrap().is_empty());
    remove(store, name).await;
}

/// A name is kept as it is, or refused: it is never another one's, and leads nowhere else.
async fn odd_names(store: &dyn BlobStore, name: &str) {
    store.create_container(name).await.unwrap();
    let odd = [
        "a",
        "b/c",
        "d/e/f",
        "a%2Fb",
        "A",
        ".",
        "..",
        "../x",
        "../../etc/passwd",
        "/a",
        "a/",
        "g//b",
        ".hidden",
        "a b",
        " ",
        "ä/ö",
        "日本",
        "%",
        "%2F",
        "\\",
        "a\\b",
        "\n",
        "a\0b",
        "*",
        ">",
        "a.b",
        ".partial-1",
        "a?b=c&d",
        "#x",
        "+",
        "~",
        "\u{202e}x",
        "x;y",
        "'\"<>",
    ];
    let mut kept = Vec::new();
    for object in odd {
        match put(store, at(name, object), &[object.as_bytes()]).await {
            Ok(()) => kept.push(object),
            Err(Failure::Invalid(_)) => {
                let asked = store.info(at(name, object)).await;
                assert!(asked.is_err(), "{object:?}");
            }
            Err(other) => panic!("{object:?}: {other:?}"),
        }
    }
    assert!(kept.len() > odd.len() / 2, "{kept:?}");
    for object in &kept {
        assert_eq!(get(store, at(name, object)).await.unwrap(), object.as_bytes(), "{object:?}");
    }
    kept.sort_unstable();
    assert_eq!(names(store, name).await.unwrap(), kept);
    remove(store, name).await;

    for container in ["..", "../x", "/", "a/b", ".", "\0"] {
        if store.create_container(container).await.is_ok() {
            put(store, at(container, "x"), &[b"1"]).await.unwrap();
            assert_eq!(names(store, container).await.unwrap(), ["x"]);
            remove(store, container).await;
        }
    }
}

/// Names are no paths: one may begin with another.
pub(crate) async fn nested(store: &dyn BlobStore, name: &str) {
    store.create_container(name).await.unwrap();
    let all = ["a", "a/b", "a/b/c"];
    for object in all {
        put(store, at(name, object), &[object.as_bytes()]).await.unwrap();
    }
    assert_eq!(names(store, name).await.unwrap(), all);
    store.delete(name, &["a".to_owned()]).await.unwrap();
    assert_eq!(get(store, at(name, "a/b")).await.unwrap(), b"a/b");
    assert_eq!(names(store, name).await.unwrap(), all[1..]);
    remove(store, name).await;
}

/// A reader has one version, or a failure.
async fn what_is_read_stays(store: &dyn BlobStore, name: &str) {
    use futures::TryStreamExt as _;
    store.create_container(name).await.unwrap();
    let x = at(name, "x");
    let old = vec![b'o'; 40 * CHUNK];
    put(store, x, &[&old]).await.unwrap();
    let mut reading = store.read(x, 0..u64::MAX).await.unwrap();
    let mut all = reading.chunks.try_next().await.unwrap().unwrap().to_vec();
    put(store, x, &[&vec![b'n'; 40 * CHUNK]]).await.unwrap();
    let whole = loop {
        match reading.chunks.try_next().await {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!whole || all == old, "a mixture");
    assert!(all.iter().all(|byte| *byte == b'o'));
    drop(reading);
    remove(store, name).await;
}
