#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};
use wasmtime::Engine;

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn cache(limit: u64) -> (TempDir, Cache) {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let cache = Cache::open(dir.path(), limit).unwrap();
    (dir, cache)
}

/// As if it had last been used so long ago.
fn age(path: &Path, age: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn names(cache: &Cache, engine: &Engine) -> Vec<String> {
    let folder = cache.path(engine, "x");
    let entries = fs::read_dir(folder.parent().unwrap()).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let engine = Engine::default();
    let (_dir, cache) = cache(3 * (1000 + SEAL as u64));
    for (name, hours) in [("a", 30), ("b", 20), ("c", 10)] {
        cache.store(&engine, name, &[0; 1000]);
        age(&cache.path(&engine, name), HOUR * hours);
    }
    assert_eq!(names(&cache, &engine), ["a.code", "b.code", "c.code"]);
    // Used again, and so the newest.
    assert!(cache.load(&engine, "a").is_some());
    cache.store(&engine, "d", &[0; 1000]);
    assert_eq!(names(&cache, &engine), ["a.code", "c.code", "d.code"]);
    // What needs more room takes more.
    cache.store(&engine, "e", &[0; 2000 + SEAL]);
    assert_eq!(names(&cache, &engine), ["d.code", "e.code"]);
    assert!(cache.load(&engine, "b").is_none());
    assert!(cache.load(&engine, "e").is_some());
}

#[test]
fn what_is_larger_than_the_cache_drives_nothing_out() {
    let engine = Engine::default();
    let (_dir, cache) = cache(2000);
    cache.store(&engine, "a", &[0; 1000]);
    cache.store(&engine, "b", &[0; 2000]);
    assert_eq!(names(&cache, &engine), ["a.code"]);
}

#[test]
fn only_what_the_cache_wrote_is_ever_removed() {
    let engine = Engine::default();
    let (dir, cache) = cache(1000 + SEAL as u64);
    cache.store(&engine, "a", &[0; 1000]);
    let own = cache.path(&engine, "a").parent().unwrap().to_owned();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    let strange = [
        dir.path().join("notes.code"),
        photos.join("0001.jpg"),
        photos.join("mine.code"),
        photos.join(".old.tmp"),
        own.join("README"),
    ];
    let (fresh, left) = (own.join(".1-1.tmp"), own.join(".1-2.tmp"));
    for path in strange.iter().chain([&fresh, &left]) {
        fs::write(path, [0; 5000]).unwrap();
        age(path, 100 * HOUR);
    }
    age(&fresh, HOUR / 2);
    cache.store(&engine, "b", &[0; 1000]);
    assert!(strange.iter().all(|path| path.exists()));
    // Half written: by a process that may be at it still, and by one that is long gone.
    assert!(fresh.exists() && !left.exists());
    assert_eq!(names(&cache, &engine), [".1-1.tmp", "README", "b.code"]);
}

#[test]
fn a_damaged_entry_is_removed_and_one_of_another_artifact_too() {
    let engine = Engine::default();
    let (_dir, cache) = cache(1 << 20);
    cache.store(&engine, "a", b"machine code");
    cache.store(&engine, "b", b"machine code");
    let (a, b) = (cache.path(&engine, "a"), cache.path(&engine, "b"));
    fs::copy(&b, &a).unwrap();
    assert!(cache.load(&engine, "a").is_none() && !a.exists());
    let whole = fs::read(&b).unwrap();
    fs::write(&b, &whole[..whole.len() - 1]).unwrap();
    assert!(cache.load(&engine, "b").is_none() && !b.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a list in the order of use.
    #[test]
    fn never_larger_than_its_limit(
        limit in 0u64..400,
        stored in prop::collection::vec((0u8..6, 0usize..200), 1..20),
    ) {
        let engine = Engine::default();
        let (_dir, cache) = cache(limit);
        let mut expected: Vec<(String, u64)> = Vec::new();
        let count = stored.len();
        for (time, (name, size)) in stored.into_iter().enumerate() {
            let (name, more) = (name.to_string(), (size + SEAL) as u64);
            cache.store(&engine, &name, &vec![0; size]);
            if more <= limit {
                age(&cache.path(&engine, &name), HOUR * (count - time) as u32);
                while expected.iter().map(|(_, size)| size).sum::<u64>() + more > limit {
                    expected.remove(0);
                }
                expected.retain(|(other, _)| *other != name);
                expected.push((name, more));
            }
            let wanted: BTreeMap<_, _> = expected.iter().cloned().collect();
            let found: BTreeMap<_, _> = names(&cache, &engine)
                .into_iter()
                .map(|file| {
                    let name = file.trim_end_matches(ENTRY).to_owned();
                    let size = fs::metadata(cache.path(&engine, &name)).unwrap().len();
                    (name, size)
                })
                .collect();
            prop_assert!(found.values().sum::<u64>() <= limit);
            prop_assert_eq!(found, wanted);
        }
    }
}
