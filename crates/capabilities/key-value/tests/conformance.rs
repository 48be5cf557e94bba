//! What every backend does alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use reef_capability::{Failure, Opening, Settings, find};
use reef_key_value::{BACKENDS, Change, KeyValue, SetOptions};

type Store = Arc<dyn KeyValue>;

fn open(backend: &str, settings: &Settings, folder: &Path) -> Store {
    let runtime = tokio::runtime::Handle::current();
    let opening =
        Opening { application: "app", settings, folder, data: Some(folder), runtime: &runtime };
    (find(BACKENDS, backend).unwrap().open)(opening).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Everything that a guest can tell. Buckets are named so that a server may have other tests' beside them.
async fn conforms(store: &Store) {
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
    assert!(matches!(store.add("n", "most", 1).await, Err(Failure::Invalid(_))));
    assert_eq!(store.get("n", "most").await, Ok(Some(bytes(&i64::MAX.to_string()))));
    store.set("n", "text", bytes("many")).await.unwrap();
    assert!(matches!(store.add("n", "text", 1).await, Err(Failure::Invalid(_))));
}

async fn all_keys(store: &Store, bucket: &str, prefix: &str) -> Vec<String> {
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
    expected.extend(["k*", "k*x", "k?", "k[1]", "k\\", "k%", "k_", "k%x", "j", "l"].map(str::to_owned));
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
    let soon = SetOptions { expires: Some(Duration::from_millis(1200)), if_absent: false };
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
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
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
        let mut keys = store.keys(name, "", None, 1000).await.unwrap().keys;
        let mut all = names.map(str::to_owned);
        keys.sort();
        all.sort();
        assert_eq!(keys, all, "bucket {name:?}");
        for other in names {
            let value = store.get(name, other).await;
            assert_eq!(value, Ok(Some(bytes(&format!("{name}|{other}")))), "{name:?} {other:?}");
        }
    }
    store.set("", "unnamed bucket", bytes("x")).await.unwrap();
    assert_eq!(store.keys("", "", None, 10).await.unwrap().keys, ["unnamed bucket"]);
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
    store.set("w", "k", bytes("1")).await.unwrap();
    store.set("elsewhere", "k", bytes("x")).await.unwrap();
    store.delete("w", "k").await.unwrap();
    let next = async || {
        let within = std::time::Duration::from_secs(10);
        tokio::time::timeout(within, changes.next()).await.unwrap().unwrap()
    };
    let mut next = next;
    assert_eq!(next().await, Change { key: "k".into(), value: Some(bytes("1")) });
    assert_eq!(next().await, Change { key: "k".into(), value: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&open("memory", &Settings::default(), folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_holds_no_more_than_its_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("capacity", "4KiB")].into_iter().collect();
    let store = open("memory", &settings, folder.path());
    let mut held = 0;
    let full = loop {
        match store.set("b", &held.to_string(), vec![0; 100].into()).await {
            Ok(()) => held += 1,
            Err(failure) => break failure,
        }
    };
    assert!(matches!(full, Failure::Full(_)), "{full}");
    assert!((10..40).contains(&held), "{held}");
    store.delete("b", "0").await.unwrap();
    store.set("b", "again", vec![0; 100].into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&open("embedded", &Settings::default(), folder.path())).await;
    // With nearly no memory, everything comes from the file.
    let settings = [("cache", "1B"), ("file", "small.redb")].into_iter().collect();
    conforms(&open("embedded", &settings, folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_is_there_after_it_was_closed_and_used_by_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open("embedded", &Settings::default(), folder.path());
    store.set("b", "k", bytes("v")).await.unwrap();
    let before = store.entry("b", "k").await.unwrap().unwrap();
    let runtime = tokio::runtime::Handle::current();
    let settings = Settings::default();
    let again = Opening {
        application: "app",
        settings: &settings,
        folder: folder.path(),
        data: Some(folder.path()),
        runtime: &runtime,
    };
    let backend = find(BACKENDS, "embedded").unwrap();
    let refused = (backend.open)(again).map(drop).unwrap_err().to_string();
    assert!(refused.contains("another process uses it"), "{refused}");
    drop(store);
    let store = (backend.open)(again).unwrap();
    assert_eq!(store.entry("b", "k").await, Ok(Some(before.clone())));
    store.set("b", "k", bytes("v")).await.unwrap();
    assert_ne!(store.entry("b", "k").await.unwrap().unwrap().version, before.version);
}

mod model {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u8),
        Delete(u8),
        Add(u8, i8),
        Get(u8),
        Swap(u8, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0..6u8;
        prop_oneof![
            (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Set(k, v)),
            key.clone().prop_map(Step::Delete),
            (key.clone(), any::<i8>()).prop_map(|(k, d)| Step::Add(k, d)),
            key.clone().prop_map(Step::Get),
            (key, any::<u8>()).prop_map(|(k, v)| Step::Swap(k, v)),
        ]
    }

    async fn follows(store: &Store, steps: &[Step]) {
        let mut model = BTreeMap::<String, Bytes>::new();
        for step in steps {
            match step {
                Step::Set(key, value) => {
                    let (key, value) = (key.to_string(), bytes(&value.to_string()));
                    store.set("b", &key, value.clone()).await.unwrap();
                    model.insert(key, value);
                }
                Step::Delete(key) => {
                    let key = key.to_string();
                    store.delete("b", &key).await.unwrap();
                    model.remove(&key);
                }
                Step::Add(key, delta) => {
                    let key = key.to_string();
                    let sum = store.add("b", &key, i64::from(*delta)).await.unwrap();
                    let before = model.get(&key).map_or(0, |value| {
                        std::str::from_utf8(value).unwrap().parse::<i64>().unwrap()
                    });
                    assert_eq!(sum, before + i64::from(*delta));
                    model.insert(key, bytes(&sum.to_string()));
                }
                Step::Get(key) => {
                    let key = key.to_string();
                    assert_eq!(store.get("b", &key).await.unwrap(), model.get(&key).cloned());
                }
                Step::Swap(key, value) => {
                    let (key, value) = (key.to_string(), bytes(&value.to_string()));
                    let now = store.entry("b", &key).await.unwrap();
                    assert_eq!(now.as_ref().map(|entry| &entry.value), model.get(&key));
                    let version = now.map(|entry| entry.version);
                    assert!(store.swap("b", &key, version.as_ref(), value.clone()).await.unwrap());
                    model.insert(key, value);
                }
            }
        }
        let keys = store.keys("b", "", None, 100).await.unwrap().keys;
        assert_eq!(keys, model.keys().cloned().collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn stores_do_as_a_map_does(steps in prop::collection::vec(step(), 1..60)) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let folder = tempfile::tempdir().unwrap();
            runtime.block_on(async {
                for backend in ["memory", "embedded"] {
                    follows(&open(backend, &Settings::default(), folder.path()), &steps).await;
                }
            });
        }
    }
}
