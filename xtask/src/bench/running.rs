//! Programs that a benchmark starts: each wait has a deadline, and each program is ended by its id
//! when its owner is dropped or the person presses Ctrl-C.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The longest time between two looks at Ctrl-C, and between two at a program's memory.
const LOOK: Duration = Duration::from_millis(20);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Vec<Weak<Mutex<Child>>>> = Mutex::new(Vec::new());

/// From now on, Ctrl-C and SIGTERM end every program that was started here and make every wait fail.
pub(crate) fn end_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        for child in locked(&RUNNING).iter().filter_map(Weak::upgrade) {
            // Fails only when it has ended already.
            let _ = locked(&child).kill();
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// An error once the person has pressed Ctrl-C.
pub(crate) fn not_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) { bail!("interrupted") } else { Ok(()) }
}

/// Sleeps, but not past Ctrl-C.
pub(super) fn pause(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        not_interrupted()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// A program that was started; it is ended when this is dropped.
pub(super) struct Running {
    what: String,
    child: Arc<Mutex<Child>>,
    /// Readable when the program has ended.
    ended: OwnedFd,
    id: u32,
    peak: u64,
}

impl Running {
    /// Starts a program without standard input.
    pub(super) fn start(what: &str, command: &mut Command) -> Result<Self> {
        not_interrupted()?;
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("{what}: cannot start {:?}", command.get_program()))?;
        let id = child.id();
        let pid = Pid::from_child(&child);
        let child = Arc::new(Mutex::new(child));
        let mut running = locked(&RUNNING);
        running.retain(|child| child.strong_count() > 0);
        running.push(Arc::downgrade(&child));
        drop(running);
        // The child is not waited for yet, so its id is still its own.
        let ended = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(ended) => ended,
            Err(error) => {
                end(&child);
                return Err(error).context("cannot watch a process");
            }
        };
        let running = Self { what: what.to_owned(), child, ended, id, peak: 0 };
        // Ctrl-C may have come between the first look and the list.
        not_interrupted()?;
        Ok(running)
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            not_interrupted()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if self.has_ended(left.min(LOOK))? {
                let status = locked(&self.child).wait().context("cannot watch a process")?;
                return Ok(status);
            }
            if let Some(peak) = memory(self.id, "VmHWM") {
                self.peak = self.peak.max(peak);
            }
            if left.is_zero() {
                bail!("{} did not end within {limit:?}", self.what);
            }
        }
    }

    /// An error if it has ended.
    pub(super) fn still_runs(&self) -> Result<()> {
        not_interrupted()?;
        if self.has_ended(Duration::ZERO)? {
            let status = locked(&self.child).wait().context("cannot watch a process")?;
            bail!("{} ended: {status}", self.what);
        }
        Ok(())
    }

    /// The most resident memory it was seen with while it was waited for, in bytes.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    fn has_ended(&self, within: Duration) -> Result<bool> {
        let timeout = Timespec::try_from(within).context("a wait is too long")?;
        let mut fds = [PollFd::new(&self.ended, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("cannot watch a process"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn end(child: &Mutex<Child>) {
    let mut child = locked(child);
    // Both fail only when it has ended, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// A field of a process's `/proc/ID/status` that is a size, in bytes.
pub(super) fn memory(id: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// One run of a program from start to end.
pub(super) struct Timed {
    pub(super) wall: Duration,
    /// Resident memory at its highest, in bytes; zero for a run too short to be looked at.
    pub(super) peak: u64,
}

/// Runs a program whose output nobody reads, and takes its time.
pub(super) fn time(what: &str, command: &mut Command, limit: Duration) -> Result<Timed> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut running = Running::start(what, command)?;
    let status = running.wait(limit)?;
    let wall = started.elapsed();
    if !status.success() {
        bail!("{what} failed: {status}");
    }
    Ok(Timed { wall, peak: running.peak() })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
