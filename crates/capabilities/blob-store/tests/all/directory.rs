//! Files: where they are, and what cannot lead out of there.

use std::{fs, os::unix::fs::symlink};

use reef_blob_store::{CONTAINER, OBJECT};

use super::*;

fn store(folder: &Path) -> Arc<dyn BlobStore> {
    opened("file", &[("root", folder.to_str().unwrap())], None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_backend_does() {
    let folder = tempfile::tempdir().unwrap();
    let outer = fs::read_dir(folder.path()).unwrap().count();
    let root = folder.path().join("deep/root");
    suite::all(&*store(&root), "t").await;
    // Deleted containers are removed in the background; `deep` is all there is beside.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), outer + 1);
}

#[tokio::test]
async fn without_a_root_it_is_among_the_applications_data_and_stays() {
    let data = tempfile::tempdir().unwrap();
    let first = opened("file", &[], Some(data.path())).unwrap();
    first.create_container("c").await.unwrap();
    put(&*first, at("c", "a/b"), &[b"1"]).await.unwrap();
    drop(first);
    assert_eq!(fs::read(data.path().join("blobs/c/a%2Fb")).unwrap(), b"1");
    let second = opened("file", &[], Some(data.path())).unwrap();
    assert_eq!(get(&*second, at("c", "a/b")).await.unwrap(), b"1");
}

#[tokio::test]
async fn without_data_nothing_is_kept() {
    let store = opened("file", &[], None).unwrap();
    store.create_container("c").await.unwrap();
    put(&*store, at("c", "a"), &[b"1"]).await.unwrap();
    assert_eq!(get(&*store, at("c", "a")).await.unwrap(), b"1");
}

#[tokio::test]
async fn a_root_that_is_no_folder_is_told_when_it_is_opened() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = opened("file", &[("root", file.path().to_str().unwrap())], None).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[tokio::test]
async fn links_lead_nowhere() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let store = store(folder.path());
    store.create_container("c").await.unwrap();
    symlink(outside.path().join("secret"), folder.path().join("c/link")).unwrap();
    symlink(outside.path(), folder.path().join("away")).unwrap();

    assert!(is_missing(OBJECT, &get(&*store, at("c", "link")).await));
    assert!(is_missing(OBJECT, &store.info(at("c", "link")).await));
    assert!(is_missing(OBJECT, &store.copy(at("c", "link"), at("c", "copy")).await));
    assert!(is_missing(OBJECT, &store.rename(at("c", "link"), at("c", "moved")).await));
    assert!(names(&*store, "c").await.unwrap().is_empty());
    assert!(get(&*store, at("away", "secret")).await.is_err());
    assert!(put(&*store, at("away", "new"), &[b"1"]).await.is_err());
    assert!(store.clear("away").await.is_err());
    assert!(store.delete_container("away").await.is_err());

    // Written over, it is the object's own file.
    put(&*store, at("c", "link"), &[b"mine"]).await.unwrap();
    assert_eq!(get(&*store, at("c", "link")).await.unwrap(), b"mine");
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_no_file_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create_container("c").await.unwrap();
    fs::create_dir(folder.path().join("c/folder")).unwrap();
    let fifo = folder.path().join("c/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for name in ["folder", "pipe"] {
        assert!(is_missing(OBJECT, &get(&*store, at("c", name)).await), "{name}");
        assert!(is_missing(OBJECT, &store.info(at("c", name)).await), "{name}");
    }
    assert!(names(&*store, "c").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_left_is_removed_and_what_is_under_way_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    first.create_container("c").await.unwrap();
    let old = folder.path().join("c/.partial-old");
    let young = folder.path().join("c/.partial-young");
    let deleted = folder.path().join(".deleted-1");
    fs::create_dir(&deleted).unwrap();
    for file in [&old, &young, &deleted.join("x")] {
        fs::write(file, "half").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    assert!(names(&*first, "c").await.unwrap().is_empty());
    drop(first);

    let again = store(folder.path());
    until(|| !old.exists() && !deleted.exists()).await;
    assert!(young.exists(), "another process may be writing it");
    assert!(is_missing(CONTAINER, &again.container_info(".deleted-1").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_dropped_upload_no_file_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create_container("c").await.unwrap();
    let mut upload = store.write(at("c", "x")).await.unwrap();
    upload.write(pattern(1 << 20).into()).await.unwrap();
    drop(upload);
    let inside = || fs::read_dir(folder.path().join("c")).unwrap().count();
    until(|| inside() == 0).await;
}

/// Readers see one version or the other while writers and deleters are at work, from two processes' views.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_are_whole_while_others_write_and_containers_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (store(folder.path()), store(folder.path()));
    let work = |store: Arc<dyn BlobStore>, byte: u8| async move {
        for nth in 0..150_u32 {
            match store.create_container("c").await {
                Ok(()) | Err(Failure::Conflict(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
            let content = vec![byte; 1 + (nth as usize * 7919) % 100_000];
            let done = put(&*store, at("c", "x"), &[&content]).await;
            assert!(done.is_ok() || is_missing(CONTAINER, &done), "{done:?}");
            match get(&*store, at("c", "x")).await {
                Ok(content) => assert!(content.iter().all(|byte| *byte == content[0])),
                Err(failure) => assert!(matches!(failure, Failure::NotFound { .. }), "{failure:?}"),
            }
            if nth % 10 == 9 {
                let gone = store.delete_container("c").await;
                assert!(gone.is_ok() || is_missing(CONTAINER, &gone), "{gone:?}");
            }
        }
    };
    let both = [tokio::spawn(work(a, b'a')), tokio::spawn(work(b, b'b'))];
    for one in both {
        one.await.unwrap();
    }
}

/// A small file system of its own, where this process may make one.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_costs_nothing_that_was_there() {
    let Some(disk) = Disk::mount("2m") else {
        assert!(!rustix::process::getuid().is_root() || std::env::var_os("CI").is_none());
        return;
    };
    let store = store(&disk.folder.path().join("root"));
    store.create_container("c").await.unwrap();
    let kept = pattern(500_000);
    put(&*store, at("c", "kept"), &[&kept]).await.unwrap();
    for _ in 0..3 {
        let full = put(&*store, at("c", "more"), &[&pattern(4 << 20)]).await;
        assert!(matches!(full, Err(Failure::Full(_))), "{full:?}");
        let over = put(&*store, at("c", "kept"), &[&pattern(4 << 20)]).await;
        assert!(matches!(over, Err(Failure::Full(_))), "{over:?}");
    }
    assert_eq!(get(&*store, at("c", "kept")).await.unwrap(), kept);
    assert_eq!(names(&*store, "c").await.unwrap(), ["kept"]);
    put(&*store, at("c", "small"), &[&pattern(500_000)]).await.unwrap();
}

struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        mount.stderr(std::process::Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self { folder })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), wait).await.unwrap();
}
