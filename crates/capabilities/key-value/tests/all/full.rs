//! A disk without room.

use std::{path::Path, process::Command};

use reef_capability::{Failure, Settings};

use super::{bytes, open};

/// A file system of a few megabytes, which goes away with this.
struct Small(tempfile::TempDir);

impl Small {
    /// None without the right to mount.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m", "reef-test"]).arg(folder.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_loses_nothing() {
    let Some(disk) = Small::new() else {
        println!(
            "Skipped: it takes the right to mount a file system, which this user does not have."
        );
        return;
    };
    // Something that can be taken away again.
    std::fs::write(disk.path().join("ballast"), vec![0; 2 << 20]).unwrap();
    let store = open("embedded", &Settings::default(), disk.path());
    let mut written = 0;
    let full = loop {
        match store.set("b", &written.to_string(), vec![7; 20_000].into()).await {
            Ok(()) => written += 1,
            Err(failure) => break failure,
        }
        assert!(written < 1000, "it is never full");
    };
    assert!(matches!(full, Failure::Full(_)), "{full:?}");
    assert!(written > 10, "only {written} were written");

    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    // It is opened again by who uses it next, as soon as nobody uses it any more.
    let again = async {
        while let Err(failure) = store.set("b", "again", bytes("1")).await {
            assert!(failure.is_of_backend(), "{failure:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), again).await.unwrap();
    for number in 0..written {
        let value = store.get("b", &number.to_string()).await.unwrap();
        assert_eq!(value.map(|value| value.len()), Some(20_000), "{number} was acknowledged");
    }
    let version = store.entry("b", "again").await.unwrap().unwrap().version;
    store.set("b", "again", bytes("1")).await.unwrap();
    assert_ne!(store.entry("b", "again").await.unwrap().unwrap().version, version);
}
