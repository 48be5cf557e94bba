use reef_capability::{Gate, Opening, Policy, Settings, find};

use super::*;
use crate::{BACKENDS, CAPABILITY};

fn bucket(name: &str, policy: Policy) -> Bucket {
    let backend = find(BACKENDS, "memory").unwrap();
    let runtime = tokio::runtime::Handle::current();
    let opening = Opening {
        application: "app",
        settings: &Settings::default(),
        folder: "/".as_ref(),
        data: None,
        runtime: &runtime,
    };
    let gate = Gate::new(
        "app/w".into(),
        "default".into(),
        (CAPABILITY, backend.system),
        policy,
        OPERATIONS,
    );
    let link = Link { place: None, gate, backend: (backend.open)(opening).unwrap() };
    Bucket::new(Arc::new(link), name.into()).unwrap()
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused_before_the_backend_sees_it() {
    let bucket = bucket("b", Policy { size: 10, ..Policy::default() });
    let caller = Caller::default();
    let said = |failure: Failure| failure.to_string();
    let large = bucket.set(&caller, "k", vec![0; 11].into()).await.map_err(said);
    assert_eq!(large, Err("the value is 11B and may be 10B".to_owned()));
    let long = "k".repeat(LONGEST_KEY + 1);
    let long = bucket.get(&caller, &long).await.map_err(said);
    assert_eq!(long, Err("the key is 1025B and may be 1KiB".to_owned()));
    let empty = bucket.get(&caller, "").await.map_err(said);
    assert_eq!(empty, Err("a key has at least one character".to_owned()));
    let many = vec!["k".to_owned(); BATCH + 1];
    let many = bucket.get_many(&caller, &many).await.map_err(said);
    assert_eq!(many, Err("1001 keys are more than the 1000 of a batch".to_owned()));
}

#[tokio::test]
async fn cursors_of_another_bucket_are_refused() {
    let policy = Policy { size: 1 << 20, ..Policy::default() };
    let (one, other) = (bucket("one", policy.clone()), bucket("other", policy));
    let caller = Caller::default();
    for n in 0..PAGE + 5 {
        for bucket in [&one, &other] {
            bucket.set(&caller, &format!("{n:05}"), Bytes::from_static(b"x")).await.unwrap();
        }
    }
    let page = one.keys(&caller, "", None).await.unwrap();
    assert_eq!(page.keys.len(), PAGE);
    let rest = one.keys(&caller, "", page.next.as_deref()).await.unwrap();
    assert_eq!((rest.keys.len(), rest.next), (5, None));
    assert!(matches!(
        other.keys(&caller, "", page.next.as_deref()).await,
        Err(Failure::Invalid(_))
    ));
    let (keys, number) = one.keys_by_number(&caller, None).await.unwrap();
    assert_eq!(keys, page.keys);
    let (rest, end) = one.keys_by_number(&caller, number).await.unwrap();
    assert_eq!((rest.len(), end), (5, None));
    assert!(matches!(other.keys_by_number(&caller, number).await, Err(Failure::Invalid(_))));
    assert!(matches!(one.keys_by_number(&caller, Some(7)).await, Err(Failure::Invalid(_))));
    assert_eq!(one.all_keys(&caller).await.unwrap().len(), PAGE + 5);
}
