//! What a person is told of downloads.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reef_artifact::Digest;
use reef_grants::ByteSize;
use reef_registry::{Error, Progress, Transfer};

use crate::live;

/// A line that changes is written anew so often.
const DRAW: Duration = Duration::from_millis(100);
/// What fits a line beside the numbers.
const LONGEST_NAME: usize = 48;
/// What the line is called among those that change.
const ROW: &str = "downloads";

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
            live::write(format!("Downloading {what}{size} …\n").as_bytes());
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
        let said = format!("Downloaded {} ({bytes}) in {seconds:.1} s.\n", active.name);
        live::write(said.as_bytes());
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
        live::show(ROW, line(self.active.values()));
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            live::hide(ROW);
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
