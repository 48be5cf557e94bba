//! What a workload's link allows.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use reef_blob_store::{ContainerInfo, Names, ObjectInfo, Reading, Removed, Upload};

use super::*;

#[tokio::test]
async fn a_container_is_used_through_its_gate() {
    let store = opened("memory", &[("max-object", "1MiB")], None).unwrap();
    let (a, caller) = (linked(store, "a", Policy::default()), caller());
    assert!(!a.exists(&caller).await.unwrap());
    assert!(!a.delete(&caller).await.unwrap());
    a.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    writing.write(pattern(700_000).into()).await.unwrap();
    assert_eq!(writing.written(), 700_000);
    writing.finish().await.unwrap();
    assert!(a.has(&caller, "x").await.unwrap());
    assert!(!a.has(&caller, "y").await.unwrap());

    let mut blob = a.get(&caller, "x", 10..20).await.unwrap();
    assert_eq!((blob.left(), blob.info().size), (10, 700_000));
    assert_eq!(blob.whole().await.unwrap(), pattern(700_000)[10..20]);
    assert_eq!(blob.next().await.unwrap(), None);

    let mut listing = a.list(&caller).await.unwrap();
    assert_eq!(listing.next().await.unwrap(), Some(vec!["x".to_owned()]));
    assert_eq!(listing.next().await.unwrap(), None);
    assert_eq!(listing.next().await.unwrap(), None);
    assert!(a.delete(&caller).await.unwrap());
}

#[tokio::test]
async fn an_object_that_grows_too_large_was_never_there() {
    let store = opened("memory", &[("max-object", "1MiB")], None).unwrap();
    let (a, caller) = (linked(store, "a", Policy::default()), caller());
    a.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    writing.write(pattern(1 << 20).into()).await.unwrap();
    let grown = writing.write(Bytes::from_static(b"1")).await;
    assert!(matches!(grown, Err(Failure::TooLarge { most: 0x10_0000, .. })), "{grown:?}");
    assert!(writing.finish().await.is_err());
    assert!(!a.has(&caller, "x").await.unwrap());
}

#[tokio::test]
async fn one_value_is_no_larger_than_the_link_allows() {
    let store = opened("memory", &[], None).unwrap();
    let policy = Policy { size: 1000, ..Policy::default() };
    let (a, caller) = (linked(store, "a", policy), caller());
    a.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    writing.write(pattern(1001).into()).await.unwrap();
    writing.finish().await.unwrap();
    let mut blob = a.get(&caller, "x", 0..u64::MAX).await.unwrap();
    assert!(matches!(blob.whole().await, Err(Failure::TooLarge { is: 1001, most: 1000, .. })));
    assert_eq!(a.get(&caller, "x", 1..u64::MAX).await.unwrap().whole().await.unwrap().len(), 1000);
}

#[tokio::test]
async fn names_have_their_bounds() {
    let store = opened("memory", &[], None).unwrap();
    let gate =
        Gate::new("w".into(), "l".into(), ("blob-store", "t"), Policy::default(), OPERATIONS);
    let link = Arc::new(Link { place: None, gate, backend: store.clone() });
    assert!(matches!(Container::new(link.clone(), "".into()), Err(Failure::Invalid(_))));
    let long = Container::new(link, "x".repeat(256).into());
    assert!(matches!(long, Err(Failure::TooLarge { is: 256, .. })));
    let (a, caller) = (linked(store, "a", Policy::default()), caller());
    a.create(&caller).await.unwrap();
    assert!(matches!(a.put(&caller, "").await, Err(Failure::Invalid(_))));
    assert!(matches!(a.has(&caller, &"x".repeat(1025)).await, Err(Failure::TooLarge { .. })));
    a.put(&caller, &"x".repeat(1024)).await.unwrap().finish().await.unwrap();
}

#[tokio::test]
async fn between_two_backends_an_object_is_carried() {
    let (one, two) = (opened("memory", &[], None).unwrap(), opened("memory", &[], None).unwrap());
    let (a, b) = (linked(one, "a", Policy::default()), linked(two, "b", Policy::default()));
    let caller = caller();
    a.create(&caller).await.unwrap();
    b.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    writing.write(pattern(900_000).into()).await.unwrap();
    writing.finish().await.unwrap();
    a.copy(&caller, "x", (&b, "y")).await.unwrap();
    a.rename(&caller, "x", (&b, "z")).await.unwrap();
    for name in ["y", "z"] {
        let mut blob = b.get(&caller, name, 0..u64::MAX).await.unwrap();
        assert_eq!(blob.whole().await.unwrap(), pattern(900_000));
    }
    assert!(!a.has(&caller, "x").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_place_until_it_is_dropped() {
    let store = opened("memory", &[], None).unwrap();
    let policy = Policy { at_once: 1, timeout: Duration::from_millis(500), ..Policy::default() };
    let (a, caller) = (linked(store, "a", policy), caller());
    a.create(&caller).await.unwrap();
    let writing = a.put(&caller, "x").await.unwrap();
    assert!(matches!(a.has(&caller, "x").await, Err(Failure::Timeout(_))));
    drop(writing);
    assert!(!a.has(&caller, "x").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_stands_still_costs_each_stream_its_deadline_and_no_more() {
    let policy = Policy { timeout: Duration::from_millis(500), ..Policy::default() };
    let (a, caller) = (linked(Arc::new(Standing), "a", policy), caller());
    let begun = tokio::time::Instant::now();
    let mut blob = a.get(&caller, "x", 0..u64::MAX).await.unwrap();
    assert_eq!(blob.next().await.unwrap().unwrap(), "12345");
    assert!(matches!(blob.next().await, Err(Failure::Timeout(_))));
    let mut writing = a.put(&caller, "x").await.unwrap();
    assert!(matches!(writing.write("1".into()).await, Err(Failure::Timeout(_))));
    assert!(writing.write("1".into()).await.is_err(), "it has ended");
    let mut listing = a.list(&caller).await.unwrap();
    assert!(matches!(listing.next().await, Err(Failure::Timeout(_))));
    let copied = a.copy(&caller, "x", (&a, "y")).await;
    assert!(matches!(copied, Err(Failure::Timeout(_))), "{copied:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// Opens everything, and then does nothing more.
struct Standing;

struct Stuck;

#[async_trait]
impl BlobStore for Standing {
    async fn create_container(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }
    async fn delete_container(&self, _: &str) -> Result<Removed, Failure> {
        Ok(Removed::All)
    }
    async fn container_info(&self, _: &str) -> Result<ContainerInfo, Failure> {
        Ok(ContainerInfo { created: None })
    }
    async fn clear(&self, _: &str) -> Result<Removed, Failure> {
        Ok(Removed::All)
    }
    async fn read(&self, _: At<'_>, _: std::ops::Range<u64>) -> Result<Reading, Failure> {
        let info = ObjectInfo { created: None, size: 10 };
        let first = futures::stream::iter([Ok(Bytes::from_static(b"12345"))]);
        Ok(Reading { info, range: 0..10, chunks: first.chain(futures::stream::pending()).boxed() })
    }
    async fn write(&self, _: At<'_>) -> Result<Box<dyn Upload>, Failure> {
        Ok(Box::new(Stuck))
    }
    async fn delete(&self, _: &str, _: &[String]) -> Result<(), Failure> {
        Ok(())
    }
    async fn info(&self, _: At<'_>) -> Result<ObjectInfo, Failure> {
        Ok(ObjectInfo { created: None, size: 10 })
    }
    async fn copy(&self, _: At<'_>, _: At<'_>) -> Result<(), Failure> {
        std::future::pending().await
    }
    async fn rename(&self, _: At<'_>, _: At<'_>) -> Result<(), Failure> {
        std::future::pending().await
    }
    async fn list(&self, _: &str) -> Result<Names, Failure> {
        Ok(futures::stream::pending().boxed())
    }
    fn max_object(&self) -> Option<u64> {
        None
    }
}

#[async_trait]
impl Upload for Stuck {
    async fn write(&mut self, _: Bytes) -> Result<(), Failure> {
        std::future::pending().await
    }
    async fn finish(self: Box<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}
