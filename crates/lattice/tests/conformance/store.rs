use std::collections::BTreeMap;

use bytes::Bytes;
use futures::StreamExt as _;
use reef_lattice::{Change, Changes, Expected, Failure, Key};

use crate::{Place, soon};

crate::everywhere!(
    what_is_written_is_read,
    nothing_is_written_unless_as_expected,
    deleted_is_absent,
    one_of_many_wins,
    what_is_too_large_is_refused,
    a_watch_tells_what_there_is_and_then_what_changes,
    a_watch_is_of_its_prefixes_alone,
    a_slow_watch_comes_to_the_same,
    names_are_as_they_were_written,
    two_lattices_are_two,
);

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn is_conflict<T: std::fmt::Debug>(done: &Result<T, Failure>) -> bool {
    matches!(done, Err(Failure::Conflict(_)))
}

async fn next(changes: &mut Changes) -> Change {
    soon(changes.next()).await.unwrap()
}

/// What a watch says that there is, until it is `current`, with puts and deletions applied.
async fn told(changes: &mut Changes, known: &mut BTreeMap<String, Bytes>) -> Change {
    let change = next(changes).await;
    match &change {
        Change::Anew => known.clear(),
        Change::Put(entry) => {
            known.insert(entry.key.to_string(), entry.value.clone());
        }
        Change::Deleted(key, _) => {
            known.remove(key.as_str());
        }
        Change::Current | Change::Lost => {}
    }
    change
}

async fn what_is_written_is_read(place: Place) {
    let store = &place.lattice.store;
    place.lattice.check().await.unwrap();
    let (one, two) = (key("app.team.shop"), key("app.team.blog"));
    assert_eq!(store.get(&one).await.unwrap(), None);
    let mut last = 0;
    for value in ["", "a", "b"] {
        let first = store.put(&one, value.into(), Expected::Any).await.unwrap();
        let second = store.put(&two, "x".into(), Expected::Any).await.unwrap();
        assert!(last < first && first < second, "{last} {first} {second}");
        last = second;
        let entry = store.get(&one).await.unwrap().unwrap();
        assert_eq!((&*entry.value, entry.revision), (value.as_bytes(), first));
        assert_eq!(entry.key, one);
    }
}

async fn nothing_is_written_unless_as_expected(place: Place) {
    let (store, key) = (&place.lattice.store, key("want.host"));
    let early = store.put(&key, "a".into(), Expected::Revision(7)).await;
    assert!(is_conflict(&early), "{early:?}");
    let first = store.put(&key, "a".into(), Expected::Absent).await.unwrap();
    let again = store.put(&key, "b".into(), Expected::Absent).await;
    assert!(is_conflict(&again), "{again:?}");
    let second = store.put(&key, "b".into(), Expected::Revision(first)).await.unwrap();
    assert!(second > first);
    for wrong in [first, second + 1, 0] {
        let late = store.put(&key, "c".into(), Expected::Revision(wrong)).await;
        assert!(is_conflict(&late), "{wrong}: {late:?}");
        let late = store.delete(&key, Expected::Revision(wrong)).await;
        assert!(is_conflict(&late), "{wrong}: {late:?}");
    }
    assert!(is_conflict(&store.delete(&key, Expected::Absent).await));
    let entry = store.get(&key).await.unwrap().unwrap();
    assert_eq!((&*entry.value, entry.revision), (&b"b"[..], second));
}

async fn deleted_is_absent(place: Place) {
    let (store, key) = (&place.lattice.store, key("leader"));
    store.delete(&key, Expected::Any).await.unwrap();
    store.delete(&key, Expected::Revision(3)).await.unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let revision = store.put(&key, "a".into(), Expected::Absent).await.unwrap();
        assert!(revision > last);
        last = revision;
        store.delete(&key, Expected::Revision(revision)).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), None);
        let late = store.put(&key, "b".into(), Expected::Revision(revision)).await;
        assert!(is_conflict(&late), "{late:?}");
    }
    store.put(&key, "a".into(), Expected::Any).await.unwrap();
    store.delete(&key, Expected::Any).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
}

async fn one_of_many_wins(place: Place) {
    const TASKS: usize = 8;
    const ROUNDS: usize = 10;
    let (store, key) = (&place.lattice.store, key("counter"));
    store.put(&key, "".into(), Expected::Absent).await.unwrap();
    let tasks = (0..TASKS).map(|task| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let own = format!("{task}-{round}");
                // Whether a put may have been done of which it was not said.
                let mut unsure = false;
                loop {
                    let entry = match store.get(&key).await {
                        Ok(entry) => entry.unwrap(),
                        Err(Failure::Unavailable { .. } | Failure::Timeout(_)) => continue,
                        Err(other) => panic!("{other}"),
                    };
                    let text = std::str::from_utf8(&entry.value).unwrap();
                    if text.split(' ').any(|name| name == own) {
                        assert!(unsure, "{own} was said not to be written");
                        break;
                    }
                    let next = Bytes::from(format!("{text} {own}"));
                    match store.put(&key, next, Expected::Revision(entry.revision)).await {
                        Ok(_) => break,
                        Err(Failure::Conflict(_)) => {}
                        Err(Failure::Unavailable { .. } | Failure::Timeout(_)) => unsure = true,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        soon(task).await.unwrap();
    }
    let entry = store.get(&key).await.unwrap().unwrap();
    let mut names: Vec<_> = std::str::from_utf8(&entry.value).unwrap().split_whitespace().collect();
    assert_eq!(names.len(), TASKS * ROUNDS, "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TASKS * ROUNDS, "{names:?}");
}

async fn what_is_too_large_is_refused(place: Place) {
    let (store, key) = (&place.lattice.store, key("rev.team.shop.1"));
    place.lattice.check().await.unwrap();
    let most = store.max_value();
    store.put(&key, vec![b'x'; most].into(), Expected::Any).await.unwrap();
    let larger = store.put(&key, vec![b'x'; most + 1].into(), Expected::Any).await;
    assert!(matches!(larger, Err(Failure::TooLarge { .. })), "{larger:?}");
    assert_eq!(store.get(&key).await.unwrap().unwrap().value.len(), most);
}

async fn a_watch_tells_what_there_is_and_then_what_changes(place: Place) {
    let store = &place.lattice.store;
    let mut known = BTreeMap::new();
    let mut empty = store.watch(&[""]).await.unwrap();
    assert_eq!(next(&mut empty).await, Change::Anew);
    assert_eq!(next(&mut empty).await, Change::Current);
    let first = store.put(&key("app.a.b"), "1".into(), Expected::Any).await.unwrap();
    let Change::Put(entry) = next(&mut empty).await else { panic!() };
    assert_eq!((entry.key, &*entry.value, entry.revision), (key("app.a.b"), &b"1"[..], first));
    store.put(&key("app.a.b"), "2".into(), Expected::Any).await.unwrap();
    store.put(&key("app.a.c"), "3".into(), Expected::Any).await.unwrap();
    store.delete(&key("app.a.b"), Expected::Any).await.unwrap();
    let mut later = store.watch(&[""]).await.unwrap();
    for changes in [&mut empty, &mut later] {
        while !known.contains_key("app.a.c") || known.contains_key("app.a.b") {
            told(changes, &mut known).await;
        }
        known.clear();
    }
    store.delete(&key("app.a.c"), Expected::Any).await.unwrap();
    // What was replaced before it was told is not told: so that the other was deleted may be still to come.
    let mut gone = next(&mut empty).await;
    if matches!(&gone, Change::Deleted(other, _) if *other == key("app.a.b")) {
        gone = next(&mut empty).await;
    }
    assert!(matches!(&gone, Change::Deleted(gone, _) if *gone == key("app.a.c")), "{gone:?}");
}

async fn a_watch_is_of_its_prefixes_alone(place: Place) {
    let store = &place.lattice.store;
    let all = ["want.a", "want.ab", "want.a.b", "want-a", "route.x.y", "route.xx.y", "zone"];
    for one in all {
        store.put(&key(one), one.into(), Expected::Any).await.unwrap();
    }
    for (prefixes, wanted) in [
        (&["want.a"][..], &["want.a", "want.a.b"][..]),
        (&["want", "want.a"], &["want.a", "want.a.b", "want.ab"]),
        (&["route.x", "zone"], &["route.x.y", "zone"]),
        (&["nothing"], &[]),
        (&["", "want"], &all),
    ] {
        let mut changes = store.watch(prefixes).await.unwrap();
        let mut known = BTreeMap::new();
        while told(&mut changes, &mut known).await != Change::Current {}
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        assert_eq!(known.keys().map(String::as_str).collect::<Vec<_>>(), wanted, "{prefixes:?}");
        let other = key(if prefixes[0] == "route.x" { "want.other" } else { "route.other.x" });
        store.put(&other, "x".into(), Expected::Any).await.unwrap();
        if let Some(one) = wanted.first() {
            let again = format!("again, for {prefixes:?}");
            store.put(&key(one), again.clone().into(), Expected::Any).await.unwrap();
            while known.get(*one).is_none_or(|value| *value != again) {
                told(&mut changes, &mut known).await;
            }
        }
        assert_eq!(known.contains_key(other.as_str()), prefixes[0].is_empty());
        store.delete(&other, Expected::Any).await.unwrap();
    }
    for wrong in [&[][..], &["a b"], &["a.*"], &[">"], &["a."]] {
        let refused = store.watch(wrong).await.map(drop);
        assert!(matches!(refused, Err(Failure::Invalid(_))), "{wrong:?}");
    }
}

async fn a_slow_watch_comes_to_the_same(place: Place) {
    const WRITES: usize = 3000;
    let store = &place.lattice.store;
    let mut changes = store.watch(&["n"]).await.unwrap();
    let mut known = BTreeMap::new();
    while told(&mut changes, &mut known).await != Change::Current {}
    // Nobody looks meanwhile.
    let writes = (0..WRITES).map(|number| {
        let store = store.clone();
        async move {
            let key = key(&format!("n.{}", number % 500));
            store.put(&key, number.to_string().into(), Expected::Any).await.unwrap();
        }
    });
    futures::stream::iter(writes).for_each_concurrent(64, |write| write).await;
    store.put(&key("n.last"), "x".into(), Expected::Any).await.unwrap();
    soon(async {
        while known.len() != 501 {
            told(&mut changes, &mut known).await;
        }
    })
    .await;
    for (name, value) in &known {
        let entry = store.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(entry.value, value, "{name}");
    }
}

async fn names_are_as_they_were_written(place: Place) {
    let store = &place.lattice.store;
    let key = Key::new(&["want", "host-1.example.com", "A_b"]).unwrap();
    assert_eq!(key.as_str(), "want.host-1=example=com.A_b");
    store.put(&key, "x".into(), Expected::Any).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().unwrap().key, key);
    let below = Key::new(&["want", "host-1.example.com"]).unwrap();
    let mut changes = store.watch(&[below.as_str()]).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Anew);
    assert!(matches!(next(&mut changes).await, Change::Put(entry) if entry.key == key));
}

async fn two_lattices_are_two(place: Place) {
    let other = match &place._server {
        Some(server) => {
            let address = format!("{}/other", server.url()).parse().unwrap();
            reef_lattice::Lattice::nats(&address).unwrap()
        }
        None => reef_lattice::Lattice::local(&place.folder.path().join("other")).unwrap(),
    };
    place.lattice.store.put(&key("a"), "x".into(), Expected::Any).await.unwrap();
    assert_eq!(other.store.get(&key("a")).await.unwrap(), None);
}
