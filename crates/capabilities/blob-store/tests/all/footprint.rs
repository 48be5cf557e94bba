//! A stream's memory does not grow with it: a process that moves a gibibyte says how much it ever had.

use std::process::Command;

use super::*;

const WHAT: &str = "REEF_TEST_FOOTPRINT";
const SIZE: u64 = 1 << 30;
/// Far less than is moved, and some more than a process of tests has anyhow.
const MOST_KIB: u64 = 96 << 10;

/// Not a test by itself: what the others start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var(WHAT) else { return };
    let (backend, at_what) = url.split_once('=').unwrap();
    let setting = if backend == "file" { "root" } else { "url" };
    let store = opened(backend, &[(setting, at_what)], None).unwrap();
    let (a, caller) = (linked(store, "gib", Policy::default()), caller());
    a.create(&caller).await.unwrap();
    let mut writing = a.put(&caller, "x").await.unwrap();
    let piece = Bytes::from(pattern(1 << 20));
    for _ in 0..SIZE >> 20 {
        writing.write(piece.clone()).await.unwrap();
    }
    writing.finish().await.unwrap();
    let mut blob = a.get(&caller, "x", 0..u64::MAX).await.unwrap();
    let mut writing = a.put(&caller, "y").await.unwrap();
    while let Some(piece) = blob.next().await.unwrap() {
        writing.write(piece).await.unwrap();
    }
    writing.finish().await.unwrap();
    assert_eq!(a.object_info(&caller, "y").await.unwrap().size, SIZE);
    assert!(a.delete(&caller).await.unwrap());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak {kib} KiB");
    assert!(kib < MOST_KIB, "{kib} KiB");
}

pub(crate) fn is_small(backend: &str, at_what: &str) {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "footprint::child", "--nocapture"])
        .env(WHAT, format!("{backend}={at_what}"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("peak "), "{said}");
    println!("{said}");
}

#[test]
fn of_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    is_small("file", folder.path().to_str().unwrap());
}
