//! A folder of files by digest.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use reef_capability::Failure;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::disk::{failed, sync_folder};
use crate::{
    Digest, ObjectStream, Objects, Unheld,
    objects::{is_not, no_object},
};

/// Bytes that are read at once.
const PIECE: usize = 128 << 10;
/// Where files are until they are whole; no digest is called so.
const UNFINISHED: &str = "unfinished";

/// Objects in a folder: `ab/cdef…` for `sha256:abcdef…`.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf, Arc<Mutex<()>>);

impl Folder {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let unfinished = folder.join(UNFINISHED);
        let prepare = || -> io::Result<()> {
            // What a killed process left.
            match fs::remove_dir_all(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::create_dir_all(&unfinished)
        };
        prepare().map_err(|error| failed(&unfinished, &error))?;
        Ok(Self(folder.to_owned(), Arc::default()))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let (folder, file) = digest.hex().split_at_checked(2).unwrap_or_default();
        self.0.join(folder).join(file)
    }

    fn keep(&self, digest: &Digest, file: &Path) -> Result<(), Failure> {
        let path = self.path(digest);
        if self.hold(digest, Duration::ZERO).map_err(|error| failed(&path, &error))? {
            return Ok(());
        }
        let mut from = fs::File::open(file).map_err(|error| failed(file, &error))?;
        let unfinished = self.0.join(UNFINISHED);
        let at = |error: io::Error| failed(&path, &error);
        let mut to = tempfile::NamedTempFile::new_in(&unfinished).map_err(at)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            let read = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => &piece[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(file, &error)),
            };
            hash.update(read);
            to.write_all(read).map_err(at)?;
        }
        if !is(digest, hash) {
            return Err(is_not(digest, &file.display()));
        }
        // More exactly than by itself.
        to.as_file().set_modified(SystemTime::now()).map_err(at)?;
        to.as_file().sync_all().map_err(at)?;
        let folder = path.parent().unwrap_or(&self.0);
        fs::create_dir_all(folder).map_err(at)?;
        to.persist(&path).map_err(|error| at(error.error))?;
        sync_folder(folder).and_then(|()| sync_folder(&self.0)).map_err(at)
    }

    /// Says that one is needed, if it is there: by when it was last changed.
    fn hold(&self, digest: &Digest, fresh: Duration) -> io::Result<bool> {
        let _one = self.marks();
        let file = match fs::File::open(self.path(digest)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let about = file.metadata()?;
        // Also what was said in the future of a clock that was put back since.
        let said = about.modified()?;
        let held = said.elapsed().is_ok_and(|since| since < fresh);
        if !held {
            // A clock may stand still for a moment; the mark is another one all the same.
            let now = SystemTime::now();
            file.set_modified(if now == said { now + Duration::from_nanos(1) } else { now })?;
        }
        Ok(true)
    }

    fn unheld(&self, since: Duration) -> io::Result<Vec<Unheld>> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.0)? {
            let folder = folder?;
            let name = folder.file_name();
            let Some(first) = name.to_str().filter(|name| name.len() == 2) else { continue };
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let rest = file.file_name();
                let digest = rest.to_str().map(|rest| format!("sha256:{first}{rest}").parse());
                let Some(Ok(digest)) = digest else { continue };
                let about = match file.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    about => about?,
                };
                if about.modified()?.elapsed().is_ok_and(|held| held >= since) {
                    all.push(Unheld { digest, size: about.len(), mark: mark(&about)? });
                }
            }
        }
        all.sort_by(|one, other| one.digest.cmp(&other.digest));
        Ok(all)
    }

    fn remove(&self, unheld: &Unheld) -> io::Result<bool> {
        let path = self.path(&unheld.digest);
        let _one = self.marks();
        let about = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            about => about?,
        };
        if mark(&about)? != unheld.mark {
            return Ok(false);
        }
        remove(&path).map(|()| true)
    }

    /// Held by who looks when an object was needed last, and does something about it.
    fn marks(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Objects for Folder {
    async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let path = self.path(digest);
        blocking(move || Ok(path.is_file())).await
    }

    async fn put(&self, digest: &Digest, file: &Path) -> Result<(), Failure> {
        let (folder, digest, file) = (self.clone(), digest.clone(), file.to_owned());
        blocking(move || folder.keep(&digest, &file)).await
    }

    async fn get(&self, digest: &Digest) -> Result<ObjectStream, Failure> {
        let (path, digest) = (self.path(digest), digest.clone());
        let opened = blocking(move || match fs::File::open(&path) {
            Ok(file) => Ok(Reading { file, path, hash: Some(Sha256::new()), digest }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(no_object(&digest)),
            Err(error) => Err(failed(&path, &error)),
        });
        Ok(stream::try_unfold(opened.await?, Reading::next).boxed())
    }

    async fn hold(&self, digest: &Digest, fresh: Duration) -> Result<bool, Failure> {
        let (folder, digest) = (self.clone(), digest.clone());
        let at = move || folder.hold(&digest, fresh).map_err(|e| failed(&folder.path(&digest), &e));
        blocking(at).await
    }

    async fn unheld(&self, since: Duration) -> Result<Vec<Unheld>, Failure> {
        let folder = self.clone();
        blocking(move || folder.unheld(since).map_err(|error| failed(&folder.0, &error))).await
    }

    async fn remove(&self, unheld: &Unheld) -> Result<bool, Failure> {
        let (folder, one) = (self.clone(), unheld.clone());
        let at = move || folder.remove(&one).map_err(|e| failed(&folder.path(&one.digest), &e));
        blocking(at).await
    }

    /// There is nothing: what was not whole goes when the host starts.
    async fn sweep(&self, _: Duration) -> Result<usize, Failure> {
        Ok(0)
    }
}

/// A file that is read.
struct Reading {
    file: fs::File,
    path: PathBuf,
    /// None after the end.
    hash: Option<Sha256>,
    digest: Digest,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        blocking(move || {
            let Some(hash) = &mut self.hash else { return Ok(None) };
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut self.file).take(PIECE as u64).read_to_end(&mut piece);
            read.map_err(|error| failed(&self.path, &error))?;
            hash.update(&piece);
            if !piece.is_empty() {
                return Ok(Some((piece.into(), self)));
            }
            if self.hash.take().is_some_and(|hash| is(&self.digest, hash)) {
                return Ok(None);
            }
            // Not there is better than there and wrong: it can be put again.
            tracing::error!(file = %self.path.display(), "An object is damaged, and is dropped.");
            remove(&self.path).map_err(|error| failed(&self.path, &error))?;
            Err(is_not(&self.digest, &self.path.display()))
        })
        .await
    }
}

/// When a file was last changed, in nanoseconds since 1970.
fn mark(about: &fs::Metadata) -> io::Result<u64> {
    let since = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn is(digest: &Digest, hash: Sha256) -> bool {
    crate::objects::hex(&hash.finalize()) == digest.hex()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::lost("the host is ending")))
}
