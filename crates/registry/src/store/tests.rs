#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn put(store: &Store, bytes: &[u8]) -> Digest {
    store.put(bytes).unwrap();
    Digest::of(bytes)
}

fn age(store: &Store, digest: &Digest, hours: u64) {
    let file = fs::File::open(store.blobs.join(digest.hex())).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

#[test]
fn what_was_kept_is_found_by_its_digest_also_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("artifacts"), 100).unwrap();
    let digest = put(&store, b"some bytes");
    let other = Store::open(&folder.path().join("artifacts"), 100).unwrap();
    assert_eq!(other.find(&digest), Some(b"some bytes".to_vec()));
    assert_eq!(other.find(&Digest::of(b"others")), None);
}

#[test]
fn what_is_damaged_is_not_used_and_not_kept() {
    let store = Store::temporary(100).unwrap();
    let digest = put(&store, b"some bytes");
    let path = store.blobs.join(digest.hex());
    for damaged in [&b"some_bytes"[..], b"some", b"", b"some bytes and more"] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(store.find(&digest), None);
        assert!(!path.exists());
    }
    put(&store, b"some bytes");
    assert!(store.find(&digest).is_some());
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let store = Store::temporary(25).unwrap();
    let [first, second] = [&b"first....."[..], b"second...."].map(|bytes| put(&store, bytes));
    age(&store, &first, 4);
    age(&store, &second, 5);
    // Used: it is the younger one from now on.
    assert!(store.find(&second).is_some());
    put(&store, b"third.....");
    assert!(store.find(&first).is_none());
    assert!(store.find(&second).is_some());
    // What would never fit throws nothing out.
    let large = put(&store, &[7; 26]);
    assert!(store.find(&large).is_none());
    assert!(store.find(&second).is_some());
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_living_one_writes_stays() {
    let store = Store::temporary(100).unwrap();
    let living = store.incoming().unwrap();
    let dead = store.blobs.join(".new-dead");
    let file = fs::File::create(&dead).unwrap();
    file.set_modified(SystemTime::now() - STALE - RENEW).unwrap();
    put(&store, b"some bytes");
    assert!(!dead.exists());
    assert!(living.file.path().exists());
}

#[test]
fn what_a_reference_was_is_remembered() {
    let store = Store::temporary(100).unwrap();
    let digest = Digest::of(b"some bytes");
    assert_eq!(store.last("oci://a/b:1"), None);
    store.remember("oci://a/b:1", &digest, Some("\"1\"".to_owned()));
    let record = store.last("oci://a/b:1").unwrap();
    assert_eq!((record.digest(), record.etag), (Some(digest), Some("\"1\"".to_owned())));
    fs::write(store.record("oci://a/b:1"), b"{").unwrap();
    assert_eq!(store.last("oci://a/b:1"), None);
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(Store::open(folder.path(), 100), Err(StoreError::NotPrivate(_))));
}
