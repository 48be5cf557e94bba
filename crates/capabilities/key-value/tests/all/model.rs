//! Backends beside a map, step by step.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use reef_capability::Settings;

use super::{Store, bytes, open};

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
                let before = model
                    .get(&key)
                    .map_or(0, |value| std::str::from_utf8(value).unwrap().parse::<i64>().unwrap());
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
