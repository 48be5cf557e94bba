//! What is fetched or built once and kept outside the checkout: toolchains, guests, targets.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache folder. One xtask at a time writes there; others wait.
pub(crate) struct Cache {
    root: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens `$REEF_CACHE`, or `~/.cache/reef`, and waits until no other xtask uses it.
    pub(crate) fn open() -> Result<Self> {
        let root = match std::env::var_os("REEF_CACHE") {
            Some(chosen) => std::path::absolute(chosen).context("REEF_CACHE is not a path")?,
            None => {
                let home = std::env::home_dir().context(
                    "there is no home directory: set REEF_CACHE to a folder of your choice",
                )?;
                home.join(".cache/reef")
            }
        };
        fs::create_dir_all(root.join("toolchains"))
            .and_then(|()| fs::create_dir_all(root.join("guests")))
            .with_context(|| format!("cannot create {}", root.display()))?;
        let lock = File::create(root.join("xtask.lock"))
            .with_context(|| format!("cannot write to {}", root.display()))?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another xtask that uses {}", root.display());
            lock.lock().context("the cache cannot be locked")?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// Where finished guests lie, each as `NAME.wasm`.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("guests")
    }

    /// Where finished language runtimes lie, each as `NAME.wasm`.
    pub(crate) fn runtimes(&self) -> PathBuf {
        self.root.join("runtimes")
    }

    /// Where servers for tests lie, each as `NAME-VERSION`.
    pub(crate) fn servers(&self) -> PathBuf {
        self.root.join("servers")
    }

    /// The folder of one toolchain; it may not exist yet.
    pub(crate) fn toolchain(&self, name: &str) -> PathBuf {
        self.root.join("toolchains").join(name)
    }

    /// A fresh, empty folder for a build step.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join("scratch").join(name);
        remove(&folder)?;
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// The target directory of the project's own crates: the caller's choice, or one in the cache.
    pub(crate) fn host_target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// The target directory of everything compiled for guests with cargo.
    pub(crate) fn guest_target(&self) -> PathBuf {
        self.root.join("guest-target")
    }

    /// The target directory of what is built as users install it, for benchmarks.
    pub(crate) fn release_target(&self) -> PathBuf {
        self.root.join("target-release")
    }

    /// The folder of a program that benchmarks compare with; it may not exist yet.
    pub(crate) fn peer(&self, name: &str) -> PathBuf {
        self.root.join("peers").join(name)
    }

    /// The target directory of the fuzz targets, which are compiled with other flags.
    pub(crate) fn fuzz_target(&self) -> PathBuf {
        self.root.join("fuzz-target")
    }

    /// Where a fuzz target keeps its corpus from one run to the next.
    pub(crate) fn corpus(&self, fuzz_target: &str) -> PathBuf {
        self.root.join("corpus").join(fuzz_target)
    }

    /// A folder for what the demo makes.
    pub(crate) fn demo(&self) -> PathBuf {
        self.root.join("demo")
    }
}

/// True when `folder` was finished by [`finish`] with this key.
pub(crate) fn is_finished(folder: &Path, key: &str) -> bool {
    fs::read_to_string(folder.join(".finished")).is_ok_and(|found| found == key)
}

/// Marks a folder as complete: an interrupted installation has no mark and starts over.
pub(crate) fn finish(folder: &Path, key: &str) -> Result<()> {
    fs::write(folder.join(".finished"), key)
        .with_context(|| format!("cannot write to {}", folder.display()))
}

/// Removes a folder with everything in it, if it exists.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// A key over the names and contents of every file in these folders (or of these files), and over
/// `salt`: it changes exactly when one of them does.
pub(crate) fn content_key(sources: &[PathBuf], salt: &str) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(salt.as_bytes());
    for source in sources {
        let mut files = Vec::new();
        list_files(source, &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(source).unwrap_or(&file);
            let content =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            hasher.update(name.as_os_str().as_encoded_bytes());
            hasher.update(&(content.len() as u64).to_le_bytes());
            hasher.update(&content);
        }
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

fn list_files(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    let unreadable = || format!("cannot list {}", path.display());
    for entry in fs::read_dir(path).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        if entry.file_name() != "target" {
            list_files(&entry.path(), into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
