//! What a controller does with writes that the store does not take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reef_lattice::{Changes, Entry, Expected, Failure, Key, Store, key::kind};

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
