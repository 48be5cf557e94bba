use std::path::PathBuf;

use futures::TryStreamExt as _;
use reef_lattice::{Digest, Failure, Lattice};
use sha2::Digest as _;

use crate::{Place, soon};

crate::everywhere!(
    what_is_put_is_got,
    nothing_is_there_until_it_is_whole_and_right,
    two_at_once_are_one,
    what_is_deleted_is_gone,
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
        assert_eq!(objects.list().await.unwrap(), all);
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
    assert_eq!(objects.list().await.unwrap(), []);
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
    assert_eq!(place.lattice.objects.list().await.unwrap(), std::slice::from_ref(&digest));
    assert!(soon(got(&place.lattice, &digest)).await.unwrap() == bytes);
}

async fn what_is_deleted_is_gone(place: Place) {
    let objects = &place.lattice.objects;
    let bytes = bytes(300 << 10);
    let (digest, file) = (digest(&bytes), file(&place, "a", &bytes));
    objects.delete(&digest).await.unwrap();
    for _ in 0..2 {
        objects.put(&digest, &file).await.unwrap();
        objects.delete(&digest).await.unwrap();
        objects.delete(&digest).await.unwrap();
        assert!(!objects.has(&digest).await.unwrap());
        assert_eq!(objects.list().await.unwrap(), []);
        assert!(matches!(got(&place.lattice, &digest).await, Err(Failure::NotFound { .. })));
    }
}
