//! Room on the disk for a run: what cargo only keeps to be faster goes when it gets short.
//!
//! Cargo never removes what it once compiled incrementally; in a checkout that is worked on, that
//! is soon more than everything else in its target directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, remove};

const GIB: u64 = 1 << 30;
/// What a build of everything, its guests and its fuzz targets takes from nothing.
const BUILD: u64 = 24 * GIB;
/// Below that, what takes minutes to build again goes, too.
const SCARCE: u64 = 12 * GIB;
/// Tests that stream a gibibyte through a store keep two of it, and two of them may run at once.
const TESTS: u64 = 6 * GIB;

/// Frees the target directories of what can be compiled again when there is little room left,
/// cheapest first; fails when the tests have too little even then.
pub(crate) fn make(cache: &Cache) -> Result<()> {
    let target = cache.host_target();
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    for (folder, enough) in spare(cache)? {
        let left = free(&target)?;
        if left >= enough {
            continue;
        }
        println!("{} left: removing {}", gib(left), folder.display());
        remove(&folder)?;
    }
    for place in [target, std::env::temp_dir()] {
        let left = free(&place)?;
        if left < TESTS {
            bail!(
                "the tests need {} of disk at {}, where {} are left: free some, \
                 or set TMPDIR and CARGO_TARGET_DIR to where there is more",
                gib(TESTS),
                place.display(),
                gib(left),
            );
        }
    }
    Ok(())
}

/// What may go, in this order, each unless so much is left.
fn spare(cache: &Cache) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for target in [cache.host_target(), cache.fuzz_target(), cache.guest_target()] {
        incremental(&target, 2, &mut found)?;
    }
    let quick = found.into_iter().map(|folder| (folder, BUILD));
    let slow = [cache.release_target(), cache.fuzz_target()].map(|folder| (folder, SCARCE));
    Ok(quick.chain(slow.into_iter().filter(|(folder, _)| folder.is_dir())).collect())
}

/// The `PROFILE/incremental` and `TRIPLE/PROFILE/incremental` in a target directory.
fn incremental(folder: &Path, levels: u32, found: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot list {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(unreadable)?,
    };
    for entry in entries {
        let entry = entry.with_context(unreadable)?;
        if !entry.file_type().with_context(unreadable)?.is_dir() {
            continue;
        }
        if entry.file_name() == "incremental" {
            found.push(entry.path());
        } else if levels > 0 {
            incremental(&entry.path(), levels - 1, found)?;
        }
    }
    Ok(())
}

/// Bytes that a user may still write where this folder lies.
fn free(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot see how full {} is", folder.display()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn gib(bytes: u64) -> String {
    format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
}

#[cfg(test)]
mod tests;
