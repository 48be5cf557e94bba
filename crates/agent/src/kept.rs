//! What this host goes on with when it starts and nobody tells it what to run: the last that it was told.
//!
//! It is known at once and written beside all else: no request and no change of what runs waits for a disk.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reef_lattice::Key;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, watch};

/// After records could not be written: until that is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long is waited for records to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records in a folder, a file each.
pub(crate) struct Kept {
    folder: PathBuf,
    state: Mutex<State>,
    /// There is something to write.
    asked: Notify,
    /// How many changes were written, or tried to.
    written: watch::Sender<u64>,
    /// Held by who writes: what is older is not written over what is newer.
    writing: Arc<AsyncMutex<()>>,
}

#[derive(Default)]
struct State {
    known: HashMap<Key, Bytes>,
    /// What the folder does not have yet; none is to be removed.
    pending: BTreeMap<Key, Option<Bytes>>,
    /// How many changes there were.
    changes: u64,
    /// Whether the last ones could not be written.
    fails: bool,
}

/// What was tried to be written, and could not be.
type Failed = (BTreeMap<Key, Option<Bytes>>, Option<(PathBuf, std::io::Error)>);

impl Kept {
    pub(crate) fn new(folder: PathBuf) -> Self {
        if let Err(error) = std::fs::create_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "Nothing is kept for a start without the store.");
        }
        let known = keys(&folder).into_iter().filter_map(|key| {
            let value = std::fs::read(path(&folder, &key)).ok()?;
            Some((key, Bytes::from(value)))
        });
        let state = State { known: known.collect(), ..State::default() };
        Self {
            folder,
            state: Mutex::new(state),
            asked: Notify::new(),
            written: watch::Sender::new(0),
            writing: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record.
    pub(crate) fn keep(&self, key: &Key, value: &Bytes) {
        let mut state = self.state();
        if state.known.get(key) == Some(value) {
            return;
        }
        state.known.insert(key.clone(), value.clone());
        state.pending.insert(key.clone(), Some(value.clone()));
        state.changes += 1;
        self.asked.notify_one();
    }

    /// A record that was kept.
    pub(crate) fn read(&self, key: &Key) -> Option<Bytes> {
        self.state().known.get(key).cloned()
    }

    /// All that were kept, in the order of their keys.
    pub(crate) fn all(&self) -> BTreeMap<Key, Bytes> {
        self.state().known.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Forgets a record.
    pub(crate) fn forget(&self, key: &Key) {
        let mut state = self.state();
        if state.known.remove(key).is_some() {
            state.pending.insert(key.clone(), None);
            state.changes += 1;
            self.asked.notify_one();
        }
    }

    /// Forgets what is not to be kept.
    pub(crate) fn retain(&self, keep: impl Fn(&Key) -> bool) {
        let gone: Vec<_> = self.state().known.keys().filter(|key| !keep(key)).cloned().collect();
        gone.iter().for_each(|key| self.forget(key));
    }

    /// Writes what is kept, for as long as the host is there. That it cannot be is not a fault of what it is about.
    pub(crate) async fn write(&self) {
        let mut done = true;
        loop {
            let asked = self.asked.notified();
            if done {
                asked.await;
            } else {
                let _ = tokio::time::timeout(AGAIN, asked).await;
            }
            let writing = self.writing.clone().lock_owned().await;
            done = self.flush(writing).await;
        }
    }

    /// Waits, for so long at most, until what was kept by now is in the folder or could not be written.
    pub(crate) async fn written(&self) {
        let changes = self.state().changes;
        let mut written = self.written.subscribe();
        let _ = tokio::time::timeout(PATIENCE, written.wait_for(|count| *count >= changes)).await;
    }

    /// Writes what is left, once nobody else does.
    pub(crate) async fn finish(&self) {
        let finishing = async {
            let writing = self.writing.clone().lock_owned().await;
            self.flush(writing).await
        };
        let _ = tokio::time::timeout(PATIENCE, finishing).await;
    }

    /// Whether all is written that there was.
    async fn flush(&self, writing: OwnedMutexGuard<()>) -> bool {
        let (pending, changes) = {
            let mut state = self.state();
            (std::mem::take(&mut state.pending), state.changes)
        };
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let failed = write_all(&folder, pending);
            drop(writing);
            failed
        });
        let Ok((failed, why)) = written.await else { return true };
        let done = failed.is_empty();
        let mut state = self.state();
        for (key, value) in failed {
            state.pending.entry(key).or_insert(value);
        }
        let failed_before = std::mem::replace(&mut state.fails, !done);
        drop(state);
        if let Some((file, error)) = why.filter(|_| !failed_before) {
            tracing::warn!(
                file = %file.display(), %error,
                "What this host was told is not kept for a start without the store; it is tried again until it is."
            );
        } else if failed_before && done {
            tracing::info!("What this host was told is kept again for a start without the store.");
        }
        self.written.send_replace(changes);
        done
    }
}

/// Writes all that can be.
fn write_all(folder: &Path, pending: BTreeMap<Key, Option<Bytes>>) -> Failed {
    let (mut failed, mut why) = (BTreeMap::new(), None);
    for (key, value) in pending {
        let path = path(folder, &key);
        let done = match &value {
            Some(value) => write(&path, value),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = done {
            failed.insert(key, value);
            why = Some((path, error));
        }
    }
    (failed, why)
}

fn path(folder: &Path, key: &Key) -> PathBuf {
    folder.join(format!("{}.json", key.as_str()))
}

fn keys(folder: &Path) -> Vec<Key> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| Key::parse(name.strip_suffix(".json")?).ok()).collect()
}

/// Whole or not at all.
fn write(path: &Path, value: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension(format!("{:016x}", fastrand::u64(..)));
    let mut file = std::fs::File::create(&unfinished)?;
    let written = file.write_all(value).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&unfinished, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    moved
}

#[cfg(test)]
mod tests;
