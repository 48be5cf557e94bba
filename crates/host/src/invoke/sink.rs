//! Where a result goes: standard output, or a file that is there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc as sync_mpsc,
    },
    task::{Context, Poll},
    thread,
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use wasmtime::{
    StoreContextMut,
    component::{Source, StreamConsumer, StreamResult},
};

use super::{
    Output,
    source::{AHEAD, PIECE},
};
use crate::Failure;

/// Takes bytes for a thread to write. The thread is at most a few pieces behind; dropping this is the
/// end of the result.
pub(super) struct Sink {
    pieces: PollSender<Vec<u8>>,
    emptied: sync_mpsc::Receiver<Vec<u8>>,
}

/// The other end of a [`Sink`]: tells when everything is written.
pub(super) struct Writing {
    output: Output,
    temporary: Option<Temporary>,
    done: oneshot::Receiver<io::Result<()>>,
}

/// How writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everything is written.
    Whole,
    /// Whoever read standard output wants no more of it.
    Unread,
}

/// A file beside the one it is to become. Dropping it removes it.
struct Temporary {
    at: PathBuf,
    becomes: PathBuf,
    kept: bool,
}

/// Opens the output.
///
/// # Errors
/// When it cannot be written to.
pub(super) async fn open(output: &Output) -> Result<(Sink, Writing), Failure> {
    let (opened, is_open) = oneshot::channel();
    let (sender, pieces) = mpsc::channel(AHEAD);
    let (empty, emptied) = sync_mpsc::channel();
    let (finished, done) = oneshot::channel();
    let target = output.clone();
    let run = move || match create(&target) {
        Ok((file, temporary)) => {
            // Sent first and waited for after: a call that is given up takes the file away.
            if opened.send(Ok(temporary)).is_ok() {
                let _ = finished.send(write(file, pieces, &empty));
            }
        }
        Err(error) => drop(opened.send(Err(error))),
    };
    let spawned = thread::Builder::new().name("reef-output".to_owned()).spawn(run);
    let opened = match spawned {
        Ok(_) => is_open.await.unwrap_or_else(|error| Err(io::Error::other(error))),
        Err(error) => Err(error),
    };
    let temporary = opened.map_err(|error| failed(output, &error))?;
    let sink = Sink { pieces: PollSender::new(sender), emptied };
    Ok((sink, Writing { output: output.clone(), temporary, done }))
}

fn failed(output: &Output, error: &io::Error) -> Failure {
    Failure::Output { output: output.to_string(), reason: error.to_string() }
}

fn create(output: &Output) -> io::Result<(File, Option<Temporary>)> {
    let path = match output {
        // Past the standard library's buffer, which looks for line ends.
        Output::Print => {
            return Ok((File::from(io::stdout().as_fd().try_clone_to_owned()?), None));
        }
        Output::File(path) => path,
    };
    // A link is kept and what it names replaced.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.clone(),
        Err(error) => return Err(error),
    };
    let existing = match fs::metadata(&path) {
        // A device or a pipe is written to, not replaced.
        Ok(existing) if !existing.is_file() => {
            return Ok((OpenOptions::new().write(true).open(&path)?, None));
        }
        Ok(existing) => Some(existing),
        Err(_) => None,
    };
    let (file, temporary) = beside(path)?;
    if let Some(existing) = existing {
        file.set_permissions(existing.permissions())?;
    }
    Ok((file, Some(temporary)))
}

fn beside(path: PathBuf) -> io::Result<(File, Temporary)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::IsADirectory.into()) };
    let dir = path.parent().unwrap_or(Path::new(""));
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.part", std::process::id()));
        let at = dir.join(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&at) {
            Ok(file) => return Ok((file, Temporary { at, becomes: path, kept: false })),
            // Left behind by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 64 => {}
            Err(error) => return Err(error),
        }
    }
}

fn write(
    mut file: File,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    empty: &sync_mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
        // The sink is gone when this was the last piece.
        let _ = empty.send(piece);
    }
    file.flush()
}

// === impl Sink ===

impl Sink {
    /// Writes something whole and ends.
    pub(super) async fn put(mut self, bytes: Vec<u8>) {
        // A writer that is gone has its own error to tell.
        if std::future::poll_fn(|cx| self.pieces.poll_reserve(cx)).await.is_ok() {
            let _ = self.pieces.send_item(bytes);
        }
    }
}

impl<D: 'static> StreamConsumer<D> for Sink {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = &mut *self;
        match this.pieces.poll_reserve(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(Ok(())) => {}
        }
        let mut direct = source.as_direct(store);
        let offered = direct.remaining();
        if offered.is_empty() {
            // The place stays reserved for the bytes that come next.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let length = offered.len().min(PIECE);
        let mut piece = this.emptied.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(&offered[..length]);
        direct.mark_read(length);
        Poll::Ready(Ok(match this.pieces.send_item(piece) {
            Ok(()) => StreamResult::Completed,
            Err(_) => StreamResult::Dropped,
        }))
    }
}

// === impl Writing ===

impl Writing {
    pub(super) fn to_file(&self) -> bool {
        matches!(self.output, Output::File(_))
    }

    /// Waits until everything is written, or cannot be.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) async fn ended(&mut self) -> Result<Ended, Failure> {
        let done = (&mut self.done).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match done {
            Ok(()) => Ok(Ended::Whole),
            Err(error)
                if error.kind() == io::ErrorKind::BrokenPipe && self.output == Output::Print =>
            {
                Ok(Ended::Unread)
            }
            Err(error) => Err(failed(&self.output, &error)),
        }
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When something is in the way.
    pub(super) fn keep(self) -> Result<(), Failure> {
        match self.temporary {
            Some(temporary) => temporary.keep().map_err(|error| failed(&self.output, &error)),
            None => Ok(()),
        }
    }
}

// === impl Temporary ===

impl Temporary {
    fn keep(mut self) -> io::Result<()> {
        fs::rename(&self.at, &self.becomes)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.at)
        {
            tracing::warn!(path = %self.at.display(), %error, "A temporary file is left behind.");
        }
    }
}
