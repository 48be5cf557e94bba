use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{Expected, Lattice};

const SOON: Duration = Duration::from_secs(20);

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn put(text: &str, revision: u64) -> Change {
    let value = Bytes::from(revision.to_string());
    Change::Put(Entry { key: key(text), value, revision })
}

fn keys(view: &View) -> Vec<&str> {
    view.below("").map(|entry| entry.key.as_str()).collect()
}

#[test]
fn what_is_known_stays_until_all_is_told_anew() {
    let mut view = View::default();
    for change in [Change::Anew, put("a", 1), put("b", 2)] {
        view.apply(change);
        assert!(keys(&view).is_empty() && !view.is_current());
    }
    view.apply(Change::Current);
    assert_eq!((keys(&view), view.is_current(), view.revision()), (vec!["a", "b"], true, 2));
    view.apply(Change::Lost);
    assert_eq!((keys(&view), view.is_current()), (vec!["a", "b"], false));
    for change in [Change::Anew, put("b", 3), put("c", 4), Change::Deleted(key("c"), 5)] {
        view.apply(change);
        assert_eq!((keys(&view), view.is_current()), (vec!["a", "b"], false));
    }
    view.apply(Change::Current);
    assert_eq!((keys(&view), view.is_current()), (vec!["b"], true));
    view.apply(Change::Lost);
    view.apply(put("d", 6));
    assert_eq!((keys(&view), view.is_current(), view.revision()), (vec!["b", "d"], true, 6));
}

proptest! {
    #[test]
    fn below_is_what_is_below(
        names in proptest::collection::btree_set("[ab-]{1,2}(\\.[ab-]{1,2}){0,2}", 0..20),
        prefix in "([ab-]{1,2}(\\.[ab-]{1,2})?)?",
    ) {
        let mut view = View::default();
        for name in &names {
            view.apply(put(name, 1));
        }
        let wanted: Vec<_> = names.iter().map(|name| key(name)).filter(|key| key.is_below(&prefix)).collect();
        let mut found: Vec<_> = view.below(&prefix).map(|entry| entry.key.clone()).collect();
        found.sort();
        let mut wanted = wanted;
        wanted.sort();
        prop_assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn it_follows_the_store_and_ends_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = Lattice::local(folder.path()).unwrap().store;
    store.put(&key("a.1"), "x".into(), Expected::Any).await.unwrap();
    store.put(&key("b.1"), "x".into(), Expected::Any).await.unwrap();
    let mut mirror = Mirror::start(&store, &["a"]).unwrap();
    let current = mirror.until(|view| view.is_current().then(|| keys(view).len()), SOON).await;
    assert_eq!(current, Some(1));
    let mut other = mirror.clone();
    other.count.mark_unchanged();
    mirror.count.mark_unchanged();
    for number in 2..50 {
        let key = key(&format!("a.{number}"));
        store.put(&key, "x".into(), Expected::Any).await.unwrap();
    }
    store.delete(&key("a.1"), Expected::Any).await.unwrap();
    let gone = |view: &View| view.get(&key("a.1")).is_none().then_some(());
    assert!(other.until(gone, SOON).await.is_some());
    assert_eq!(mirror.below("a").len(), 48);
    assert_eq!(mirror.get(&key("a.7")).unwrap().value, "x");
    assert!(mirror.get(&key("b.1")).is_none());
    // However many changes there were: one, for each that waits.
    for one in [&mut mirror, &mut other] {
        tokio::time::timeout(SOON, one.changed()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), one.changed()).await.is_err());
    }
    assert!(
        mirror
            .until(|view| view.get(&key("a.x")).cloned(), Duration::from_millis(20))
            .await
            .is_none()
    );
    let shared = Arc::downgrade(&mirror.shared);
    drop(mirror);
    assert!(shared.upgrade().is_some());
    drop(other);
    let ended = async {
        while shared.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ended).await.unwrap();
}
