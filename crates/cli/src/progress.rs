//! What a person is told of what takes long: compilation and downloads.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use reef_artifact::Digest;
use reef_grants::ByteSize;
use reef_registry::{Error, Progress, Transfer};

/// After this, a person is told what takes so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// A line that changes is written anew so often.
const DRAW: Duration = Duration::from_millis(100);
/// What fits a line beside the numbers.
const LONGEST_NAME: usize = 48;
/// Back to the beginning of the line, and nothing in it any more.
const CLEAR: &str = "\r\x1b[K";

/// Says that something is being compiled if that takes longer than a person wonders.
pub(crate) fn compiling(name: &str, size: usize) -> Box<dyn Send> {
    struct Compiling(Option<mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);
    impl Drop for Compiling {
        fn drop(&mut self) {
            self.0.take();
            if let Some(thread) = self.1.take() {
                let _ = thread.join();
            }
        }
    }
    let (sender, done) = mpsc::channel::<()>();
    let line = format!(
        "Compiling {name} ({}), once; later runs take it from the cache",
        ByteSize(size as u64)
    );
    let thread = std::thread::spawn(move || {
        let start = Instant::now();
        if done.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Timeout) {
            return;
        }
        eprintln!("{line} …");
        let _ = done.recv();
        if std::io::stderr().is_terminal() {
            eprintln!("Compiled in {:.1} s.", start.elapsed().as_secs_f64());
        }
    });
    Box::new(Compiling(Some(sender), Some(thread)))
}

/// Shows downloads on standard error: on a terminal as one line that changes, elsewhere as one line at
/// the start of each and one at its end.
#[derive(Default)]
pub(crate) struct Downloads(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    active: BTreeMap<u64, Active>,
    next: u64,
    drawn: Option<Instant>,
    terminal: bool,
}

struct Active {
    name: String,
    size: Option<u64>,
    at: u64,
    since: Instant,
}

struct One {
    all: Arc<Mutex<Shown>>,
    id: u64,
}

// === impl Downloads ===

impl Downloads {
    pub(crate) fn new() -> Self {
        let terminal = io::stderr().is_terminal();
        Self(Arc::new(Mutex::new(Shown { terminal, ..Shown::default() })))
    }
}

impl Progress for Downloads {
    fn begin(&self, what: &str, size: Option<u64>) -> Box<dyn Transfer> {
        let mut shown = lock(&self.0);
        let id = shown.next;
        shown.next += 1;
        if !shown.terminal {
            let size = size.map(|size| format!(" ({})", ByteSize(size))).unwrap_or_default();
            eprintln!("Downloading {what}{size} …");
        }
        let active = Active { name: what.to_owned(), size, at: 0, since: Instant::now() };
        shown.active.insert(id, active);
        Box::new(One { all: self.0.clone(), id })
    }

    fn stale(&self, what: &str, digest: &Digest, why: &Error) {
        let said = format!(
            "{what} cannot be looked up, and is taken for what it was last, {digest}: {why}"
        );
        if tracing::dispatcher::has_been_set() {
            tracing::warn!("{said}");
        } else {
            eprintln!("reef: warning: {said}");
        }
    }
}

impl Transfer for One {
    fn at(&mut self, bytes: u64) {
        let mut shown = lock(&self.all);
        if let Some(active) = shown.active.get_mut(&self.id) {
            active.at = bytes;
        }
        shown.draw();
    }

    fn done(self: Box<Self>) {
        let mut shown = lock(&self.all);
        let Some(active) = shown.active.remove(&self.id) else { return };
        shown.clear();
        let (bytes, seconds) = (ByteSize(active.at), active.since.elapsed().as_secs_f64());
        eprintln!("Downloaded {} ({bytes}) in {seconds:.1} s.", active.name);
    }
}

/// It has failed, and somebody else says so; or it is done.
impl Drop for One {
    fn drop(&mut self) {
        let mut shown = lock(&self.all);
        if shown.active.remove(&self.id).is_some() {
            shown.clear();
        }
    }
}

// === impl Shown ===

impl Shown {
    fn draw(&mut self) {
        if !self.terminal || self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = line(self.active.values());
        let mut out = io::stderr().lock();
        // With standard error gone there is nobody to tell.
        let _ = write!(out, "{CLEAR}{line}").and_then(|()| out.flush());
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            eprint!("{CLEAR}");
        }
    }
}

/// What is under way, in one line.
fn line<'a>(active: impl ExactSizeIterator<Item = &'a Active> + Clone) -> String {
    let count = active.len();
    let at: u64 = active.clone().map(|one| one.at).sum();
    // The whole is known only if each part is.
    let size = active.clone().map(|one| one.size).sum::<Option<u64>>();
    let of = size.map(|size| format!(" of {}", ByteSize(size))).unwrap_or_default();
    let rate: f64 =
        active.clone().map(|one| one.at as f64 / one.since.elapsed().as_secs_f64().max(0.1)).sum();
    let what = match active.clone().next() {
        Some(one) if count == 1 => short(&one.name),
        _ => format!("{count} artifacts"),
    };
    format!("Downloading {what}: {}{of}, {}/s", ByteSize(at), ByteSize(rate as u64))
}

/// The end of a name is what tells it apart.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST_NAME {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length + 1 - LONGEST_NAME).collect();
    format!("…{end}")
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
