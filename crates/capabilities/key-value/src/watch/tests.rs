use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use reef_capability::{Gate, Link, Opening, Policy, Settings, find};
use tokio::time::timeout;

use super::*;
use crate::{BACKENDS, CAPABILITY, Entry, KeyValue, OPERATIONS, Page, SetOptions, Version};

fn of(backend: Arc<dyn KeyValue>) -> Bucket {
    let names = (CAPABILITY, "test");
    let gate = Gate::new("app/w".into(), "default".into(), names, Policy::default(), OPERATIONS);
    Bucket::new(Arc::new(Link { place: None, gate, backend }), "b".into()).unwrap()
}

fn memory() -> Bucket {
    let runtime = tokio::runtime::Handle::current();
    let opening = Opening {
        application: "app",
        settings: &Settings::default(),
        folder: "/".as_ref(),
        data: None,
        runtime: &runtime,
    };
    of((find(BACKENDS, "memory").unwrap().open)(opening).unwrap())
}

fn wish() -> Wish {
    let (prefix, backoff) = (String::new(), Duration::from_secs(1));
    Wish { prefix, key: None, only: None, waiting: 10, max_deliver: 3, backoff }
}

async fn set(bucket: &Bucket, key: &str, value: &str) {
    let value = Bytes::copy_from_slice(value.as_bytes());
    bucket.set(&Caller::default(), key, value).await.unwrap();
}

async fn delete(bucket: &Bucket, key: &str) {
    bucket.delete(&Caller::default(), key).await.unwrap();
}

fn said(noted: &Noted) -> String {
    let Change { key, value } = noted.change();
    let value = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    format!("{key}={}", value.unwrap_or_else(|| "-".to_owned()))
}

/// Nothing to be had for now.
async fn nothing(watching: &Watching) -> bool {
    timeout(Duration::from_millis(100), watching.next()).await.is_err()
}

async fn done(noted: Noted) {
    noted.handled_by(async { Outcome::Handled }).await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_key_are_handled_one_after_the_other_and_those_of_others_beside_them() {
    let bucket = memory();
    set(&bucket, "before", "x").await;
    let wish = Wish { prefix: "k".to_owned(), ..wish() };
    let watching = Watching::open(bucket.clone(), wish).await.unwrap();
    assert!(watching.state().listening);
    set(&bucket, "k1", "1").await;
    set(&bucket, "k1", "2").await;
    set(&bucket, "other", "x").await;
    delete(&bucket, "k1").await;
    set(&bucket, "k2", "1").await;
    let one = watching.next().await.unwrap();
    let other = watching.next().await.unwrap();
    assert_eq!((said(&one), said(&other)), ("k1=1".to_owned(), "k2=1".to_owned()));
    assert!(nothing(&watching).await);
    // As if it had not been taken.
    drop(one);
    let one = watching.next().await.unwrap();
    assert_eq!((said(&one), one.attempt()), ("k1=1".to_owned(), 1));
    done(one).await;
    let two = watching.next().await.unwrap();
    assert_eq!(said(&two), "k1=2");
    done(two).await;
    assert_eq!(said(&watching.next().await.unwrap()), "k1=-");
}

#[tokio::test(start_paused = true)]
async fn one_key_and_one_kind_of_change_are_all_that_is_told() {
    let bucket = memory();
    let key = Some("k".to_owned());
    let sets = Wish { key: key.clone(), only: Some(Happening::Set), ..wish() };
    let deletes = Wish { only: Some(Happening::Delete), ..wish() };
    assert!(!sets.like(&deletes) && sets.like(&Wish { waiting: 1, ..sets.clone() }));
    let sets = Watching::open(bucket.clone(), sets).await.unwrap();
    let deletes = Watching::open(bucket.clone(), deletes).await.unwrap();
    for key in ["k", "k2"] {
        set(&bucket, key, "1").await;
        delete(&bucket, key).await;
    }
    let one = sets.next().await.unwrap();
    assert_eq!(said(&one), "k=1");
    done(one).await;
    assert!(nothing(&sets).await);
    for expected in ["k=-", "k2=-"] {
        let one = deletes.next().await.unwrap();
        assert_eq!(said(&one), expected);
        done(one).await;
    }
    assert!(nothing(&deletes).await);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_handled_again_later_and_then_no_more() {
    let bucket = memory();
    let watching = Watching::open(bucket.clone(), wish()).await.unwrap();
    set(&bucket, "k", "1").await;
    set(&bucket, "k", "2").await;
    for attempt in 1..=3 {
        let begun = Instant::now();
        let noted = watching.next().await.unwrap();
        assert_eq!((said(&noted), noted.attempt()), ("k=1".to_owned(), attempt));
        let least = Duration::from_millis([0, 500, 1000][attempt as usize - 1]);
        assert!(begun.elapsed() >= least && begun.elapsed() <= least * 2, "{:?}", begun.elapsed());
        noted.handled_by(async { Outcome::Failed("no".to_owned()) }).await;
    }
    let noted = watching.next().await.unwrap();
    assert_eq!((said(&noted), noted.attempt()), ("k=2".to_owned(), 1));
    noted.handled_by(async { Outcome::Failed("no".to_owned()) }).await;
    set(&bucket, "last", "1").await;
    let last = watching.next().await.unwrap();
    // What is handled may be handled to its end, and what waits; what would be handled again is not.
    set(&bucket, "too late", "1").await;
    watching.end().await;
    done(last).await;
    assert!(watching.next().await.is_none());
    assert_eq!(watching.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_waits_at_the_store_and_is_counted_when_it_is_missed() {
    let bucket = memory();
    let watching = Watching::open(bucket.clone(), wish()).await.unwrap();
    for number in 0..2000 {
        set(&bucket, &format!("{number}"), "1").await;
    }
    let mut handled = Vec::new();
    while let Ok(noted) = timeout(Duration::from_millis(100), watching.next()).await {
        let noted = noted.unwrap();
        assert!(watching.waiting() <= 10);
        handled.push(said(&noted));
        done(noted).await;
    }
    assert_eq!((handled.len() as u64 + watching.missed(), watching.missed()), (2000, 2000 - 1024));
    assert_eq!(handled.last().unwrap(), "1999=1");
    assert_eq!(bucket.gate().usage().missed(), watching.missed());
}

/// A store whose watches say what they are told to.
#[derive(Debug, Default)]
struct Scripted(Mutex<Vec<Result<Vec<Told>, Failure>>>);

#[async_trait]
impl KeyValue for Scripted {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Bytes>, Failure> {
        Ok(None)
    }

    async fn entry(&self, _: &str, _: &str) -> Result<Option<Entry>, Failure> {
        Ok(None)
    }

    async fn set_with(&self, _: &str, _: &str, _: Bytes, _: SetOptions) -> Result<bool, Failure> {
        Ok(false)
    }

    async fn delete(&self, _: &str, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn swap(&self, _: &str, _: &str, _: Option<&Version>, _: Bytes) -> Result<bool, Failure> {
        Ok(false)
    }

    async fn add(&self, _: &str, _: &str, _: i64) -> Result<i64, Failure> {
        Ok(0)
    }

    async fn keys(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Page, Failure> {
        Ok(Page::default())
    }

    async fn watch(&self, _: &str) -> Result<BoxStream<'static, Told>, Failure> {
        let mut script = self.0.lock().unwrap();
        match script.pop() {
            Some(next) => next.map(|told| stream::iter(told).boxed()),
            None => Ok(stream::pending().boxed()),
        }
    }
}

fn scripted(mut script: Vec<Result<Vec<Told>, Failure>>) -> Bucket {
    script.reverse();
    of(Arc::new(Scripted(Mutex::new(script))))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_is_watched_again() {
    let changed = |key: &str| Told::Changed(Change { key: key.to_owned(), value: None });
    let gone = || Err(Failure::unreachable("gone"));
    let mut script = vec![gone(), Ok(vec![changed("a"), Told::Missed(7)])];
    // More than the link tries by itself.
    script.extend((0..8).map(|_| gone()));
    script.push(Ok(vec![changed("b")]));
    let watching = Watching::open(scripted(script), wish()).await.unwrap();
    assert!(watching.state().why.is_some() || watching.state().listening);
    for key in ["a=-", "b=-"] {
        let noted = watching.next().await.unwrap();
        assert_eq!(said(&noted), key);
        done(noted).await;
    }
    assert_eq!(watching.missed(), 7);
    assert!(nothing(&watching).await);
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_to_anything_is_refused() {
    let why = || Failure::Unsupported("set something".to_owned());
    let refused = Watching::open(scripted(vec![Err(why())]), wish()).await;
    assert_eq!(refused.map(drop), Err(why()));
}
