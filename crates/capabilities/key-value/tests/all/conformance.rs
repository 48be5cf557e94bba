//! What every backend does alike.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use reef_capability::Failure;
use reef_key_value::{Change, SetOptions, Told};

use super::{Store, bytes};

/// Everything that a guest can tell. Buckets are named so that a server may have other tests' beside them.
pub(crate) async fn conforms(store: &Store) {
    values(store).await;
    swaps(store).await;
    numbers(store).await;
    pages(store).await;
    batches(store).await;
    odd_names(store).await;
    if_absent(store).await;
    expiry(store).await;
    at_once(store).await;
    watch(store).await;
}

async fn values(store: &Store) {
    assert_eq!(store.get("v", "k").await, Ok(None));
    assert_eq!(store.exists("v", "k").await, Ok(false));
    assert_eq!(store.delete("v", "k").await, Ok(()));
    store.set("v", "k", bytes("one")).await.unwrap();
    assert_eq!(store.get("v", "k").await, Ok(Some(bytes("one"))));
    store.set("v", "k", bytes("two")).await.unwrap();
    assert_eq!(store.get("v", "k").await, Ok(Some(bytes("two"))));
    assert_eq!(store.exists("v", "k").await, Ok(true));
    assert_eq!(store.get("other", "k").await, Ok(None), "buckets have nothing in common");
    let binary = Bytes::from((0..=255).collect::<Vec<u8>>());
    store.set("v", "binary", binary.clone()).await.unwrap();
    assert_eq!(store.get("v", "binary").await, Ok(Some(binary)));
    store.set("v", "empty", Bytes::new()).await.unwrap();
    assert_eq!(
        store.get("v", "empty").await,
        Ok(Some(Bytes::new())),
        "no value and an empty one differ"
    );
    store.delete("v", "k").await.unwrap();
    assert_eq!(store.get("v", "k").await, Ok(None));
}

async fn swaps(store: &Store) {
    assert_eq!(store.entry("s", "k").await, Ok(None));
    assert_eq!(store.swap("s", "k", None, bytes("a")).await, Ok(true));
    assert_eq!(store.swap("s", "k", None, bytes("b")).await, Ok(false), "it is there");
    let first = store.entry("s", "k").await.unwrap().unwrap();
    assert_eq!(first.value, bytes("a"));
    assert_eq!(store.swap("s", "k", Some(&first.version), bytes("b")).await, Ok(true));
    assert_eq!(store.swap("s", "k", Some(&first.version), bytes("c")).await, Ok(false));
    assert_eq!(store.get("s", "k").await, Ok(Some(bytes("b"))));
    let second = store.entry("s", "k").await.unwrap().unwrap();
    store.delete("s", "k").await.unwrap();
    assert_eq!(
        store.swap("s", "k", Some(&second.version), bytes("d")).await,
        Ok(false),
        "it is gone"
    );
    assert_eq!(store.get("s", "k").await, Ok(None));
}

async fn numbers(store: &Store) {
    assert_eq!(store.add("n", "k", 5).await, Ok(5));
    assert_eq!(store.add("n", "k", -7).await, Ok(-2));
    assert_eq!(store.get("n", "k").await, Ok(Some(bytes("-2"))));
    store.set("n", "most", bytes(&i64::MAX.to_string())).await.unwrap();
    let beyond = store.add("n", "most", 1).await;
    assert!(matches!(beyond, Err(Failure::Invalid(_))), "{beyond:?}");
    assert_eq!(store.get("n", "most").await, Ok(Some(bytes(&i64::MAX.to_string()))));
    store.set("n", "text", bytes("many")).await.unwrap();
    assert!(matches!(store.add("n", "text", 1).await, Err(Failure::Invalid(_))));
}

pub(crate) async fn all_keys(store: &Store, bucket: &str, prefix: &str) -> Vec<String> {
    let (mut found, mut from, mut rounds) = (Vec::new(), None, 0);
    loop {
        let page = store.keys(bucket, prefix, from.as_deref(), 10).await.unwrap();
        found.extend(page.keys);
        rounds += 1;
        assert!(rounds < 1000, "it does not end");
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    found.sort();
    found.dedup();
    found
}

async fn pages(store: &Store) {
    assert_eq!(all_keys(store, "p", "").await, Vec::<String>::new());
    let mut expected: Vec<String> = (0..25).map(|n| format!("k{n:02}")).collect();
    // What patterns would mean to some servers.
    expected
        .extend(["k*", "k*x", "k?", "k[1]", "k\\", "k%", "k_", "k%x", "j", "l"].map(str::to_owned));
    for key in &expected {
        store.set("p", key, bytes("x")).await.unwrap();
    }
    store.set("p2", "elsewhere", bytes("x")).await.unwrap();
    expected.sort();
    assert_eq!(all_keys(store, "p", "").await, expected);
    for prefix in ["k", "k1", "k*", "k?", "k[1]", "k[", "k\\", "k%", "k_", "none", "j"] {
        let matching: Vec<_> = expected.iter().filter(|key| key.starts_with(prefix)).collect();
        let found = all_keys(store, "p", prefix).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), matching, "prefix {prefix:?}");
    }
}

async fn if_absent(store: &Store) {
    let options = SetOptions { if_absent: true, ..SetOptions::default() };
    assert_eq!(store.set_with("a", "k", bytes("1"), options).await, Ok(true));
    assert_eq!(store.set_with("a", "k", bytes("2"), options).await, Ok(false));
    assert_eq!(store.get("a", "k").await, Ok(Some(bytes("1"))));
    store.delete("a", "k").await.unwrap();
    assert_eq!(store.set_with("a", "k", bytes("3"), options).await, Ok(true));
    assert_eq!(store.get("a", "k").await, Ok(Some(bytes("3"))));
}

/// What is said to expire does, in whatever way it is looked at.
async fn expiry(store: &Store) {
    let soon = SetOptions { expires: Some(Duration::from_secs(5)), if_absent: false };
    let late = SetOptions { expires: Some(Duration::from_secs(3600)), if_absent: false };
    match store.set_with("e", "soon", bytes("1"), soon).await {
        Ok(true) => {}
        // It says so, and has done nothing.
        Err(Failure::Unsupported(_)) => return assert_eq!(store.get("e", "soon").await, Ok(None)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.get("e", "soon").await, Ok(Some(bytes("1"))));
    store.set_with("e", "count", bytes("5"), soon).await.unwrap();
    assert_eq!(store.add("e", "count", 1).await, Ok(6), "a sum expires with what it was made of");
    store.set_with("e", "late", bytes("1"), late).await.unwrap();
    store.set_with("e", "kept", bytes("1"), soon).await.unwrap();
    store.set("e", "kept", bytes("2")).await.unwrap();
    let both = SetOptions { if_absent: true, ..soon };
    assert_eq!(store.set_with("e", "soon", bytes("2"), both).await, Ok(false));
    assert_eq!(store.set_with("e", "lock", bytes("2"), both).await, Ok(true));
    let gone = async {
        while store.exists("e", "soon").await.unwrap()
            || store.get("e", "count").await.unwrap().is_some()
            || store.entry("e", "lock").await.unwrap().is_some()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), gone).await.unwrap();
    assert_eq!(all_keys(store, "e", "").await, ["kept", "late"]);
    let keys = ["soon", "kept"].map(str::to_owned);
    assert_eq!(store.get_many("e", &keys).await.unwrap(), [None, Some(bytes("2"))]);
    assert_eq!(store.set_with("e", "lock", bytes("3"), both).await, Ok(true), "it is free again");
    assert_eq!(store.swap("e", "soon", None, bytes("3")).await, Ok(true), "it has no value");
    assert_eq!(store.add("e", "count", 1).await, Ok(1), "it begins anew");
}

async fn batches(store: &Store) {
    let entries = vec![("a".to_owned(), bytes("1")), ("b".to_owned(), bytes("2"))];
    store.set_many("m", entries).await.unwrap();
    let keys = ["b", "none", "a"].map(str::to_owned);
    let values = store.get_many("m", &keys).await.unwrap();
    assert_eq!(values, [Some(bytes("2")), None, Some(bytes("1"))]);
    store.delete_many("m", &keys).await.unwrap();
    assert_eq!(store.get_many("m", &keys).await.unwrap(), [None, None, None]);
}

async fn odd_names(store: &Store) {
    let names = [
        " ",
        "a.b",
        "a b",
        "a:b",
        "a/b",
        "*",
        ">",
        "a\nb",
        "ä€𝄞",
        "%2e",
        "..",
        "'; drop table",
        "$x",
        "\u{0}x",
    ];
    for name in names {
        for other in names {
            store.set(name, other, bytes(&format!("{name}|{other}"))).await.unwrap();
        }
    }
    for name in names {
        let keys = all_keys(store, name, "").await;
        let mut all = names.map(str::to_owned);
        all.sort();
        assert_eq!(keys, all, "bucket {name:?}");
        for other in names {
            let value = store.get(name, other).await;
            assert_eq!(value, Ok(Some(bytes(&format!("{name}|{other}")))), "{name:?} {other:?}");
        }
    }
    store.set("", "unnamed bucket", bytes("x")).await.unwrap();
    assert_eq!(all_keys(store, "", "").await, ["unnamed bucket"]);
    let long = "x".repeat(1024);
    store.set("long", &long, bytes("x")).await.unwrap();
    assert_eq!(store.get("long", &long).await, Ok(Some(bytes("x"))));
}

/// Nothing is lost between those who write at once.
async fn at_once(store: &Store) {
    let add = |_| {
        let store = store.clone();
        tokio::spawn(async move { store.add("c", "count", 1).await })
    };
    let added: Vec<_> = (0..50).map(add).collect();
    let mut sums = Vec::new();
    for one in added {
        sums.push(one.await.unwrap().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=50).collect::<Vec<i64>>());

    let swap = |n: i32| {
        let store = store.clone();
        tokio::spawn(async move { store.swap("c", "one", None, bytes(&n.to_string())).await })
    };
    let swapped: Vec<_> = (0..20).map(swap).collect();
    let mut winners = 0;
    for one in swapped {
        winners += u32::from(one.await.unwrap().unwrap());
    }
    assert_eq!(winners, 1);
}

async fn watch(store: &Store) {
    let mut changes = match store.watch("w").await {
        Ok(changes) => changes,
        Err(Failure::Unsupported(_)) => return,
        Err(failure) => panic!("{failure}"),
    };
    let mut next = async || {
        let within = Duration::from_secs(120);
        match tokio::time::timeout(within, changes.next()).await.unwrap().unwrap() {
            Told::Changed(change) => change,
            Told::Missed(missed) => panic!("{missed} missed"),
        }
    };
    store.set("w", "k", bytes("1")).await.unwrap();
    assert_eq!(next().await, Change { key: "k".into(), value: Some(bytes("1")) });
    store.set("elsewhere", "k", bytes("x")).await.unwrap();
    store.set("w2", "k", bytes("x")).await.unwrap();
    assert_eq!(store.add("w", "a.b *", 7).await, Ok(7));
    assert_eq!(next().await, Change { key: "a.b *".into(), value: Some(bytes("7")) });
    store.delete("w", "k").await.unwrap();
    assert_eq!(next().await, Change { key: "k".into(), value: None });
}
