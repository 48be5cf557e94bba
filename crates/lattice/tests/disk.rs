//! A folder that somebody else writes to.
#![allow(clippy::unwrap_used, reason = "tests")]

use futures::TryStreamExt as _;
use reef_lattice::{Expected, Failure, Key, Lattice};

#[tokio::test]
async fn a_damaged_object_is_found_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let lattice = Lattice::local(folder.path()).unwrap();
    let file = folder.path().join("hello");
    std::fs::write(&file, "hello").unwrap();
    let hex = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let digest = format!("sha256:{hex}").parse().unwrap();
    let kept = folder.path().join("objects").join(&hex[..2]).join(&hex[2..]);
    for damage in ["Hello", "hell", "hello!", ""] {
        lattice.objects.put(&digest, &file).await.unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), b"hello");
        std::fs::write(&kept, damage).unwrap();
        let read: Result<Vec<_>, _> =
            lattice.objects.get(&digest).await.unwrap().try_collect().await;
        let failed = read.unwrap_err();
        assert!(failed.to_string().contains(hex), "{failed}");
        assert!(!kept.exists());
        assert!(!lattice.objects.has(&digest).await.unwrap());
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    drop(Lattice::local(folder.path()).unwrap());
    let unfinished = folder.path().join("objects/unfinished/some");
    std::fs::write(&unfinished, "half of").unwrap();
    let lattice = Lattice::local(folder.path()).unwrap();
    assert!(!unfinished.exists());
    assert_eq!(lattice.objects.unheld(std::time::Duration::ZERO).await.unwrap(), []);
}

#[tokio::test]
async fn one_at_a_time_has_it_and_the_next_has_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let lattice = Lattice::local(folder.path()).unwrap();
    let second = Lattice::local(folder.path()).unwrap_err();
    assert!(matches!(&second, Failure::Unavailable { why, .. } if why.contains("by this process")));
    let (kept, gone) = (Key::parse("a").unwrap(), Key::parse("b").unwrap());
    lattice.store.put(&kept, "x".into(), Expected::Absent).await.unwrap();
    let last = lattice.store.put(&gone, "x".into(), Expected::Absent).await.unwrap();
    lattice.store.delete(&gone, Expected::Any).await.unwrap();
    drop(lattice);
    let lattice = Lattice::local(folder.path()).unwrap();
    assert_eq!(lattice.store.get(&kept).await.unwrap().unwrap().value, "x");
    assert!(lattice.store.get(&gone).await.unwrap().is_none());
    let next = lattice.store.put(&gone, "y".into(), Expected::Absent).await.unwrap();
    assert!(next > last + 1, "what was deleted counts, too");
}

#[tokio::test]
async fn no_lattice_where_none_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let failed = Lattice::local(&file).unwrap_err();
    assert!(failed.to_string().contains("file"), "{failed}");
    std::fs::write(folder.path().join("lattice.redb"), vec![b'x'; 10_000]).unwrap();
    let failed = Lattice::local(folder.path()).unwrap_err();
    assert!(failed.to_string().contains("lattice.redb"), "{failed}");
}
