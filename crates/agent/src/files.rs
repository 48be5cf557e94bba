//! Files of applications on this machine: had once from the lattice, then from the disk, for as long as they are of use.

mod unused;

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use reef_lattice::{Digest, Failure, Objects, record::File};
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, sync::RwLock};

use self::unused::Known;

/// How long one piece of a file may take to come.
const PIECE: Duration = Duration::from_secs(30);
/// Files of one folder that are fetched at once.
const AT_ONCE: usize = 16;

/// How long what nobody uses stays: what is gone back to soon, or was moved away for a moment, is not fetched again.
const UNUSED: Duration = Duration::from_secs(30 * 60);

/// A folder with files in it, which is there for as long as this is held.
#[derive(Debug)]
pub(crate) struct Folder(Arc<PathBuf>);

/// Files by digest, and folders made of them.
pub(crate) struct Files {
    objects: Arc<dyn Objects>,
    root: PathBuf,
    /// One at a time has the same file fetched.
    fetching: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    known: Arc<Known>,
    /// Held by who makes a folder, and alone by who removes some.
    making: Arc<RwLock<()>>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Files {
    /// Below a folder.
    pub(crate) fn new(objects: Arc<dyn Objects>, root: PathBuf) -> Self {
        Self {
            objects,
            root,
            fetching: Mutex::default(),
            known: Arc::default(),
            making: Arc::default(),
        }
    }

    /// Removes what is of no use any more, for as long as the host is there.
    pub(crate) async fn tidy(&self) {
        loop {
            tokio::time::sleep(UNUSED / 3).await;
            self.tidy_once(Instant::now(), UNUSED).await;
        }
    }

    /// A folder with these files in it. It is the same one for the same files.
    pub(crate) async fn folder(&self, files: &[File]) -> Result<Folder, Failure> {
        let _making = self.making.read().await;
        let mut sorted: Vec<_> = files.iter().collect();
        sorted.sort();
        let mut name = Sha256::new();
        for file in &sorted {
            name.update(file.path.as_bytes());
            name.update([0]);
            name.update(file.digest.as_str());
        }
        let folder = self.root.join("folders").join(hex(&name.finalize()));
        let held = self.known.hold(&folder);
        if tokio::fs::try_exists(&folder).await.unwrap_or(false) {
            return Ok(held);
        }
        let unfinished = folder.with_extension(format!("{:016x}", fastrand::u64(..)));
        let made = self.fill(&unfinished, &sorted).await;
        let moved = match made {
            Ok(()) => tokio::fs::rename(&unfinished, &folder).await.map_err(|e| disk(&folder, &e)),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = moved {
            let _ = tokio::fs::remove_dir_all(&unfinished).await;
            // Another placement may have made it meanwhile.
            if !tokio::fs::try_exists(&folder).await.unwrap_or(false) {
                return Err(failure);
            }
        }
        Ok(held)
    }

    async fn fill(&self, folder: &Path, files: &[&File]) -> Result<(), Failure> {
        tokio::fs::create_dir_all(folder).await.map_err(|error| disk(folder, &error))?;
        let get =
            |file: File| async move { self.file(&file.digest).await.map(|kept| (file, kept)) };
        let files: Vec<_> = files.iter().map(|file| get((*file).clone())).collect();
        let mut got = futures::stream::iter(files).buffer_unordered(AT_ONCE);
        while let Some(got) = got.next().await {
            let (file, kept) = got?;
            let within = Path::new(&file.path);
            if !within
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
            {
                return Err(Failure::Invalid(format!("`{}` is outside of its folder", file.path)));
            }
            let path = folder.join(within);
            if let Some(parent) = path.parent() {
                tokio::fs::create_dir_all(parent).await.map_err(|error| disk(parent, &error))?;
            }
            if tokio::fs::hard_link(&kept, &path).await.is_err() {
                // Another file system, or one without links.
                tokio::fs::copy(&kept, &path).await.map_err(|error| disk(&path, &error))?;
            }
        }
        Ok(())
    }

    /// A file of that digest.
    async fn file(&self, digest: &Digest) -> Result<PathBuf, Failure> {
        let path = self.root.join("files").join(digest.hex());
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(path);
        }
        let turn = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
            fetching.entry(digest.clone()).or_default().clone()
        };
        let _turn = turn.lock().await;
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(path);
        }
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(|error| disk(parent, &error))?;
        }
        let unfinished = path.with_extension("unfinished");
        let fetched = self.fetch(digest, &unfinished).await;
        match fetched {
            Ok(()) => {
                tokio::fs::rename(&unfinished, &path).await.map_err(|error| disk(&path, &error))?;
                Ok(path)
            }
            Err(failure) => {
                let _ = tokio::fs::remove_file(&unfinished).await;
                Err(failure)
            }
        }
    }

    async fn fetch(&self, digest: &Digest, to: &Path) -> Result<(), Failure> {
        let mut pieces = self.objects.get(digest).await?;
        let mut file = tokio::fs::File::create(to).await.map_err(|error| disk(to, &error))?;
        let mut seen = Sha256::new();
        loop {
            let piece = tokio::time::timeout(PIECE, pieces.next());
            let Some(piece) = piece.await.map_err(|_| Failure::Timeout(PIECE))? else { break };
            let piece = piece?;
            seen.update(&piece);
            file.write_all(&piece).await.map_err(|error| disk(to, &error))?;
        }
        // What runs after a crash is what was fetched.
        file.sync_all().await.map_err(|error| disk(to, &error))?;
        let seen = hex(&seen.finalize());
        if seen != digest.hex() {
            return Err(Failure::Backend(format!(
                "{digest} was asked for, and sha256:{seen} came"
            )));
        }
        Ok(())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn disk(path: &Path, error: &std::io::Error) -> Failure {
    let why = format!("{} cannot be written: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Failure::Full(why),
        _ => Failure::Backend(why),
    }
}

#[cfg(test)]
mod tests;
