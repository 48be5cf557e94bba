use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU8, AtomicU64},
    },
};

use proptest::prelude::*;
use reef_journal::Journals;

use super::*;

/// A store elsewhere.
#[derive(Debug, Default)]
struct Far {
    /// 0: up, 1: cannot be reached, 2: does it, and its answer is lost.
    state: AtomicU8,
    held: Mutex<HashMap<String, Dated>>,
    versions: AtomicU64,
}

impl Far {
    fn is(&self, state: u8) {
        self.state.store(state, Ordering::Relaxed);
    }

    fn ask(&self) -> Result<(), Failure> {
        match self.state.load(Ordering::Relaxed) {
            1 => Err(Failure::unreachable("it is down")),
            _ => Ok(()),
        }
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        self.held.lock().unwrap().get(key).and_then(|there| there.value.clone())
    }

    /// Somebody else writes.
    fn other(&self, key: &str, value: &str, at: u64) {
        let stamp = Stamp { at, by: 7 };
        let version = self.version();
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        let dated = Dated { value, expires: None, version, stamp };
        self.held.lock().unwrap().insert(key.to_owned(), dated);
    }

    fn version(&self) -> Version {
        let next = self.versions.fetch_add(1, Ordering::Relaxed);
        Version(Bytes::copy_from_slice(&next.to_be_bytes()))
    }
}

#[async_trait]
impl KeyValue for Far {
    async fn get(&self, _: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        self.ask()?;
        Ok(self.value(key))
    }

    async fn entry(&self, _: &str, key: &str) -> Result<Option<Entry>, Failure> {
        self.ask()?;
        let held = self.held.lock().unwrap();
        let of = |there: &Dated| {
            Some(Entry { value: there.value.clone()?, version: there.version.clone() })
        };
        Ok(held.get(key).and_then(of))
    }

    async fn set_with(&self, _: &str, _: &str, _: Bytes, _: SetOptions) -> Result<bool, Failure> {
        self.ask().map(|()| true)
    }

    async fn delete(&self, _: &str, _: &str) -> Result<(), Failure> {
        self.ask()
    }

    async fn swap(&self, _: &str, _: &str, _: Option<&Version>, _: Bytes) -> Result<bool, Failure> {
        self.ask().map(|()| true)
    }

    async fn add(&self, _: &str, _: &str, _: i64) -> Result<i64, Failure> {
        self.ask().map(|()| 0)
    }

    async fn keys(
        &self,
        _: &str,
        prefix: &str,
        _: Option<&str>,
        _: usize,
    ) -> Result<Page, Failure> {
        self.ask()?;
        let held = self.held.lock().unwrap();
        let there =
            held.iter().filter(|(key, there)| key.starts_with(prefix) && there.value.is_some());
        Ok(Page { keys: there.map(|(key, _)| key.clone()).collect(), next: None })
    }

    fn is_dated(&self) -> bool {
        true
    }

    async fn dated(&self, _: &str, key: &str) -> Result<Option<Dated>, Failure> {
        self.ask()?;
        Ok(self.held.lock().unwrap().get(key).cloned())
    }

    async fn set_dated(
        &self,
        _: &str,
        key: &str,
        write: Dated,
        expected: Option<Option<&Version>>,
    ) -> Result<bool, Failure> {
        self.ask()?;
        let version = self.version();
        let mut held = self.held.lock().unwrap();
        if expected.is_some_and(|expected| held.get(key).map(|there| &there.version) != expected) {
            return Ok(false);
        }
        held.insert(key.to_owned(), Dated { version, ..write });
        match self.state.load(Ordering::Relaxed) {
            2 => Err(Failure::lost("it went away")),
            _ => Ok(true),
        }
    }
}

struct Edge {
    dir: tempfile::TempDir,
    far: Arc<Far>,
    journals: Journals,
    merge: Merge,
}

impl Edge {
    fn new(merge: Merge) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, far: Arc::default(), journals: Journals::default(), merge }
    }

    fn open(&self) -> Offline {
        let journal = self.journals.open(&self.dir.path().join("j"), 1 << 20).unwrap();
        Offline::new(self.far.clone(), self.merge, journal, &Handle::current()).unwrap()
    }
}

async fn done(link: &Offline) {
    let waiting = async {
        while !link.journal.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

fn text(value: Option<Bytes>) -> Option<String> {
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// What one link does, and what becomes of the world.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8),
    Delete(u8),
    Add(i8),
    Is(u8),
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_u8, any::<u8>()).prop_map(|(key, value)| Step::Set(key, value)),
        1 => (0..2_u8).prop_map(Step::Delete),
        2 => any::<i8>().prop_map(Step::Add),
        2 => (0..3_u8).prop_map(Step::Is),
        1 => Just(Step::Again),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What one link does comes to what it would be without any fault, and reads say so all the time.
    #[test]
    fn it_is_a_map_whatever_becomes_of_the_store_and_this_process(
        steps in prop::collection::vec(step(), 1..25),
        first in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let edge = Edge::new(if first { Merge::FirstWriter } else { Merge::LastWriter });
            let mut link = edge.open();
            let (mut model, mut sum) = (HashMap::<String, String>::new(), 0);
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        let (key, value) = (format!("k{key}"), value.to_string());
                        link.set("b", &key, value.clone().into()).await.unwrap();
                        assert_eq!(text(link.get("b", &key).await.unwrap()), Some(value.clone()));
                        model.insert(key, value);
                    }
                    Step::Delete(key) => {
                        let key = format!("k{key}");
                        link.delete("b", &key).await.unwrap();
                        assert_eq!(link.get("b", &key).await.unwrap(), None);
                        model.remove(&key);
                    }
                    Step::Add(delta) => {
                        link.add("b", "sum", delta.into()).await.unwrap();
                        sum += i64::from(delta);
                        model.insert("sum".to_owned(), sum.to_string());
                    }
                    Step::Is(state) => edge.far.is(state),
                    Step::Again => link = edge.open(),
                }
            }
            edge.far.is(0);
            done(&link).await;
            for key in ["k0", "k1", "sum"] {
                assert_eq!(text(edge.far.value(key)), model.get(key).cloned(), "{key}");
            }
            let mut keys = link.keys("b", "", None, 10).await.unwrap().keys;
            keys.sort();
            let mut of_model: Vec<_> = model.into_keys().collect();
            of_model.sort();
            assert_eq!(keys, of_model);
        });
    }

    #[test]
    fn an_operation_is_kept_as_it_is(
        key in ".{1,10}",
        value in prop::collection::vec(any::<u8>(), 0..20),
        time in prop::option::of(1..u64::MAX),
        delta in any::<i64>(),
        (at, by, since) in any::<(u64, u64, u64)>(),
    ) {
        let set = What::Set(value.into(), time.map(Duration::from_millis));
        for what in [set, What::Delete, What::Add(delta)] {
            let (bucket, key) = ("b".to_owned(), key.clone());
            let operation = Operation { bucket, key, what, stamp: Stamp { at, by }, since };
            prop_assert_eq!(Operation::read(&operation.written()).unwrap(), operation);
        }
    }

    #[test]
    fn garbage_is_no_operation_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Operation::read(&bytes);
    }
}

/// What there is after somebody else wrote at a time, and this host, cut off, at another one.
async fn merged(merge: Merge, elsewhere: impl FnOnce(u64) -> u64) -> String {
    let edge = Edge::new(merge);
    edge.far.other("k", "before", 1);
    let link = edge.open();
    edge.far.is(1);
    link.set("b", "k", "here".into()).await.unwrap();
    edge.far.other("k", "elsewhere", elsewhere(now()));
    assert_eq!(link.get("b", "k").await.unwrap().unwrap(), "here");
    edge.far.is(0);
    done(&link).await;
    text(edge.far.value("k")).unwrap()
}

#[tokio::test]
async fn the_later_one_stays_or_the_first_one_by_what_is_declared() {
    let (hour, minute) = (3_600_000, 60_000);
    assert_eq!(merged(Merge::LastWriter, |now| now - hour).await, "here");
    assert_eq!(merged(Merge::LastWriter, |now| now + minute).await, "elsewhere");
    // Before this host was cut off: nobody was first.
    assert_eq!(merged(Merge::FirstWriter, |now| now - hour).await, "here");
    assert_eq!(merged(Merge::FirstWriter, |now| now + minute).await, "elsewhere");
}

#[tokio::test]
async fn what_two_hosts_added_while_cut_off_adds_up() {
    let (one, other) = (Edge::new(Merge::LastWriter), Edge::new(Merge::LastWriter));
    let other = Edge { far: one.far.clone(), ..other };
    one.far.other("n", "100", 1);
    let links = [one.open(), other.open()];
    one.far.is(1);
    for _ in 0..10 {
        for link in &links {
            link.add("b", "n", 1).await.unwrap();
        }
    }
    one.far.is(0);
    for link in &links {
        done(link).await;
    }
    assert_eq!(text(one.far.value("n")).unwrap(), "120");
}

#[tokio::test]
async fn what_has_to_look_at_the_store_fails_while_that_cannot_be() {
    let edge = Edge::new(Merge::LastWriter);
    let link = edge.open();
    edge.far.is(1);
    link.set("b", "k", "v".into()).await.unwrap();
    let absent = SetOptions { if_absent: true, ..SetOptions::default() };
    assert!(link.set_with("b", "k", "w".into(), absent).await.is_err());
    assert!(link.set_with("b", "other", "w".into(), absent).await.is_err());
    assert!(link.swap("b", "k", None, "w".into()).await.is_err());
    assert!(link.entry("b", "k").await.is_err());
    assert!(link.get("b", "other").await.is_err());
    assert!(link.keys("b", "", None, 10).await.is_err());
    assert_eq!(link.get("b", "k").await.unwrap().unwrap(), "v");
}
