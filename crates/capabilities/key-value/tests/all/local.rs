//! The backends that need no server.

use reef_capability::{Failure, Opening, Settings, find};
use reef_key_value::BACKENDS;

use super::{bytes, conformance::conforms, open};

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
