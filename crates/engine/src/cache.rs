//! Compiled code on disk.
//!
//! One file an entry, named by a BLAKE3 digest of the artifact inside a folder named by the engine's settings
//! (Reef's version, the form of an entry, the flavour, the processor): what one engine wrote another one never
//! reads by mistake. An entry is Wasmtime's own file followed by a seal (a magic, the length and an
//! XXH3 checksum of what precedes), so that a torn, truncated or damaged entry is found out and
//! compiled anew. Entries are written aside and renamed into place: writers may race, readers never
//! see half an entry.
//!
//! What is in the folder is machine code that this process will run. So the folder must belong to
//! this user and be writable by nobody else; otherwise there is no cache. That is what keeps forgers
//! out, and why the seal need not: it is checked at every start, and a cryptographic hash would be the
//! longest single step of a short one. Artifacts come from anywhere, so their digest is cryptographic.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use xxhash_rust::xxh3::Xxh3;

use crate::{Flavour, settings::settings};

/// Changes with the form of an entry, and with it the folder.
pub(crate) const MAGIC: &[u8; 8] = b"reefcod3";
/// How the name of an entry ends.
const ENTRY: &str = ".code";
/// Magic, length, checksum.
const SEAL: usize = 8 + 8 + 16;
/// Bytes that are read at once, onto a stack that is already mapped.
const PIECE: usize = 16 << 10;
/// A hit renews the entry's date at most so often; the oldest go first when the cache is full.
const RENEW: Duration = Duration::from_secs(60 * 60);
/// A temporary file this old was left by a process that died.
const STALE: Duration = Duration::from_secs(60 * 60);

/// The code cache.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    limit: u64,
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made or read.
    #[error("the code cache {path} cannot be used: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could put code there.
    #[error(
        "the code cache {0} belongs to another user or is writable by others; \
         make it private with `chmod 700`, or choose another with REEF_CACHE_DIR"
    )]
    NotPrivate(PathBuf),
}

impl Cache {
    /// Opens the cache, making its folder if need be.
    ///
    /// # Errors
    /// When the folder cannot be used or is not private.
    pub fn open(root: &Path, limit: u64) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io { path: root.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(io)?;
        let meta = fs::metadata(root).map_err(io)?;
        if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            return Err(CacheError::NotPrivate(root.to_owned()));
        }
        Ok(Self { root: root.to_owned(), limit })
    }

    /// The verified entry for an artifact, open for mapping. Damaged entries are removed.
    pub(crate) fn load(&self, flavour: Flavour, digest: &str) -> Option<File> {
        let path = self.path(flavour, digest);
        let file = File::open(&path).ok()?;
        let verified =
            file.metadata().and_then(|meta| Ok((verify(&file, meta.len(), digest)?, meta)));
        match verified {
            Ok((true, meta)) => {
                renew(&file, &meta);
                Some(file)
            }
            Ok((false, _)) => {
                tracing::warn!(entry = %path.display(), "A damaged entry of the code cache is compiled anew.");
                let _ = fs::remove_file(&path);
                None
            }
            Err(error) => {
                tracing::warn!(entry = %path.display(), %error, "An entry of the code cache cannot be read.");
                None
            }
        }
    }

    /// Forgets an entry that its engine would not take.
    pub(crate) fn forget(&self, flavour: Flavour, digest: &str) {
        let _ = fs::remove_file(self.path(flavour, digest));
    }

    /// Keeps compiled code. A cache that cannot be written costs time, not correctness.
    pub(crate) fn store(&self, flavour: Flavour, digest: &str, code: &[u8]) {
        if let Err(error) = self.try_store(&self.path(flavour, digest), digest, code) {
            tracing::warn!(%error, cache = %self.root.display(), "Compiled code is not kept.");
        }
    }

    fn try_store(&self, path: &Path, digest: &str, code: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let folder = path.parent().unwrap_or(&self.root);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        self.make_room(code.len() as u64 + SEAL as u64)?;
        let aside = folder.join(format!(
            ".{}-{}.tmp",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(code)?;
            file.write_all(&seal(code.len() as u64, sum(code, digest)))?;
            fs::rename(&aside, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    /// Removes what was used longest ago until `more` bytes fit. Files that are not of this cache are
    /// neither counted nor touched: the folder may hold other things.
    fn make_room(&self, more: u64) -> io::Result<()> {
        if more > self.limit {
            return Err(io::Error::other("it is larger than the whole cache may be"));
        }
        let mut entries = Vec::new();
        let now = SystemTime::now();
        for folder in fs::read_dir(&self.root)?.flatten() {
            if !is_folder_name(&folder.file_name().to_string_lossy()) {
                continue;
            }
            for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let age = now.duration_since(used).unwrap_or_default();
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with('.') && name.ends_with(".tmp") {
                    if age > STALE {
                        let _ = fs::remove_file(entry.path());
                    }
                } else if name.ends_with(ENTRY) {
                    entries.push((used, meta.len(), entry.path()));
                }
            }
        }
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum::<u64>() + more;
        entries.sort();
        for (_, size, path) in entries {
            if total <= self.limit {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }

    fn path(&self, flavour: Flavour, digest: &str) -> PathBuf {
        self.root.join(settings(flavour)).join(format!("{digest}{ENTRY}"))
    }
}

/// Whether a folder is named as those of entries are.
fn is_folder_name(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn seal(length: u64, sum: u128) -> [u8; SEAL] {
    let mut seal = [0; SEAL];
    seal[..8].copy_from_slice(MAGIC);
    seal[8..16].copy_from_slice(&length.to_le_bytes());
    seal[16..].copy_from_slice(&sum.to_le_bytes());
    seal
}

fn sum(code: &[u8], digest: &str) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(code);
    end(hasher, digest)
}

/// Covers whose code it is too: an entry under another's name does not verify.
fn end(mut hasher: Xxh3, digest: &str) -> u128 {
    hasher.update(digest.as_bytes());
    hasher.digest128()
}

/// Reads rather than maps: a disk that fails then is an error, not the end of the process.
fn verify(file: &File, size: u64, digest: &str) -> io::Result<bool> {
    let Some(length) = size.checked_sub(SEAL as u64) else { return Ok(false) };
    let mut hasher = Xxh3::new();
    let mut piece = [0; PIECE];
    let mut at = 0;
    while at < length {
        let wanted = (length - at).min(PIECE as u64) as usize;
        match file.read_at(&mut piece[..wanted], at)? {
            0 => return Ok(false),
            read => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
        }
    }
    let mut found = [0; SEAL];
    file.read_exact_at(&mut found, length)?;
    Ok(found == seal(length, end(hasher, digest)))
}

fn renew(file: &File, meta: &fs::Metadata) {
    let now = SystemTime::now();
    let age = meta.modified().map(|then| now.duration_since(then));
    if matches!(age, Ok(Ok(age)) if age > RENEW) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests;
