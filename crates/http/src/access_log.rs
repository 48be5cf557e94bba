//! A line for each request, written by a thread of its own.
//!
//! A worker makes the line when the response is over and leaves it in a bounded queue. Where the
//! disk does not keep up, lines are dropped, counted and said, and no worker waits.

mod line;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::time::Duration;

pub(crate) use line::{End, Line};
use writer::{Message, Writer};

/// Lines that wait for the writer, and bytes of them: clients decide how long a line is.
const QUEUE: usize = 8192;
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The common log format: `REMOTE - - [TIME] "REQUEST" STATUS BYTES`. A request without an
    /// answer has the status 499; one that could not be read is `-`.
    Common,
    /// The common log format with `"REFERER" "USER-AGENT"` at its end.
    Combined,
    /// An object in each line: `time` (RFC 3339, when the request had come), `remote`, `method`,
    /// `target` and `version` (unless it could not be read), `status`, `bytes` (of the body, as sent), `duration` (seconds), `end`
    /// (`whole`; `cut`, the body was broken off; `given_up`, the client went before it was
    /// answered), and where there are such `host`, `id`, `workload`, `route`, `referer`,
    /// `user_agent`.
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// The end of a file, which is made if it is not there.
    File(PathBuf),
}

/// Why there can be no access log.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be written.
    #[error("could not open the access log {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("could not start the thread that writes the access log: {0}")]
    Thread(#[source] io::Error),
}

/// What answered a request. A handler that knows puts it among the extensions of its response, for
/// the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy {
    /// The workload's name.
    pub workload: Arc<str>,
    /// The route that the request came by.
    pub route: Arc<str>,
}

/// An access log. Cheap to clone; all clones write to the same place, in the order in which requests
/// end. Lines may come some hundredths of a second late.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: LogFormat,
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    /// Bytes in the queue.
    waiting: AtomicUsize,
    reopen: AtomicBool,
}

impl AccessLog {
    /// Opens the target and starts the thread that writes to it, which ends with the last clone.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be started.
    pub fn open(target: LogTarget, format: LogFormat) -> Result<Self, AccessLogError> {
        let shared = Arc::<Shared>::default();
        let (queue, lines) = mpsc::sync_channel(QUEUE);
        let writer = Writer::open(target, Arc::clone(&shared))?;
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&lines))
            .map_err(AccessLogError::Thread)?;
        Ok(Self { format, queue, shared })
    }

    /// Lines that were not written: the queue was full, or the target refused them.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew before the next line is written, after it was moved away.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // A full queue has a line that the writer wakes for.
        let _ = self.queue.try_send(Message::Wake);
    }

    /// Waits until everything that was logged is written, at most as long as `limit`, and says
    /// whether it is. Blocks: not for a worker.
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, is_done) = mpsc::sync_channel(1);
        let until = std::time::Instant::now() + limit;
        let mut message = Message::Flush(done);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) if std::time::Instant::now() < until => {
                    message = again;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return false,
            }
        }
        is_done.recv_timeout(until.saturating_duration_since(std::time::Instant::now())).is_ok()
    }

    pub(crate) fn write(&self, line: &Line, end: End) {
        let mut text = Vec::with_capacity(256);
        line.write(self.format, end, &mut text);
        let length = text.len();
        let waiting = self.shared.waiting.fetch_add(length, Ordering::Relaxed);
        if waiting > QUEUE_BYTES || self.queue.try_send(Message::Line(text)).is_err() {
            self.shared.waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
