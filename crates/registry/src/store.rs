//! What was fetched, by its digest.
//!
//! | in the folder | is |
//! | --- | --- |
//! | `sha256/HEX` | bytes with this digest |
//! | `references/HEX.json` | what a reference was last; its name is the digest of the reference |
//!
//! Shared by processes: files are written aside and renamed into place, and verified by their digest
//! each time that they are read. What is damaged is removed, and fetched again. When it is full, what
//! was used longest ago goes first.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use reef_artifact::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};

/// A temporary file this old was left by a process that died.
const STALE: Duration = Duration::from_secs(2 * 60 * 60);
/// Using an entry renews its date at most so often.
const RENEW: Duration = Duration::from_secs(60 * 60);
/// What the names of temporary files begin with.
const NEW: &str = ".new-";
/// Bytes of what is known of a reference.
const LARGEST_RECORD: u64 = 64 << 10;
/// References that are remembered.
const MOST_RECORDS: usize = 10_000;

/// A folder of what was fetched.
#[derive(Debug)]
pub struct Store {
    blobs: PathBuf,
    references: PathBuf,
    limit: u64,
    /// Of this process only.
    _temporary: Option<TempDir>,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error(
        "what is downloaded cannot be kept in {path}: {cause}; name another folder with REEF_CACHE_DIR"
    )]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Others could change what references stand for.
    #[error(
        "{0}, where downloads are kept, belongs to another user or is writable by others; make it private with `chmod 700`, or name another folder with REEF_CACHE_DIR"
    )]
    NotPrivate(PathBuf),
}

/// What a reference was last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The reference: files are named by a digest of it.
    reference: String,
    digest: String,
    /// What the server calls this version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

impl Record {
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest.parse().ok()
    }
}

/// Bytes on their way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: NamedTempFile,
    hash: Sha256,
    length: u64,
}

// === impl Store ===

impl Store {
    /// Opens a folder, making it if need be, that may hold so many bytes.
    ///
    /// # Errors
    /// When it cannot be made or is not this user's alone.
    pub fn open(root: &Path, limit: u64) -> Result<Self, StoreError> {
        Self::at(root, limit, None)
    }

    /// One that is gone with this process.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn temporary(limit: u64) -> Result<Self, StoreError> {
        let folder = TempDir::with_prefix("reef-artifacts-")
            .map_err(|cause| StoreError::Io { path: std::env::temp_dir(), cause })?;
        let root = folder.path().to_owned();
        Self::at(&root, limit, Some(folder))
    }

    fn at(root: &Path, limit: u64, temporary: Option<TempDir>) -> Result<Self, StoreError> {
        let io = |cause| StoreError::Io { path: root.to_owned(), cause };
        let (blobs, references) = (root.join("sha256"), root.join("references"));
        for folder in [&blobs, &references] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        let meta = fs::metadata(root).map_err(io)?;
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(StoreError::NotPrivate(root.to_owned()));
        }
        Ok(Self { blobs, references, limit, _temporary: temporary })
    }

    /// What has this digest, verified; nothing if it is not there, or not whole.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.blobs.join(digest.hex());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(entry = %path.display(), %error, "A kept artifact cannot be read.");
                return None;
            }
        };
        if Digest::of(&bytes) != *digest {
            tracing::warn!(entry = %path.display(), "A kept artifact is damaged, and is fetched again.");
            let _ = fs::remove_file(&path);
            return None;
        }
        renew(&path);
        Some(bytes)
    }

    /// Somewhere to write bytes to that come piece by piece.
    pub(crate) fn incoming(&self) -> Result<Incoming, StoreError> {
        let file = tempfile::Builder::new().prefix(NEW).tempfile_in(&self.blobs);
        let file = file.map_err(|cause| self.io(cause))?;
        Ok(Incoming { file, hash: Sha256::new(), length: 0 })
    }

    /// Takes what came in, under its own digest. What does not fit is there, and not kept.
    pub(crate) fn keep(&self, incoming: Incoming) -> Result<(Digest, Vec<u8>), StoreError> {
        let Incoming { mut file, hash, length } = incoming;
        let digest = Digest::from(<[u8; 32]>::from(hash.finalize()));
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        let read = io::Seek::rewind(file.as_file_mut())
            .and_then(|()| file.as_file_mut().read_to_end(&mut bytes));
        read.map_err(|cause| self.io(cause))?;
        if self.make_room(length) {
            let kept = file.persist(self.blobs.join(digest.hex()));
            if let Err(error) = kept {
                tracing::warn!(error = %error.error, "A downloaded artifact is not kept.");
            }
        }
        Ok((digest, bytes))
    }

    /// Keeps something that is small.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes).map_err(|cause| self.io(cause))?;
        self.keep(incoming).map(drop)
    }

    pub(crate) fn io(&self, cause: io::Error) -> StoreError {
        let path = self.blobs.parent().unwrap_or(&self.blobs).to_owned();
        StoreError::Io { path, cause }
    }

    /// What a reference was last.
    pub(crate) fn last(&self, reference: &str) -> Option<Record> {
        let path = self.record(reference);
        let mut text = Vec::new();
        fs::File::open(&path).ok()?.take(LARGEST_RECORD).read_to_end(&mut text).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        renew(&path);
        (record.reference == reference).then_some(record)
    }

    /// Remembers what a reference is. What cannot be costs time, not correctness.
    pub(crate) fn remember(&self, reference: &str, digest: &Digest, etag: Option<String>) {
        let digest = digest.to_string();
        let record = Record { reference: reference.to_owned(), digest, etag };
        let written = serde_json::to_vec(&record).map_err(io::Error::other).and_then(|text| {
            let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(&self.references)?;
            file.write_all(&text)?;
            file.persist(self.record(reference)).map_err(|error| error.error)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "What a reference is cannot be remembered.");
        }
        let files = files(&self.references);
        let many = files.len().saturating_sub(MOST_RECORDS);
        for (_, _, oldest) in files.into_iter().take(many) {
            let _ = fs::remove_file(oldest);
        }
    }

    fn record(&self, reference: &str) -> PathBuf {
        self.references.join(format!("{}.json", Digest::of(reference.as_bytes()).hex()))
    }

    /// Removes what was used longest ago until so many bytes fit; whether they ever do.
    fn make_room(&self, more: u64) -> bool {
        if more > self.limit {
            return false;
        }
        let files = files(&self.blobs);
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum::<u64>() + more;
        for (_, size, path) in files {
            if total <= self.limit {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total = total.saturating_sub(size);
            }
        }
        true
    }
}

// === impl Incoming ===

impl Incoming {
    /// Of all that came so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hash.clone().finalize()))
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.length += piece.len() as u64;
        self.file.write_all(piece)
    }
}

/// The files of a folder, the one used longest ago first. What a process that died has left is removed.
fn files(folder: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if entry.file_name().to_string_lossy().starts_with(NEW) {
            if SystemTime::now().duration_since(used).is_ok_and(|age| age > STALE) {
                let _ = fs::remove_file(entry.path());
            }
        } else if meta.is_file() {
            files.push((used, meta.len(), entry.path()));
        }
    }
    files.sort();
    files
}

fn renew(path: &Path) {
    let Ok(file) = fs::File::open(path) else { return };
    let now = SystemTime::now();
    let used = file.metadata().and_then(|meta| meta.modified());
    if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > RENEW)) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests;
