//! The code cache: damaged, contended, foreign, full.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use tempfile::{TempDir, tempdir};

use crate::{
    process::{Ended, finish},
    support::{guest, reef},
};

const GUEST: &str = "p1-sha";
const ROUNDS: &str = "10";

/// A folder that only its owner may write to, as the cache wants it.
fn folder() -> TempDir {
    let dir = tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn command(cache: &Path) -> Command {
    let mut command = reef();
    command.arg("run").arg("--cache-dir").arg(cache).arg(guest(GUEST)).args(["--", ROUNDS]);
    command
}

fn run(cache: &Path) -> Ended {
    finish(command(cache), b"")
}

#[track_caller]
fn assert_right(ended: &Ended) {
    ended.prints(&["10 rounds: "]);
}

/// Every file in the cache.
fn files(cache: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(cache).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found
}

#[track_caller]
fn entry(cache: &Path) -> PathBuf {
    let files = files(cache);
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[test]
fn compiled_code_is_kept_and_used() {
    let cache = folder();
    assert_right(&run(cache.path()));
    let entry = entry(cache.path());
    let first = fs::metadata(&entry).unwrap();
    assert_eq!(first.permissions().mode() & 0o077, 0, "others may not even read it");
    let again = run(cache.path());
    assert_right(&again);
    assert_eq!(again.stderr, "");
    // Not written again.
    assert_eq!(fs::metadata(&entry).unwrap().modified().unwrap(), first.modified().unwrap());
}

#[test]
fn without_a_cache_nothing_is_written() {
    let cache = folder();
    let mut plain = reef();
    plain.args(["run", "--no-cache", "--cache-dir"]).arg(cache.path()).arg(guest(GUEST));
    plain.args(["--", ROUNDS]);
    assert_right(&finish(plain, b""));
    assert_eq!(files(cache.path()).len(), 0);
}

#[test]
fn damaged_entries_are_found_out_and_repaired() {
    let cache = folder();
    assert_right(&run(cache.path()));
    let entry = entry(cache.path());
    let whole = fs::read(&entry).unwrap();
    let last = whole.len() - 1;
    let mut damages: Vec<Vec<u8>> = [0, 4, last / 3, last / 2, last - 50, last - 20, last]
        .map(|at| {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            damaged
        })
        .to_vec();
    damages.extend([0, 1, 47, 48, last / 2, last].map(|length| whole[..length].to_vec()));
    damages.push([&whole[..], b"more"].concat());
    damages.push(b"\x7fELF and nothing else".to_vec());
    damages.push(vec![0; whole.len()]);
    for (number, damaged) in damages.into_iter().enumerate() {
        fs::write(&entry, damaged).unwrap();
        let ended = run(cache.path());
        assert_right(&ended);
        assert!(ended.stderr.contains("compiled anew"), "{number}: {}", ended.stderr);
        let repaired = run(cache.path());
        assert_right(&repaired);
        assert_eq!(repaired.stderr, "", "{number} was not repaired");
    }
}

#[test]
fn what_is_no_file_is_no_entry() {
    let cache = folder();
    assert_right(&run(cache.path()));
    let entry = entry(cache.path());
    fs::remove_file(&entry).unwrap();
    symlink("/no/such/file", &entry).unwrap();
    assert_right(&run(cache.path()));
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    assert_right(&run(cache.path()));
}

#[test]
fn many_writers_at_once_do_not_disturb_each_other() {
    let cache = folder();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let command = command(cache.path());
            thread::spawn(|| finish(command, b""))
        })
        .collect();
    for thread in threads {
        let ended = thread.join().unwrap();
        assert_right(&ended);
        assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    }
    // One entry, and nothing half written.
    entry(cache.path());
    assert_eq!(run(cache.path()).stderr, "");
}

#[test]
fn a_folder_that_others_can_write_to_is_not_used() {
    let cache = folder();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(mode)).unwrap();
        let ended = run(cache.path());
        assert_right(&ended);
        assert!(ended.stderr.contains("make it private with `chmod 700`"), "{}", ended.stderr);
        assert_eq!(files(cache.path()).len(), 0);
    }
    // Nor is a folder of code inside it.
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_right(&run(cache.path()));
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    for place in [&file, &file.join("below"), Path::new("/proc/no/such")] {
        let ended = run(place);
        assert_right(&ended);
        assert!(ended.stderr.contains("Compiled code is not kept"), "{}", ended.stderr);
    }

    let read_only = dir.path().join("read-only");
    fs::create_dir(&read_only).unwrap();
    fs::set_permissions(&read_only, fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser writes to it all the same.
    assert_right(&run(&read_only));

    // Neither a home nor anything else to put it in.
    let mut homeless = Command::new(env!("CARGO_BIN_EXE_reef"));
    homeless.env_clear().arg("run").arg(guest(GUEST)).args(["--", ROUNDS]);
    assert_right(&finish(homeless, b""));
}

#[test]
fn a_full_disk_costs_time_only() {
    // As a limit on the size of files: writing fails in the middle of an entry.
    let cache = folder();
    let limited = |script: &str| {
        let inner = command(cache.path());
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(cache.path()).arg(inner.get_program());
        shell.args(inner.get_args());
        shell
    };
    let ended = finish(limited("trap '' XFSZ; ulimit -f 128; shift; exec \"$@\""), b"");
    assert_right(&ended);
    assert!(ended.stderr.contains("Compiled code is not kept"), "{}", ended.stderr);
    assert_eq!(files(cache.path()).len(), 0, "a part of an entry was left behind");

    // As a file system of its own that is too small, where this user may mount one.
    let mounts = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none"])
        .arg(cache.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if mounts {
        let mut full = Command::new("unshare");
        let inner = limited(
            "mount -t tmpfs -o size=32k,mode=700 none \"$1\"; shift; \"$@\"; \
             status=$?; find \"$4\" -type f; exit $status",
        );
        full.args(["-rm"]).arg(inner.get_program()).args(inner.get_args());
        let ended = finish(full, b"");
        assert_right(&ended);
        assert!(ended.stderr.contains("Compiled code is not kept"), "{}", ended.stderr);
        assert!(!ended.stdout.contains(".tmp"), "{}", ended.stdout);
    }
}

/// Whole and undamaged, but of another artifact: it must not run in its place.
#[test]
fn an_entry_under_the_name_of_another_is_not_used() {
    let cache = folder();
    let mut other = reef();
    other.args(["run", "--cache-dir"]).arg(cache.path()).arg(guest("p1-unstable"));
    assert_eq!(finish(other, b"").status(), 7);
    let foreign = entry(cache.path());
    assert_right(&run(cache.path()));
    let own = files(cache.path()).into_iter().find(|file| *file != foreign).unwrap();
    fs::copy(&foreign, &own).unwrap();
    let ended = run(cache.path());
    assert_right(&ended);
    assert!(ended.stderr.contains("compiled anew"), "{}", ended.stderr);
}

#[test]
fn a_full_cache_makes_room_and_leaves_other_files_alone() {
    let cache = folder();
    assert_right(&run(cache.path()));
    let own = entry(cache.path());
    // As large as the whole cache may be, without taking room on the disk.
    let old = own.with_file_name("0ld.code");
    let photos = cache.path().join("photos");
    fs::create_dir(&photos).unwrap();
    let photo = photos.join("0001.jpg");
    for path in [&old, &photo] {
        let file = fs::File::create(path).unwrap();
        file.set_len(4 << 30).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let mut other = reef();
    other.args(["run", "--cache-dir"]).arg(cache.path()).arg(guest("p1-unstable"));
    assert_eq!(finish(other, b"").status(), 7);
    assert!(!old.exists() && own.exists() && photo.exists());
    assert_eq!(run(cache.path()).stderr, "");
}
