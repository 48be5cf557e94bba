#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    lattice: reef_lattice::Lattice,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lattice = reef_lattice::Lattice::local(&dir.path().join("lattice")).unwrap();
        Self { dir, lattice }
    }

    fn files(&self) -> Files {
        Files::new(self.lattice.objects.clone(), self.dir.path().join("host"))
    }

    /// Has the lattice keep a file.
    async fn file(&self, path: &str, text: &str) -> File {
        let local = self.dir.path().join("file");
        fs::write(&local, text).unwrap();
        let digest: Digest =
            format!("sha256:{}", hex(&Sha256::digest(text.as_bytes()))).parse().unwrap();
        self.lattice.objects.put(&digest, &local).await.unwrap();
        File { path: path.to_owned(), digest, size: text.len() as u64 }
    }

    /// What is there, at this host.
    fn there(&self, kind: &str) -> Vec<String> {
        let Ok(all) = fs::read_dir(self.dir.path().join("host").join(kind)) else {
            return Vec::new();
        };
        let mut all: Vec<_> =
            all.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    }
}

#[tokio::test]
async fn what_nobody_uses_is_removed_after_a_while_and_had_again_when_it_is_wanted() {
    let place = Place::new();
    let files = place.files();
    let (both, first) = (place.file("both", "both").await, place.file("first", "first").await);
    let second = place.file("in/second", "second").await;
    let one = files.folder(&[both.clone(), first.clone()]).await.unwrap();
    let other = files.folder(&[both.clone(), second.clone()]).await.unwrap();

    let (start, while_) = (Instant::now(), Duration::from_secs(60));
    files.tidy_once(start, while_).await;
    files.tidy_once(start + 2 * while_, while_).await;
    assert_eq!((place.there("folders").len(), place.there("files").len()), (2, 3));

    let gone = one.path().to_owned();
    drop(one);
    let seen = start + 3 * while_;
    for now in [seen, seen + while_ / 2] {
        files.tidy_once(now, while_).await;
        assert!(gone.exists());
    }
    // What was in it goes once it has gone.
    for pass in [2, 3] {
        files.tidy_once(seen + pass * while_, while_).await;
    }
    assert!(!gone.exists());
    assert_eq!(fs::read_to_string(other.path().join("in/second")).unwrap(), "second");
    let mut left = [both.digest.hex(), second.digest.hex()];
    left.sort_unstable();
    assert_eq!(place.there("files"), left);

    let again = files.folder(&[both, first]).await.unwrap();
    assert_eq!(again.path(), gone);
    assert_eq!(fs::read_to_string(gone.join("first")).unwrap(), "first");
}

#[tokio::test]
async fn what_is_used_again_in_time_stays_and_so_does_what_a_start_before_left() {
    let place = Place::new();
    let file = place.file("a", "a").await;
    let path = place.files().folder(std::slice::from_ref(&file)).await.unwrap().path().to_owned();

    let files = place.files();
    let (start, while_) = (Instant::now(), Duration::from_secs(60));
    files.tidy_once(start, while_).await;
    let used = files.folder(std::slice::from_ref(&file)).await.unwrap();
    files.tidy_once(start + 2 * while_, while_).await;
    assert!(path.exists());
    drop(used);
    // From then on that nobody was seen to use it.
    files.tidy_once(start + 3 * while_, while_).await;
    assert!(path.exists());
}

#[tokio::test]
async fn what_was_left_unfinished_is_removed_and_nothing_while_a_folder_is_made() {
    let place = Place::new();
    let files = place.files();
    let used = files.folder(&[place.file("a", "a").await]).await.unwrap();
    let host = place.dir.path().join("host");
    fs::create_dir(host.join("folders").join("00ff.0123456789abcdef")).unwrap();
    fs::write(host.join("files").join("00ff.unfinished"), "half").unwrap();
    fs::create_dir_all(host.join("unused/0123456789abcdef/in")).unwrap();

    let making = files.making.clone().read_owned().await;
    files.tidy_once(Instant::now(), Duration::ZERO).await;
    assert_eq!((place.there("folders").len(), place.there("files").len()), (2, 2));
    drop(making);
    files.tidy_once(Instant::now(), Duration::ZERO).await;
    assert_eq!((place.there("folders").len(), place.there("files").len()), (1, 1));
    assert!(used.path().join("a").exists());
    assert!(!host.join("unused").exists());
}
