#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;

use super::*;

#[test]
fn a_log_is_turned_over_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 1);
    fs::write(&path, "").unwrap();
    let mut out = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let log = Log { path: path.clone(), length: AtomicU64::new(0), turning: Mutex::default() };
    let line = vec![b'x'; 1 << 20];
    for _ in 0..25 {
        out.write_all(&line).unwrap();
        log.written(line.len());
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), 5 << 20);
    assert_eq!(fs::metadata(folder.path().join("up-1.log.1")).unwrap().len(), 10 << 20);
}

#[test]
fn logs_of_those_that_ended_are_removed_but_for_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let own = file(folder.path(), std::process::id());
    let other = folder.path().join("up-notes.log");
    // No process has such a number.
    let ended: Vec<_> = (1..=8).map(|index| file(folder.path(), i32::MAX as u32 - index)).collect();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    for (index, path) in [&own, &other].into_iter().chain(&ended).enumerate() {
        let file = fs::File::create(path).unwrap();
        file.set_modified(long_ago + std::time::Duration::from_secs(index as u64)).unwrap();
    }
    tidy(folder.path());
    let there: Vec<_> = ended.iter().map(|path| path.exists()).collect();
    assert_eq!(there, [false, false, false, true, true, true, true, true]);
    assert!(own.exists() && other.exists());
}
