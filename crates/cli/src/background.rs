//! The logs of hosts in the background: bounded, and removed after a while.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use rustix::{io::Errno, process::Pid};

/// Tells a host in the background in which folder its log is.
pub(crate) const LOG: &str = "REEF_BACKGROUND_LOGS";
/// Bytes of a log before it is turned over; the one before is kept.
const LARGEST: u64 = 10 << 20;
/// Logs that are kept of hosts that have ended.
const ENDED: usize = 5;

/// The log of this process, if it is a host in the background.
pub(crate) struct Log {
    path: PathBuf,
    length: AtomicU64,
    turning: Mutex<()>,
}

impl Log {
    /// The one of this process.
    pub(crate) fn own() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os(LOG)?);
        Some(Self {
            path: file(&folder, std::process::id()),
            length: AtomicU64::new(0),
            turning: Mutex::default(),
        })
    }

    /// Takes note of bytes that were written to its end.
    pub(crate) fn written(&self, bytes: usize) {
        let length = self.length.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if length < LARGEST {
            return;
        }
        let _one = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        if self.length.load(Ordering::Relaxed) < LARGEST {
            return;
        }
        // Whatever comes of it: not with each line again.
        self.length.store(0, Ordering::Relaxed);
        // There is nowhere else to say that it failed.
        let _ = turn(&self.path);
    }
}

/// Copies a file to the one that is kept, and begins anew: standard error goes on writing to the same.
fn turn(path: &Path) -> io::Result<()> {
    fs::copy(path, path.with_extension("log.1"))?;
    fs::OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Where hosts in the background write.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
    let folder = state.unwrap_or_else(std::env::temp_dir).join("reef");
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
}

/// The log of a process.
pub(crate) fn file(folder: &Path, pid: u32) -> PathBuf {
    folder.join(format!("up-{pid}.log"))
}

/// Removes the logs of hosts that have ended, but for the newest ones.
pub(crate) fn tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut ended: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().and_then(pid_of).is_some_and(has_ended))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    ended.sort();
    let many = ended.len().saturating_sub(ENDED);
    for (_, path) in ended.drain(..many) {
        // Another one may have been faster.
        let _ = fs::remove_file(path);
    }
}

/// Whose log a file is: `up-PID.log`, `up-PID.log.1`, `starting-PID.log`.
fn pid_of(name: &str) -> Option<Pid> {
    let rest = name.strip_prefix("up-").or_else(|| name.strip_prefix("starting-"))?;
    let (pid, ending) = rest.split_once('.')?;
    Pid::from_raw(pid.parse().ok()?).filter(|_| matches!(ending, "log" | "log.1"))
}

fn has_ended(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid) == Err(Errno::SRCH)
}

#[cfg(test)]
mod tests;
