//! Servers that die, hang and come back; a bucket that is deleted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use futures::{StreamExt as _, TryStreamExt as _};
use reef_bus::{Capacity, Interest, Message};
use reef_lattice::{Change, Changes, Digest, Expected, Failure, Key, Lattice, Mirror, Store};
use reef_servers::{Cluster, Nats, Server};

/// How long anything may take that is not the point of a test: elections take some seconds.
const SOON: Duration = Duration::from_secs(60);
/// How long a use may take, whatever the servers do: 5 s, and some more on a machine that is busy with other things.
const WITHIN: Duration = Duration::from_secs(15);
/// How long it is tried at least before it is said that NATS is not available.
const PATIENT: Duration = Duration::from_millis(3500);

fn at(url: &str) -> Lattice {
    Lattice::nats(&format!("{url}/faults").parse().unwrap()).unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap()
}

/// Writes until it is acknowledged. The revision.
async fn written(store: &Arc<dyn Store>, of: &str, value: &str) -> u64 {
    soon(async {
        loop {
            match store.put(&key(of), value.to_owned().into(), Expected::Any).await {
                Ok(revision) => return revision,
                Err(Failure::Unavailable { .. } | Failure::Timeout(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    })
    .await
}

async fn seen(mirror: &Mirror, of: &str, value: &str) {
    let key = key(of);
    let look = |view: &reef_lattice::View| {
        (view.is_current() && view.get(&key)?.value == value.as_bytes()).then_some(())
    };
    assert!(mirror.until(look, SOON).await.is_some(), "{of} {value} {mirror:?}");
}

async fn until(changes: &mut Changes, mut wanted: impl FnMut(&Change) -> bool) {
    soon(async { while !wanted(&changes.next().await.unwrap()) {} }).await;
}

/// In time, and as what it is.
async fn fails(work: impl Future<Output = Result<(), Failure>>) {
    let begun = Instant::now();
    let failed = work.await;
    let took = begun.elapsed();
    assert!(took < WITHIN, "{took:?}: {failed:?}");
    assert!(matches!(failed, Err(Failure::Unavailable { .. } | Failure::Timeout(_))), "{failed:?}");
}

async fn put(store: &Arc<dyn Store>, of: &str) -> Result<(), Failure> {
    store.put(&key(of), "x".into(), Expected::Any).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_one_and_then_two() {
    let mut cluster = Cluster::nats(3).unwrap();
    let (lattice, other) = (at(&cluster.url()), at(&cluster.url()));
    let (store, bus) = (&lattice.store, &lattice.bus);
    let mirror = Mirror::start(&other.store, &["a"]).unwrap();
    written(store, "a.1", "1").await;
    seen(&mirror, "a.1", "1").await;
    // It is kept on all three.
    let context = jetstream::new(async_nats::connect(cluster.server(0).url()).await.unwrap());
    for stream in ["KV_reef-faults", "OBJ_reef-faults-objects"] {
        let digest = format!("sha256:{:064}", 0).parse().unwrap();
        soon(async { while lattice.objects.has(&digest).await.is_err() {} }).await;
        let info = context.get_stream(stream).await.unwrap();
        assert_eq!(info.cached_info().config.num_replicas, 3, "{stream}");
        assert!(!info.cached_info().config.allow_direct);
    }
    let subscriber = bus
        .subscribe(Interest {
            name: "a test".into(),
            subject: "a.>".parse().unwrap(),
            queue: None,
            capacity: Capacity::default(),
        })
        .await
        .unwrap();

    // Each in turn, the leaders among them: what was acknowledged stays, and it goes on.
    for at in 0..3 {
        cluster.kill(at);
        let value = format!("without {at}");
        let revision = written(store, "a.1", &value).await;
        let entry = soon(async {
            loop {
                if let Ok(entry) = other.store.get(&key("a.1")).await {
                    break entry.unwrap();
                }
            }
        })
        .await;
        assert_eq!((&*entry.value, entry.revision), (value.as_bytes(), revision));
        seen(&mirror, "a.1", &value).await;
        cluster.start_again(at).unwrap();
    }
    let mut number = 0;
    soon(async {
        // A subscription is there again by itself.
        loop {
            number += 1;
            let _ = other.bus.publish(Message::new("a.b", number.to_string()).unwrap()).await;
            let next = tokio::time::timeout(Duration::from_millis(100), subscriber.next()).await;
            if next.is_ok_and(|message| message.is_some()) {
                break;
            }
        }
    })
    .await;

    // Without two of three nothing is acknowledged, and that is said in time.
    written(store, "a.2", "all").await;
    cluster.kill(0);
    cluster.kill(1);
    soon(async {
        // Until the last one has noticed, it may still answer what it knows.
        while put(store, "a.3").await.is_ok() {}
    })
    .await;
    fails(put(store, "a.3")).await;
    fails(async { store.put(&key("a.4"), "x".into(), Expected::Absent).await.map(drop) }).await;
    cluster.start_again(0).unwrap();
    let revision = written(store, "a.2", "two").await;
    cluster.start_again(1).unwrap();
    seen(&mirror, "a.2", "two").await;
    assert_eq!(mirror.get(&key("a.2")).unwrap().revision, revision);
    assert_eq!(mirror.get(&key("a.1")).unwrap().value, "without 2");
}

/// While those that lead change all the time, each write is done once, whatever servers said of it, and nobody is told at
/// once that NATS is not available.
#[tokio::test(flavor = "multi_thread")]
async fn another_one_leads_all_the_time() {
    let cluster = Cluster::nats(3).unwrap();
    let lattice = at(&cluster.url());
    let store = &lattice.store;
    let mut revision = soon(async {
        loop {
            if let Ok(revision) = store.put(&key("count"), "0".into(), Expected::Absent).await {
                break revision;
            }
        }
    })
    .await;
    let digest = format!("sha256:{:064}", 0).parse().unwrap();
    soon(async { while lattice.objects.has(&digest).await.is_err() {} }).await;
    let client = async_nats::connect(cluster.server(0).url()).await.unwrap();
    let stepping = tokio::spawn(async move {
        loop {
            for of in ["STREAM.LEADER.STEPDOWN.KV_reef-faults", "META.LEADER.STEPDOWN"] {
                let _ = client.request(format!("$JS.API.{of}"), "".into()).await;
                // Not all the time: somebody has to be chosen.
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
    });
    let patiently = |begun: Instant, failure: Failure| {
        let passes = matches!(failure, Failure::Unavailable { .. } | Failure::Timeout(_));
        assert!(passes && begun.elapsed() >= PATIENT, "{failure:?} after {:?}", begun.elapsed());
    };
    let (begun, mut count, mut round) = (Instant::now(), 0_u64, 0);
    // Elections take longer on a machine that is busy with other things.
    while begun.elapsed() < Duration::from_secs(15) || count <= 3 {
        assert!(begun.elapsed() < SOON, "{count} in {:?}", begun.elapsed());
        round += 1;
        let (value, before) = ((count + 1).to_string(), Expected::Revision(revision));
        let at = Instant::now();
        match store.put(&key("count"), value.clone().into(), before).await {
            Ok(put) => {
                assert!(put > revision);
                (revision, count) = (put, count + 1);
            }
            Err(failure) => {
                patiently(at, failure);
                // It was done, or was not.
                let entry = soon(async {
                    loop {
                        if let Ok(entry) = store.get(&key("count")).await {
                            break entry.unwrap();
                        }
                    }
                });
                let entry = entry.await;
                count += u64::from(entry.value == value);
                revision = entry.revision;
            }
        }
        match store.get(&key("count")).await {
            Ok(entry) => {
                let entry = entry.unwrap();
                assert_eq!((entry.revision, entry.value), (revision, count.to_string().into()));
            }
            Err(failure) => patiently(at, failure),
        }
        let (at, new) = (Instant::now(), key(&format!("new.{round}")));
        if let Err(failure) = store.put(&new, "x".into(), Expected::Absent).await {
            patiently(at, failure);
        }
        let at = Instant::now();
        if let Err(failure) = lattice.objects.has(&digest).await {
            patiently(at, failure);
        }
    }
    stepping.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_dies_and_comes_back() {
    for version in [Nats::Newest, Nats::Oldest] {
        let mut server = Server::nats(version).unwrap();
        let lattice = at(&server.url());
        let store = &lattice.store;
        let mut changes = store.watch(&[""]).await.unwrap();
        let mirror = Mirror::start(store, &["a"]).unwrap();
        until(&mut changes, |change| *change == Change::Current).await;
        written(store, "a.1", "1").await;
        seen(&mirror, "a.1", "1").await;
        server.kill();
        until(&mut changes, |change| *change == Change::Lost).await;
        let lost = |view: &reef_lattice::View| (!view.is_current()).then_some(());
        assert!(mirror.until(lost, SOON).await.is_some());
        // What is known stays known.
        assert_eq!(mirror.below("a").len(), 1);
        fails(put(store, "a.2")).await;
        fails(async { store.get(&key("a.1")).await.map(drop) }).await;
        server.start_again().unwrap();
        written(store, "a.1", "2").await;
        until(&mut changes, |change| *change == Change::Anew).await;
        seen(&mirror, "a.1", "2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_a_failure_in_time() {
    let server = Server::nats(Nats::Newest).unwrap();
    let lattice = at(&server.url());
    let store = &lattice.store;
    written(store, "a.1", "1").await;
    let mut changes = store.watch(&["a"]).await.unwrap();
    until(&mut changes, |change| *change == Change::Current).await;
    server.freeze();
    fails(put(store, "a.1")).await;
    fails(async { store.get(&key("a.1")).await.map(drop) }).await;
    let digest = format!("sha256:{:064}", 0).parse().unwrap();
    fails(async { lattice.objects.has(&digest).await.map(drop) }).await;
    until(&mut changes, |change| *change == Change::Lost).await;
    server.thaw();
    let revision = written(store, "a.1", "2").await;
    until(
        &mut changes,
        |change| matches!(change, Change::Put(entry) if entry.revision == revision),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_deleted_is_made_anew() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let lattice = at(&server.url());
        let store = &lattice.store;
        written(store, "a.1", "1").await;
        written(store, "a.1", "2").await;
        let mirror = Mirror::start(store, &["a"]).unwrap();
        seen(&mirror, "a.1", "2").await;
        let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        context.delete_stream("KV_reef-faults").await.unwrap();
        written(store, "a.2", "1").await;
        assert!(store.get(&key("a.1")).await.unwrap().is_none());
        let gone = |view: &reef_lattice::View| {
            (view.is_current() && view.get(&key("a.1")).is_none()).then_some(())
        };
        assert!(mirror.until(gone, SOON).await.is_some());
        seen(&mirror, "a.2", "1").await;
    }
}

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// An object, and the file that it was sent from.
async fn kept(lattice: &Lattice, content: &str, hex: &str) -> (tempfile::NamedTempFile, Digest) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let digest = format!("sha256:{hex}").parse().unwrap();
    lattice.objects.put(&digest, file.path()).await.unwrap();
    (file, digest)
}

/// Other clients see what this one keeps, and can break it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_object_is_found_and_dropped() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let lattice = at(&server.url());
        let objects = &lattice.objects;
        let (file, digest) = kept(&lattice, "hello", HELLO).await;
        let hex = HELLO;
        let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let same = context.get_object_store("reef-faults-objects").await.unwrap();
        let (mut seen, mut said) = (same.get(hex).await.unwrap(), String::new());
        tokio::io::AsyncReadExt::read_to_string(&mut seen, &mut said).await.unwrap();
        assert_eq!(said, "hello");

        same.put(hex, &mut &b"Hello"[..]).await.unwrap();
        let pieces: Result<Vec<_>, _> = objects.get(&digest).await.unwrap().try_collect().await;
        let failed = pieces.unwrap_err();
        assert!(failed.to_string().contains(hex), "{failed}");
        assert!(!objects.has(&digest).await.unwrap());
        objects.put(&digest, file.path()).await.unwrap();
        let pieces: Vec<_> = objects.get(&digest).await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"hello");
    }
}

/// Who is not first is told that, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn many_write_one_key_on_three_servers() {
    let cluster = Cluster::nats(3).unwrap();
    let lattices = [0, 1].map(|server| at(&cluster.server(server).url()));
    written(&lattices[0].store, "count", "0").await;
    let counting = (0..6).map(|one| {
        let store = lattices[one % 2].store.clone();
        tokio::spawn(async move {
            let mut counted = 0;
            while counted < 20 {
                let last = store.get(&key("count")).await.unwrap().unwrap();
                let next: u32 = std::str::from_utf8(&last.value).unwrap().parse().unwrap();
                let next = (next + 1).to_string();
                let before = Expected::Revision(last.revision);
                match store.put(&key("count"), next.into(), before).await {
                    Ok(_) => counted += 1,
                    Err(Failure::Conflict(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for one in counting.collect::<Vec<_>>() {
        soon(one).await.unwrap();
    }
    let last = lattices[1].store.get(&key("count")).await.unwrap().unwrap();
    assert_eq!(last.value, "120");
}

/// Whichever server tells it, be it one that has not heard of all that was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn who_begins_to_watch_three_servers_is_told_all_that_was_written_before() {
    let cluster = Cluster::nats(3).unwrap();
    let [writing, watching] = [0, 1].map(|server| at(&cluster.server(server).url()).store);
    written(&writing, "a.x", "0").await;
    for turn in 0..60 {
        // Much at once, so that who is not needed for it stays behind.
        let all = (0..8).map(|one| {
            let (store, of) = (writing.clone(), key(&format!("a.{}", (turn + one) % 20)));
            async move { store.put(&of, vec![b'x'; 500_000].into(), Expected::Any).await }
        });
        futures::future::try_join_all(all).await.unwrap();
        let last = format!("{turn}");
        let revision = written(&writing, "b", &last).await;
        let mut changes = watching.watch(&["a", "b", "none"]).await.unwrap();
        let mut told = None;
        until(&mut changes, |change| {
            if let Change::Put(entry) = change
                && entry.key == key("b")
            {
                told = Some(entry.revision);
            }
            *change == Change::Current
        })
        .await;
        assert_eq!(told, Some(revision), "{turn}");
    }
}

/// On several servers, one of them orders what is written.
#[tokio::test(flavor = "multi_thread")]
async fn who_needs_an_object_and_who_removes_it_agree_on_three_servers() {
    let cluster = Cluster::nats(3).unwrap();
    let (needs, removes) = (at(&cluster.server(0).url()), at(&cluster.server(1).url()));
    let file = tempfile::NamedTempFile::new().unwrap();
    // Of several pieces.
    std::fs::write(file.path(), vec![b'x'; 300 << 10]).unwrap();
    let digest = "def89517b7d1690aac7628fccbe266a6c5b30c4bc4e4e226b2f32e27a370a588";
    let digest = format!("sha256:{digest}").parse().unwrap();
    let (needed, gone) = (&needs.objects, &removes.objects);
    soon(async { while needed.has(&digest).await.is_err() {} }).await;
    for turn in 0..40_u64 {
        needed.put(&digest, file.path()).await.unwrap();
        // The server that lists may be behind the one that took it.
        let listed = soon(async {
            loop {
                let listed = gone.unheld(Duration::ZERO).await.unwrap();
                if !listed.is_empty() {
                    break listed;
                }
            }
        });
        let listed = listed.await;
        let hold = async {
            tokio::time::sleep(Duration::from_millis(turn % 8)).await;
            needed.hold(&digest, Duration::ZERO).await.unwrap()
        };
        let remove = async {
            tokio::time::sleep(Duration::from_millis(turn / 8)).await;
            gone.remove(&listed[0]).await.unwrap()
        };
        let (is_held, is_removed) = tokio::join!(hold, remove);
        assert_ne!(is_held, is_removed);
        assert_eq!(needed.has(&digest).await.unwrap(), is_held);
        if is_held {
            let pieces: Vec<_> = gone.get(&digest).await.unwrap().try_collect().await.unwrap();
            assert_eq!(pieces.concat().len(), 300 << 10);
        }
    }
}

/// Whoever was killed while it sent an object, or while it removed one, leaves pieces that are of none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_uploads_is_swept_away() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats(version).unwrap();
        let lattice = at(&server.url());
        let objects = &lattice.objects;
        let (_, digest) = kept(&lattice, "hello", HELLO).await;
        let other = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";
        let (_, other) = kept(&lattice, "other", other).await;
        let listed = objects.unheld(Duration::ZERO).await.unwrap();
        let other = listed.iter().find(|one| one.digest == other).unwrap();
        assert!(objects.remove(other).await.unwrap());

        let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        for piece in ["half", "of"] {
            let subject = "$O.reef-faults-objects.C.killed";
            context.publish(subject, piece.into()).await.unwrap().await.unwrap();
        }
        let messages = async || {
            let mut stream = context.get_stream("OBJ_reef-faults-objects").await.unwrap();
            stream.info().await.unwrap().state.messages
        };
        // Two of the object, two pieces of none, and one that says what was removed.
        assert_eq!(messages().await, 5);
        let hour = Duration::from_secs(3600);
        assert_eq!(objects.sweep(hour).await.unwrap(), 0, "it may be sent just now");
        assert_eq!(messages().await, 5);
        assert_eq!(objects.sweep(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(messages().await, 2);
        let pieces: Vec<_> = objects.get(&digest).await.unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"hello");
    }
}
