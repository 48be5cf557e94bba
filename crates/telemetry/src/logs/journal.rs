//! The last lines of the log, for those who ask a running process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

/// How many lines a slow follower may be behind before it misses some.
const BEHIND: usize = 4096;

/// One line of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Whose it is, if it is a workload's.
    pub workload: Option<Box<str>>,
    /// The line as JSON, as [`LogFormat::Json`](crate::LogFormat::Json) writes it, with its line feed.
    pub line: Box<str>,
}

/// The last lines of the log, bounded in number and bytes, and all that come from now on.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Kept>,
    most_lines: usize,
    most_bytes: usize,
    news: broadcast::Sender<Arc<JournalEntry>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<JournalEntry>>,
    bytes: usize,
}

impl Journal {
    /// One that keeps so many lines, and so many bytes of them.
    #[must_use]
    pub fn new(most_lines: usize, most_bytes: usize) -> Arc<Self> {
        let (news, _) = broadcast::channel(BEHIND);
        Arc::new(Self { kept: Mutex::default(), most_lines, most_bytes, news })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, entry: JournalEntry) {
        let entry = Arc::new(entry);
        let mut kept = self.lock();
        kept.bytes += entry.line.len();
        kept.lines.push_back(entry.clone());
        while kept.lines.len() > self.most_lines || kept.bytes > self.most_bytes {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.line.len();
        }
        // Under the lock, so that a follower misses nothing between what was kept and what is new. An
        // error means that nobody follows.
        let _ = self.news.send(entry);
    }

    /// The last lines that `wanted` takes, at most `most`, and those that follow.
    pub fn follow(
        &self,
        most: usize,
        wanted: impl Fn(&JournalEntry) -> bool,
    ) -> (Vec<Arc<JournalEntry>>, broadcast::Receiver<Arc<JournalEntry>>) {
        let kept = self.lock();
        let last = kept.lines.iter().rev().filter(|entry| wanted(entry)).take(most);
        let mut last: Vec<_> = last.cloned().collect();
        last.reverse();
        (last, self.news.subscribe())
    }
}
