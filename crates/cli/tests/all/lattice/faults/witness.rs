//! One who sees everything that is written and said in a lattice, all the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use reef_bus::{Interest, Message};
use reef_lattice::{
    Address, Change, Digest, Entry, Expected, Key,
    key::kind,
    record::{self, Assignment, Heartbeat, Leader, Routing},
};
use tokio::runtime::Runtime;

use crate::support::eventually;

/// How long nothing may be written for it to be at rest: longer than anything that is done once in a while.
const QUIET: Duration = Duration::from_secs(4);
/// What has to be done within a while by one who only looks.
const SOON: Duration = Duration::from_secs(20);
/// Heartbeats that are remembered.
const BEATS: usize = 400;

/// Sees everything, where the thread that started it is.
pub(crate) struct Witness {
    runtime: Option<Runtime>,
    pub(crate) lattice: reef_lattice::Lattice,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    /// When something was last written, but for the leader's renewals.
    written: Instant,
    /// How often, and what the last of them were.
    writes: usize,
    last: Vec<String>,
    revisions: BTreeMap<Key, u64>,
    /// Terms, with who began them.
    terms: BTreeMap<u64, String>,
    /// Each time that one was begun or renewed, and when that was seen.
    renewed: Vec<(u64, Instant)>,
    /// Of each assignment and route: by which term it was written, and what revision it became.
    led: Vec<(Key, u64, u64)>,
    assigned: BTreeSet<(String, String)>,
    names: BTreeMap<String, String>,
    beats: Vec<Message>,
    now: BTreeMap<String, (Instant, Heartbeat)>,
}

impl Witness {
    pub(crate) fn start(url: &str) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let address: Address = url.parse().unwrap();
        let lattice = {
            let _within = runtime.enter();
            reef_lattice::Lattice::nats(&address).unwrap()
        };
        let seen = Arc::new(Mutex::new(Seen {
            written: Instant::now(),
            writes: 0,
            last: Vec::new(),
            revisions: BTreeMap::new(),
            terms: BTreeMap::new(),
            renewed: Vec::new(),
            led: Vec::new(),
            assigned: BTreeSet::new(),
            names: BTreeMap::new(),
            beats: Vec::new(),
            now: BTreeMap::new(),
        }));
        runtime.spawn(writes(lattice.clone(), seen.clone()));
        runtime.spawn(beats(lattice.clone(), seen.clone()));
        Self { runtime: Some(runtime), lattice, seen }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A check that failed has changed nothing, and what was seen is shown then.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let what = async { tokio::time::timeout(SOON, what).await };
        self.runtime.as_ref().unwrap().block_on(what).expect("it is done in time")
    }

    /// Has the lattice lose an object.
    pub(crate) fn remove(&self, digest: &Digest) {
        let objects = &self.lattice.objects;
        let all = self.wait(objects.unheld(Duration::ZERO)).unwrap();
        let one = all.iter().find(|one| one.digest == *digest).expect("it is there");
        assert!(self.wait(objects.remove(one)).unwrap());
    }

    /// Waits until nothing is written any more, and finds nothing wrong with all that was.
    #[track_caller]
    pub(crate) fn settled(&self) {
        let from = Instant::now();
        eventually("rest", || {
            let written = self.seen().written;
            let quiet = written.max(from).elapsed() >= QUIET;
            if from.elapsed() > Duration::from_secs(100) {
                panic!("it does not come to rest: {:#?}", self.seen().last);
            }
            quiet.then_some(())
        });
        self.one_led();
    }

    /// Fails if somebody wrote who did not lead any more: once who leads has written a key, nobody who led before does;
    /// and until then no more than the one write of it that was under way.
    #[track_caller]
    pub(crate) fn one_led(&self) {
        let seen = self.seen();
        let mut last: BTreeMap<_, (u64, Option<u64>)> = BTreeMap::new();
        for (key, term, revision) in &seen.led {
            let later = seen.terms.range(term + 1..*revision).next().map(|(later, _)| *later);
            let before = last.insert(key, (*term, later));
            let is_fenced = before.is_some_and(|(before, late)| {
                before > *term || (late.is_some() && later.is_some() && before == *term)
            });
            assert!(
                !is_fenced,
                "{key} was written at {revision} by term {term}, after {later:?} began and {before:?} wrote"
            );
        }
    }

    /// Fails if a host was ever told to run what it may not. `may`: of a workload's name and a host's.
    #[track_caller]
    pub(crate) fn only(&self, may: impl Fn(&str, &str) -> bool) {
        let seen = self.seen();
        for (host, workload) in &seen.assigned {
            let Some(host) = seen.names.get(host) else { continue };
            assert!(may(workload, host), "{workload} was to run on {host}");
        }
    }

    /// How often something was written, but for the leader's renewals.
    pub(crate) fn writes(&self) -> usize {
        self.seen().writes
    }

    /// Who leads, as it calls itself.
    pub(crate) fn leader(&self) -> Option<String> {
        self.seen().terms.last_key_value().map(|(_, holder)| holder.clone())
    }

    /// The term that began last.
    pub(crate) fn term(&self) -> u64 {
        self.seen().terms.last_key_value().map_or(0, |(term, _)| *term)
    }

    /// Fails if somebody, from this term on, took over from one who renewed the lease: that is for two seconds, and is
    /// renewed four times in them.
    #[track_caller]
    pub(crate) fn led_on(&self, term: u64) {
        let seen = self.seen();
        let from = seen.renewed.iter().position(|(of, _)| *of == term).unwrap();
        for pair in seen.renewed[from..].windows(2) {
            let (gap, changed) = (pair[1].1 - pair[0].1, pair[0].0 != pair[1].0);
            assert!(!changed || gap > Duration::from_secs(1), "{pair:?}: taken over after {gap:?}");
        }
    }

    /// Waits until somebody leads in a later term.
    pub(crate) fn led_after(&self, term: u64) {
        eventually("another leader", || (self.term() > term).then_some(()));
    }

    /// Of a host by its name.
    pub(crate) fn id(&self, name: &str) -> String {
        eventually("the host's heartbeat", || {
            let seen = self.seen();
            let found = seen.names.iter().find(|(_, of)| *of == name);
            found.map(|(id, _)| id.clone())
        })
    }

    /// What a host said last.
    pub(crate) fn said(&self, name: &str) -> Heartbeat {
        let id = self.id(name);
        self.seen().now[&id].1.clone()
    }

    /// Heartbeats as they came, the oldest first.
    pub(crate) fn beats(&self) -> Vec<Message> {
        self.seen().beats.clone()
    }

    /// Waits until hosts that are heard of say of so many instances that they are there, and all of them ready.
    pub(crate) fn runs(&self, instances: u32) {
        eventually(&format!("{instances} instances and no more"), || {
            let seen = self.seen();
            let heard = seen
                .now
                .values()
                .filter(|(at, beat)| at.elapsed() < Duration::from_secs(3) && !beat.left);
            let all: Vec<_> = heard.flat_map(|(_, beat)| &beat.placements).collect();
            let there: u32 = all.iter().map(|one| one.instances).sum();
            let ready: u32 = all.iter().map(|one| one.ready).sum();
            (there == instances && ready == instances).then_some(())
        });
    }

    /// Says something on the bus.
    pub(crate) fn say(&self, subject: &str, body: impl Into<bytes::Bytes>) {
        let message = Message::new(subject, body).unwrap();
        self.wait(self.lattice.bus.publish(message)).unwrap();
    }

    /// Asks something on the bus; none where nobody answers.
    pub(crate) fn ask(&self, subject: &str, body: &str) -> Option<String> {
        let message = Message::new(subject, body.as_bytes().to_vec()).unwrap();
        let asking = self.lattice.bus.request(message, Duration::from_secs(5));
        let answer = self.wait(asking).ok()?;
        Some(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// Writes something into the store, whatever is there.
    pub(crate) fn write(&self, key: &str, value: &str) -> u64 {
        let key = Key::parse(key).unwrap();
        let value = bytes::Bytes::copy_from_slice(value.as_bytes());
        self.wait(self.lattice.store.put(&key, value, Expected::Any)).unwrap()
    }

    pub(crate) fn read(&self, key: &str) -> Option<Entry> {
        let key = Key::parse(key).unwrap();
        self.wait(self.lattice.store.get(&key)).unwrap()
    }

    pub(crate) fn delete(&self, key: &str) {
        let key = Key::parse(key).unwrap();
        self.wait(self.lattice.store.delete(&key, Expected::Any)).unwrap();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if std::thread::panicking() {
            let seen = self.seen();
            eprintln!("terms: {:#?}; last writes: {:#?}", seen.terms, seen.last);
        }
    }
}

async fn writes(lattice: reef_lattice::Lattice, seen: Arc<Mutex<Seen>>) {
    loop {
        if let Ok(mut changes) = lattice.store.watch(&[""]).await {
            while let Some(change) = changes.next().await {
                seen.lock().unwrap().change(change);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn beats(lattice: reef_lattice::Lattice, seen: Arc<Mutex<Seen>>) {
    let interest = Interest {
        name: "witness".into(),
        subject: format!("reef.{}.heartbeat.*", lattice.name).parse().unwrap(),
        queue: None,
        capacity: reef_bus::Capacity::default(),
    };
    loop {
        if let Ok(subscription) = lattice.bus.subscribe(interest.clone()).await {
            while let Some(message) = subscription.next().await {
                seen.lock().unwrap().beat(message);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Seen {
    fn change(&mut self, change: Change) {
        let (key, revision, value) = match change {
            Change::Put(entry) => (entry.key, entry.revision, Some(entry.value)),
            Change::Deleted(key, revision) => (key, revision, None),
            Change::Anew | Change::Current | Change::Lost => return,
        };
        // It is told anew.
        if self.revisions.get(&key).is_some_and(|known| *known >= revision) {
            return;
        }
        self.revisions.insert(key.clone(), revision);
        let tokens: Vec<String> = key.tokens().map(|token| token.into_owned()).collect();
        let kind = &*tokens[0];
        if kind != kind::LEADER {
            self.written = Instant::now();
            self.writes += 1;
            let text = value.as_deref().map(String::from_utf8_lossy);
            self.last.push(format!("{revision} {key} {text:?}").chars().take(400).collect());
            if self.last.len() > 20 {
                self.last.remove(0);
            }
        }
        let Some(value) = value else { return };
        match kind {
            kind::LEADER => {
                if let Ok(leader) = record::decode::<Leader>("", &value) {
                    let term = if leader.term == 0 { revision } else { leader.term };
                    self.terms.insert(term, leader.holder);
                    self.renewed.push((term, Instant::now()));
                }
            }
            kind::WANT => {
                let Ok(wanted) = record::decode::<Assignment>("", &value) else { return };
                for one in &wanted.workloads {
                    let workload = one.workload.workload.to_string();
                    self.assigned.insert((tokens[1].clone(), workload));
                }
                self.led.push((key, wanted.term, revision));
            }
            kind::ROUTE => {
                let Ok(routing) = record::decode::<Routing>("", &value) else { return };
                self.led.push((key, routing.term, revision));
            }
            _ => {}
        }
    }

    fn beat(&mut self, message: Message) {
        let Ok(beat) = record::decode::<Heartbeat>("", message.body()) else { return };
        self.names.insert(beat.host.clone(), beat.name.clone());
        let known = self.now.get(&beat.host);
        // What is said anew by a test is not what the host says.
        if known.is_none_or(|(_, known)| known.boot != beat.boot || known.sequence < beat.sequence)
        {
            self.now.insert(beat.host.clone(), (Instant::now(), beat));
            self.beats.push(message);
            if self.beats.len() > BEATS {
                self.beats.remove(0);
            }
        }
    }
}
