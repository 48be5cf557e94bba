//! What a controller does with writes that the store does not take, or says late that it took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use reef_lattice::{Change, Changes, Entry, Expected, Failure, Key, Store, key::kind};
use tokio::sync::watch;

use super::place::{Place, until};
use crate::{Controller, Options, Settings};

/// A store that one controller cannot write to any more.
#[derive(Debug)]
struct Stuck {
    store: Arc<dyn Store>,
    is_stuck: AtomicBool,
    /// Writes of others than who leads that wait.
    waiting: AtomicUsize,
}

struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stuck {
    async fn pass(&self, key: &Key) {
        if !self.is_stuck.load(Ordering::SeqCst) {
            return;
        }
        let one = usize::from(key.tokens().next().is_some_and(|token| token != kind::LEADER));
        self.waiting.fetch_add(one, Ordering::SeqCst);
        let _waits = (one > 0).then(|| Waits(&self.waiting));
        std::future::pending().await
    }
}

#[async_trait::async_trait]
impl Store for Stuck {
    fn max_value(&self) -> usize {
        self.store.max_value()
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        self.store.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes, before: Expected) -> Result<u64, Failure> {
        self.pass(key).await;
        self.store.put(key, value, before).await
    }

    async fn delete(&self, key: &Key, before: Expected) -> Result<(), Failure> {
        self.pass(key).await;
        self.store.delete(key, before).await
    }

    async fn watch(&self, prefixes: &[&str]) -> Result<Changes, Failure> {
        self.store.watch(prefixes).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_term_is_tried_any_more_when_another_one_leads() {
    // Shorter than a write may take, with a second between the end of one term and the next.
    let settings = Settings { lease: Duration::from_secs(4), ..Settings::default() };
    let options = Options { settings, ..Options::default() };
    let mut stuck = None;
    let place = Place::new(options.clone(), |mut lattice| {
        let store = Arc::new(Stuck {
            store: lattice.store,
            is_stuck: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        });
        lattice.store = store.clone();
        stuck = Some(store);
        lattice
    });
    let place = place.await;
    let stuck = stuck.unwrap();
    let file = place.kept("0").await;
    place.apply(&file).await;

    stuck.is_stuck.store(true, Ordering::SeqCst);
    place.says(1, &[]).await;
    until(async || stuck.waiting.load(Ordering::SeqCst) > 0).await;
    let other = Controller::start(place.lattice.clone(), options);
    until(async || other.leads()).await;
    assert_eq!(stuck.waiting.load(Ordering::SeqCst), 0);
    assert!(!place.controller.leads());
}

/// A store that answers who wrote an assignment only once its deletion was told.
#[derive(Debug)]
struct Late {
    store: Arc<dyn Store>,
    told: watch::Sender<bool>,
}

fn is_assignment(key: &Key) -> bool {
    key.is_below(kind::WANT)
}

#[async_trait::async_trait]
impl Store for Late {
    fn max_value(&self) -> usize {
        self.store.max_value()
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        self.store.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes, before: Expected) -> Result<u64, Failure> {
        let done = self.store.put(key, value, before).await;
        if is_assignment(key) {
            self.told.subscribe().wait_for(|told| *told).await.unwrap();
        }
        done
    }

    async fn delete(&self, key: &Key, before: Expected) -> Result<(), Failure> {
        self.store.delete(key, before).await
    }

    async fn watch(&self, prefixes: &[&str]) -> Result<Changes, Failure> {
        let changes = self.store.watch(prefixes).await?;
        // Who asks for the next one has taken in the one before.
        let next = async |(mut changes, told, deleted): (Changes, watch::Sender<bool>, bool)| {
            if deleted {
                told.send_replace(true);
            }
            let change = changes.next().await?;
            let deleted = matches!(&change, Change::Deleted(key, _) if is_assignment(key));
            Some((change, (changes, told, deleted)))
        };
        Ok(stream::unfold((changes, self.told.clone(), false), next).boxed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_before_its_write_was_answered_is_written_again() {
    let place = Place::new(Options::default(), |mut lattice| {
        lattice.store = Arc::new(Late { store: lattice.store, told: watch::Sender::new(false) });
        lattice
    });
    let place = place.await;
    let file = place.kept("0").await;
    let beats = AtomicUsize::new(0);
    let key = Key::new(&[kind::WANT, "one"]).unwrap();
    let is_there = async || {
        place.says(1 + beats.fetch_add(1, Ordering::Relaxed) as u64, &[]).await;
        place.lattice.store.get(&key).await.unwrap().is_some()
    };
    is_there().await;
    place.apply(&file).await;
    until(is_there).await;
    place.lattice.store.delete(&key, Expected::Any).await.unwrap();
    until(is_there).await;
}
