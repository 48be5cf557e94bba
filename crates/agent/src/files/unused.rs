//! Which folders are in use, and what happens to the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{Files, Folder};

/// What is about to be removed stands here.
const ASIDE: &str = "unused";

/// The folders that are there, as far as they were looked at.
#[derive(Default)]
pub(super) struct Known(Mutex<BTreeMap<PathBuf, Use>>);

#[derive(Default)]
struct Use {
    held: Weak<PathBuf>,
    /// Since when nobody holds it, as far as was seen.
    unused: Option<Instant>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a folder, which may not be there yet.
    pub(super) fn hold(&self, folder: &Path) -> Folder {
        let mut all = self.lock();
        let one = all.entry(folder.to_owned()).or_default();
        one.unused = None;
        let held = one.held.upgrade().unwrap_or_else(|| Arc::new(folder.to_owned()));
        one.held = Arc::downgrade(&held);
        Folder(held)
    }

    /// Whether a folder was not in use for so long.
    fn is_unused(&self, folder: &Path, now: Instant, patience: Duration) -> bool {
        let mut all = self.lock();
        let one = all.entry(folder.to_owned()).or_default();
        if one.held.strong_count() > 0 {
            one.unused = None;
            return false;
        }
        let since = *one.unused.get_or_insert(now);
        now.saturating_duration_since(since) >= patience
    }

    /// Forgets those that are not there.
    fn retain(&self, there: &BTreeSet<PathBuf>) {
        self.lock().retain(|folder, one| one.held.strong_count() > 0 || there.contains(folder));
    }
}

impl Files {
    /// Removes folders that nobody used for so long, files that are in none, and what was left unfinished. Not while a
    /// folder is being made.
    pub(super) async fn tidy_once(&self, now: Instant, patience: Duration) {
        let Ok(alone) = self.making.clone().try_write_owned() else { return };
        let (known, root) = (self.known.clone(), self.root.clone());
        let tidying = tokio::task::spawn_blocking(move || {
            let aside = root.join(ASIDE);
            let set_aside = set_aside(&root, &aside, &known, now, patience);
            // Moved at once, removed at leisure.
            drop(alone);
            let removed = match std::fs::remove_dir_all(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
            set_aside.and(removed)
        });
        if let Ok(Err(error)) = tidying.await {
            tracing::warn!(%error, "Files of applications that nothing uses here are not removed; it is tried again.");
        }
    }
}

fn set_aside(
    root: &Path,
    aside: &Path,
    known: &Known,
    now: Instant,
    patience: Duration,
) -> io::Result<()> {
    let move_away = |path: &Path| {
        std::fs::create_dir_all(aside)?;
        std::fs::rename(path, aside.join(format!("{:016x}", fastrand::u64(..))))
    };
    let mut there = BTreeSet::new();
    for folder in entries(&root.join("folders"))? {
        if is_finished(&folder) && !known.is_unused(&folder, now, patience) {
            there.insert(folder);
        } else {
            move_away(&folder)?;
        }
    }
    known.retain(&there);
    for file in entries(&root.join("files"))? {
        // Each folder that it is in is a link to it.
        if !is_finished(&file) || file.metadata()?.nlink() == 1 {
            move_away(&file)?;
        }
    }
    Ok(())
}

/// Nobody is at what is not.
fn is_finished(path: &Path) -> bool {
    path.extension().is_none()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
