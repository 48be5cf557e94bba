//! The thread that writes.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::{AccessLogError, LogTarget, Shared};

/// How long lines are gathered. Meanwhile the thread waits for time only, so that whoever leaves a
/// line needs not wake it.
const GATHER: Duration = Duration::from_millis(20);

/// Bytes written at once.
const BATCH: usize = 256 * 1024;

/// How often it is said that lines were lost.
const SAY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) enum Message {
    Line(Vec<u8>),
    Wake,
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

#[derive(Debug)]
pub(super) struct Writer {
    target: LogTarget,
    file: Option<File>,
    shared: Arc<Shared>,
    batch: Vec<u8>,
    lines: u64,
    flushed: Vec<SyncSender<()>>,
    said: (u64, Option<Instant>),
}

impl Writer {
    pub(super) fn open(target: LogTarget, shared: Arc<Shared>) -> Result<Self, AccessLogError> {
        let file = match &target {
            LogTarget::Stdout => None,
            LogTarget::File(path) => Some(
                append(path)
                    .map_err(|source| AccessLogError::Open { path: path.clone(), source })?,
            ),
        };
        let (batch, flushed) = (Vec::new(), Vec::new());
        Ok(Self { target, file, shared, batch, lines: 0, flushed, said: (0, None) })
    }

    /// Writes what comes until nobody is left to send any.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        while let Ok(first) = queue.recv() {
            self.take(first);
            if self.flushed.is_empty() {
                std::thread::sleep(GATHER);
            }
            while let Ok(next) = queue.try_recv() {
                self.take(next);
                if self.batch.len() >= BATCH {
                    self.write();
                }
            }
            self.write();
            self.say();
        }
        self.write();
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                self.batch.extend_from_slice(&line);
                self.lines += 1;
            }
            Message::Wake => {}
            Message::Flush(done) => self.flushed.push(done),
        }
    }

    fn write(&mut self) {
        if self.shared.reopen.swap(false, Ordering::Acquire)
            && let LogTarget::File(path) = &self.target
        {
            match append(path) {
                Ok(file) => self.file = Some(file),
                Err(error) => tracing::error!(
                    path = %path.display(), %error,
                    "could not open the access log again; lines go to the file that was open"
                ),
            }
        }
        if !self.batch.is_empty() {
            let written = match &mut self.file {
                Some(file) => file.write_all(&self.batch),
                None => {
                    let mut out = io::stdout().lock();
                    out.write_all(&self.batch).and_then(|()| out.flush())
                }
            };
            if let Err(error) = written {
                tracing::debug!(%error, "the access log was not written");
                self.shared.dropped.fetch_add(self.lines, Ordering::Relaxed);
            }
            self.batch.clear();
            self.lines = 0;
        }
        for done in self.flushed.drain(..) {
            let _ = done.try_send(());
        }
    }

    fn say(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let (before, last) = self.said;
        if dropped != before && last.is_none_or(|last| last.elapsed() >= SAY) {
            self.said = (dropped, Some(Instant::now()));
            tracing::warn!(
                lines = dropped - before,
                "access log lines were lost: its file could not be written, or not fast enough"
            );
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}
