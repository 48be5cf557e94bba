use std::{path::PathBuf, time::Duration};

use futures::TryStreamExt as _;
use reef_lattice::{Digest, Failure, Lattice, Unheld};
use sha2::Digest as _;

use crate::{Place, soon};

crate::everywhere!(
    what_is_put_is_got,
    nothing_is_there_until_it_is_whole_and_right,
    two_at_once_are_one,
    what_is_removed_is_gone,
    what_is_needed_is_not_removed,
    who_needs_it_and_who_removes_it_agree,
);

fn digest(bytes: &[u8]) -> Digest {
    let hash = sha2::Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").parse().unwrap()
}

fn file(place: &Place, name: &str, bytes: &[u8]) -> PathBuf {
    let path = place.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Some bytes, each time the same.
fn bytes(size: usize) -> Vec<u8> {
    let mut state = size as u64;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

async fn got(lattice: &Lattice, digest: &Digest) -> Result<Vec<u8>, Failure> {
    let mut pieces = lattice.objects.get(digest).await?;
    let mut all = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        assert!(piece.len() <= 1 << 20);
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

async fn what_is_put_is_got(place: Place) {
    let objects = &place.lattice.objects;
    let mut all = Vec::new();
    for size in [0, 1, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 5 << 20] {
        let bytes = bytes(size);
        let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
        assert!(!objects.has(&digest).await.unwrap());
        let missing = got(&place.lattice, &digest).await.unwrap_err();
        assert!(matches!(missing, Failure::NotFound { .. }), "{missing:?}");
        for _ in 0..2 {
            soon(objects.put(&digest, &file)).await.unwrap();
            assert!(objects.has(&digest).await.unwrap());
            assert!(soon(got(&place.lattice, &digest)).await.unwrap() == bytes, "{size}");
        }
        all.push(digest);
        all.sort();
        assert_eq!(list(&place.lattice).await, all);
    }
}

async fn nothing_is_there_until_it_is_whole_and_right(place: Place) {
    let objects = &place.lattice.objects;
    let bytes = bytes(1 << 20);
    let (right, wrong) = (digest(&bytes), file(&place, "wrong", &bytes[1..]));
    let refused = objects.put(&right, &wrong).await.unwrap_err();
    assert!(refused.to_string().contains(right.as_str()), "{refused}");
    assert!(!objects.has(&right).await.unwrap());
    assert!(objects.put(&right, &place.folder.path().join("none")).await.is_err());
    assert_eq!(list(&place.lattice).await, []);
    // One that is given up on its way.
    let file = file(&place, "right", &bytes);
    {
        let mut put = std::pin::pin!(objects.put(&right, &file));
        for _ in 0..3 {
            if futures::poll!(put.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    if objects.has(&right).await.unwrap() {
        assert!(got(&place.lattice, &right).await.unwrap() == bytes);
    }
    objects.put(&right, &file).await.unwrap();
    assert!(got(&place.lattice, &right).await.unwrap() == bytes);
}

async fn two_at_once_are_one(place: Place) {
    let bytes = bytes(3 << 20);
    let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
    let puts = (0..4).map(|_| {
        let (lattice, digest, file) = (place.lattice.clone(), digest.clone(), file.clone());
        tokio::spawn(async move { lattice.objects.put(&digest, &file).await })
    });
    for put in puts.collect::<Vec<_>>() {
        soon(put).await.unwrap().unwrap();
    }
    assert_eq!(list(&place.lattice).await, std::slice::from_ref(&digest));
    assert!(soon(got(&place.lattice, &digest)).await.unwrap() == bytes);
}

/// All that is there.
async fn list(lattice: &Lattice) -> Vec<Digest> {
    unheld(lattice).await.into_iter().map(|one| one.digest).collect()
}

async fn unheld(lattice: &Lattice) -> Vec<Unheld> {
    lattice.objects.unheld(Duration::ZERO).await.unwrap()
}

async fn what_is_removed_is_gone(place: Place) {
    let objects = &place.lattice.objects;
    let bytes = bytes(300 << 10);
    let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
    for _ in 0..2 {
        objects.put(&digest, &file).await.unwrap();
        let all = unheld(&place.lattice).await;
        let [one] = &all[..] else { panic!("{all:?}") };
        assert_eq!((&one.digest, one.size), (&digest, 300 << 10));
        assert!(objects.remove(one).await.unwrap());
        assert!(!objects.remove(one).await.unwrap());
        assert!(!objects.has(&digest).await.unwrap());
        assert!(!objects.hold(&digest, Duration::ZERO).await.unwrap());
        assert_eq!(unheld(&place.lattice).await, []);
        assert!(matches!(got(&place.lattice, &digest).await, Err(Failure::NotFound { .. })));
    }
    // Nothing is left of it, and it can come again.
    assert_eq!(objects.sweep(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(unheld(&place.lattice).await, []);
    objects.put(&digest, &file).await.unwrap();
    assert!(got(&place.lattice, &digest).await.unwrap() == bytes);
    assert_eq!(objects.sweep(Duration::ZERO).await.unwrap(), 0);
    assert!(got(&place.lattice, &digest).await.unwrap() == bytes);
}

async fn what_is_needed_is_not_removed(place: Place) {
    let objects = &place.lattice.objects;
    let bytes = bytes(300 << 10);
    let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
    objects.put(&digest, &file).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(objects.unheld(hour).await.unwrap(), [], "it was put just now");
    let listed = unheld(&place.lattice).await;
    let [before] = &listed[..] else { panic!("{listed:?}") };
    // Said within the hour: that is enough.
    assert!(objects.hold(&digest, hour).await.unwrap());
    assert_eq!(unheld(&place.lattice).await, listed);
    for say in [0, 1] {
        let listed = unheld(&place.lattice).await;
        let [one] = &listed[..] else { panic!("{listed:?}") };
        match say {
            0 => assert!(objects.hold(&digest, Duration::ZERO).await.unwrap()),
            _ => objects.put(&digest, &file).await.unwrap(),
        }
        assert!(!objects.remove(one).await.unwrap());
        assert!(!objects.remove(before).await.unwrap());
        assert!(got(&place.lattice, &digest).await.unwrap() == bytes);
        assert_eq!(list(&place.lattice).await, std::slice::from_ref(&digest));
    }
    // Nor does one that is read lose what it is made of.
    let mut pieces = objects.get(&digest).await.unwrap();
    let first = pieces.try_next().await.unwrap().unwrap();
    assert!(objects.hold(&digest, Duration::ZERO).await.unwrap());
    let rest: Vec<_> = pieces.try_collect().await.unwrap();
    assert!([&[first], &rest[..]].concat().concat() == bytes);
}

async fn who_needs_it_and_who_removes_it_agree(place: Place) {
    let objects = &place.lattice.objects;
    let bytes = bytes(200 << 10);
    let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
    for turn in 0..40_u64 {
        objects.put(&digest, &file).await.unwrap();
        let listed = unheld(&place.lattice).await;
        let hold = async {
            tokio::time::sleep(Duration::from_micros(turn % 8 * 100)).await;
            objects.hold(&digest, Duration::ZERO).await.unwrap()
        };
        let remove = async {
            tokio::time::sleep(Duration::from_micros(turn / 8 * 100)).await;
            objects.remove(&listed[0]).await.unwrap()
        };
        let (is_held, is_removed) = tokio::join!(hold, remove);
        assert_ne!(is_held, is_removed);
        match is_held {
            true => assert!(got(&place.lattice, &digest).await.unwrap() == bytes),
            false => assert!(!objects.has(&digest).await.unwrap()),
        }
    }
}
