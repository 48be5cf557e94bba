//! A value that a guest writes, by a stream of `wasi:io`.
//!
//! The interface does not say whether the guest first writes and then names the object, or the other way round, and
//! guests do both. What is written first waits here, within bounds; from then on it goes straight through, with no
//! more than a little waiting. The object is there when the guest finishes the value; if its body had ended when
//! the object was named, it is there at once.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use reef_blob_store::Writing;
use reef_capability::Failure;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_io::{
    async_trait,
    poll::Pollable,
    streams::{OutputStream, StreamError, StreamResult},
};

/// Bytes that wait on their way to an object.
const WAITING: usize = 1 << 20;
/// Bytes of one piece of them, where the guest writes smaller ones.
const PIECE: usize = 64 << 10;
/// Bytes of one value that wait for an object to be named, and of all values of an instance.
const UNNAMED: (usize, usize) = (8 << 20, 32 << 20);

/// A value that a guest writes.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct Outgoing {
    pipe: Arc<Pipe>,
    taken: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The guest did not say which object it is.
    Unnamed,
    /// What comes is stored.
    Storing(AbortOnDropHandle<Result<Writing, Failure>>),
    /// It is there.
    Stored,
    Failed(Failure),
}

/// What a guest wrote, and the backend did not take yet.
#[derive(Debug)]
struct Pipe {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Bytes without an object, of all values of the instance.
    unnamed: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: VecDeque<BytesMut>,
    held: usize,
    named: bool,
    closed: bool,
    failed: Option<Failure>,
}

/// The guest's end.
#[derive(Debug)]
pub(super) struct Body(Arc<Pipe>);

impl Outgoing {
    /// One of an instance whose values without an object hold `unnamed` bytes now.
    pub(super) fn new(unnamed: Arc<AtomicUsize>) -> Self {
        let pipe = Pipe { inner: Mutex::default(), changed: Notify::new(), unnamed };
        Self { pipe: Arc::new(pipe), taken: false, state: State::Unnamed }
    }

    /// The stream that the guest writes to; there is one.
    pub(super) fn body(&mut self) -> Option<Body> {
        (!mem::replace(&mut self.taken, true)).then(|| Body(self.pipe.clone()))
    }

    /// Stores it as the object that is being written.
    pub(super) async fn store(&mut self, writing: Writing) -> Result<(), Failure> {
        if !matches!(self.state, State::Unnamed) {
            return Err(Failure::Invalid("the value is of another object already".to_owned()));
        }
        self.pipe.name();
        let ended = self.taken && self.pipe.lock().closed;
        let pipe = self.pipe.clone();
        let storing = tokio::spawn(async move { pipe.drain(writing).await });
        self.state = State::Storing(AbortOnDropHandle::new(storing));
        if ended { self.end().await } else { Ok(()) }
    }

    /// The guest says that it is complete.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        if !self.taken {
            self.pipe.close();
        }
        self.end().await
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let done = match mem::replace(&mut self.state, State::Stored) {
            State::Stored => Ok(()),
            State::Failed(failure) => Err(failure),
            State::Unnamed => {
                Err(Failure::Invalid("the value was written to no object".to_owned()))
            }
            State::Storing(storing) => match storing.await {
                Ok(Ok(writing)) => writing.finish().await,
                Ok(Err(failure)) => Err(failure),
                Err(_) => Err(Failure::Backend("the host is ending".to_owned())),
            },
        };
        if let Err(failure) = &done {
            self.state = State::Failed(failure.clone());
        }
        done
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it goes somewhere.
    fn name(&self) {
        let mut inner = self.lock();
        if !mem::replace(&mut inner.named, true) {
            self.unnamed.fetch_sub(inner.held, Ordering::Relaxed);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Stores all that comes, until there is no more.
    async fn drain(&self, mut writing: Writing) -> Result<Writing, Failure> {
        loop {
            let mut changed = Box::pin(self.changed.notified());
            changed.as_mut().enable();
            let (piece, closed) = {
                let mut inner = self.lock();
                let piece = inner.pieces.pop_front();
                inner.held -= piece.as_ref().map_or(0, BytesMut::len);
                (piece, inner.closed)
            };
            match piece {
                Some(piece) => {
                    self.changed.notify_waiters();
                    if let Err(failure) = writing.write(piece.freeze()).await {
                        self.fail(&failure);
                        return Err(failure);
                    }
                }
                None if closed => return Ok(writing),
                None => changed.await,
            }
        }
    }

    fn fail(&self, failure: &Failure) {
        let mut inner = self.lock();
        inner.failed = Some(failure.clone());
        (inner.pieces, inner.held) = (VecDeque::new(), 0);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// How much may be written now.
    fn room(&self) -> Result<usize, Failure> {
        let inner = self.lock();
        if let Some(failure) = &inner.failed {
            return Err(failure.clone());
        }
        if inner.named {
            return Ok(WAITING.saturating_sub(inner.held));
        }
        let (of_one, of_all) = UNNAMED;
        let all = self.unnamed.load(Ordering::Relaxed);
        match of_one.saturating_sub(inner.held).min(of_all.saturating_sub(all)) {
            0 => Err(Failure::TooLarge {
                what: "value without an object (call write-data before its body is written)",
                is: inner.held as u64 + 1,
                most: inner.held as u64,
            }),
            room => Ok(room.min(WAITING)),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !inner.named {
            self.unnamed.fetch_sub(inner.held, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl OutputStream for Body {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.check_write()? {
            return Err(StreamError::trap("more was written than there was room for"));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let mut inner = self.0.lock();
        inner.held += bytes.len();
        if !inner.named {
            self.0.unnamed.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        // Small ones together: each costs more than its bytes.
        match inner.pieces.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE => last.extend_from_slice(&bytes),
            _ => inner.pieces.push_back(bytes.into()),
        }
        drop(inner);
        self.0.changed.notify_waiters();
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // What is written is on its way. Whether it arrives is what `finish` says.
        let failed = self.0.lock().failed.clone();
        failed.map_or(Ok(()), |failure| Err(broken(&failure)))
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.room().map_err(|failure| broken(&failure))
    }
}

#[async_trait]
impl Pollable for Body {
    async fn ready(&mut self) {
        loop {
            let mut changed = Box::pin(self.0.changed.notified());
            changed.as_mut().enable();
            if !matches!(self.0.room(), Ok(0)) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn broken(failure: &Failure) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::msg(failure.to_string()))
}
