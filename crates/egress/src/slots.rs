//! How many connections a workload holds, and which of them are idle.
//!
//! Each connection takes a slot until its socket closes. When none is free, the connection idle the
//! longest is closed: otherwise a workload that talks to many hosts would wait for the idle timeout
//! of connections that nobody uses.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How long a connection must have been idle to be closed for another one. Covers the moment between
/// a connection's being chosen for a request and its being marked as in use.
const IDLE_FOR: Duration = Duration::from_millis(50);

/// The same for a connection that was not used yet: most likely the request that it was opened for
/// is about to.
const UNUSED_FOR: Duration = Duration::from_secs(1);

/// The slots of one workload.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: usize,
    free: Arc<Semaphore>,
    open: Mutex<Vec<Arc<Usage>>>,
}

/// What is known of one connection while it is open.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Requests whose response is not read to its end, and one while the connection is being opened.
    requests: AtomicUsize,
    /// From when on it may be closed for another connection, if it is idle until then.
    spare_from: Mutex<Instant>,
    closing: AtomicBool,
    reader: AtomicWaker,
}

/// A slot that a connection occupies; held by its socket.
#[derive(Debug)]
pub(crate) struct Slot {
    usage: Arc<Usage>,
    slots: Arc<Slots>,
    _permit: OwnedSemaphorePermit,
}

/// Something under way on a connection.
#[derive(Debug)]
pub(crate) struct InUse {
    usage: Arc<Usage>,
    spare_after: Duration,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            free: Arc::new(Semaphore::new(limit)),
            open: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Waits for a slot; the caller sets the deadline.
    pub(crate) async fn take(self: &Arc<Self>) -> Slot {
        let acquire = Arc::clone(&self.free).acquire_owned();
        tokio::pin!(acquire);
        loop {
            if self.free.available_permits() == 0 {
                self.close_idle();
            }
            tokio::select! {
                biased;
                permit = &mut acquire => match permit {
                    Ok(permit) => return self.occupy(permit),
                    // The semaphore is never closed.
                    Err(_) => std::future::pending().await,
                },
                () = tokio::time::sleep(IDLE_FOR) => {}
            }
        }
    }

    fn occupy(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        let usage = Arc::new(Usage {
            requests: AtomicUsize::new(0),
            spare_from: Mutex::new(Instant::now() + UNUSED_FOR),
            closing: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        lock(&self.open).push(Arc::clone(&usage));
        Slot { usage, slots: Arc::clone(self), _permit: permit }
    }

    /// Closes the connection that has been idle the longest, if any may be closed.
    fn close_idle(&self) {
        let open = lock(&self.open);
        let idle = open.iter().filter(|usage| usage.is_idle());
        let oldest =
            idle.map(|usage| (*lock(&usage.spare_from), usage)).min_by_key(|(from, _)| *from);
        if let Some((from, usage)) = oldest
            && from <= Instant::now()
        {
            usage.closing.store(true, Ordering::Release);
            usage.reader.wake();
        }
    }
}

impl Usage {
    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0 && !self.closing.load(Ordering::Acquire)
    }

    /// Marks the connection as used by a request until the answer is dropped.
    pub(crate) fn begin_request(self: Arc<Self>) -> InUse {
        self.begin(IDLE_FOR)
    }

    fn begin(self: Arc<Self>, spare_after: Duration) -> InUse {
        self.requests.fetch_add(1, Ordering::AcqRel);
        InUse { usage: self, spare_after }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        *lock(&self.usage.spare_from) = Instant::now() + self.spare_after;
        self.usage.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Slot {
    /// Marks the connection as being opened until the answer is dropped.
    pub(crate) fn opening(&self) -> InUse {
        Arc::clone(&self.usage).begin(UNUSED_FOR)
    }

    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Whether the connection is to close; if not, the reader is woken when it is.
    pub(crate) fn is_closing(&self, cx: &Context<'_>) -> bool {
        self.usage.reader.register(cx.waker());
        self.usage.closing.load(Ordering::Acquire)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.slots.open).retain(|usage| !Arc::ptr_eq(usage, &self.usage));
    }
}

/// Nothing is done under these locks that could leave their contents half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
