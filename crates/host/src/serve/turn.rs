//! An instance's turn on its thread, and what is looked at in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;

/// How often an instance that wakes itself is polled in one turn. A hello takes four; one that does
/// so for ever must let others have theirs.
const MOST: u32 = 16;

/// Nothing happens.
const REST: u8 = 0;
/// It is being polled.
const TURN: u8 = 1;
/// It is being polled, and was woken meanwhile.
const WOKEN: u8 = 2;

/// Keeps polling a future that wakes itself, up to a point.
///
/// A guest of WASI 0.3 yields several times on its way to an answer. Going through the executor's
/// queue for each costs more than what the guest does, and lets the one who waits for the answer look
/// for it in vain.
#[derive(Default)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    /// Who polls.
    outer: AtomicWaker,
}

/// Polls only what was woken.
///
/// Polled always with the same waker, or with others that do the same.
pub(super) struct Gate {
    shared: Arc<Flag>,
    waker: Waker,
}

#[derive(Default)]
struct Flag {
    quiet: AtomicBool,
    outer: AtomicWaker,
}

// === impl Gate ===

impl Gate {
    /// Lets the next poll through.
    pub(super) fn open(&self) {
        self.shared.quiet.store(false, Ordering::SeqCst);
    }

    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.shared.quiet.swap(true, Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.shared.outer.register(cx.waker());
        poll(&mut Context::from_waker(&self.waker))
    }
}

impl Default for Gate {
    fn default() -> Self {
        let shared = Arc::<Flag>::default();
        Self { waker: Waker::from(shared.clone()), shared }
    }
}

// === impl Flag ===

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.quiet.swap(false, Ordering::SeqCst) {
            self.outer.wake();
        }
    }
}

// === impl Turn ===

impl Turn {
    /// Polls until the future rests, is ready, or `enough` says so.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
        enough: impl Fn() -> bool,
    ) -> Poll<T> {
        let shared = &self.shared;
        let waker = self.waker.get_or_insert_with(|| Waker::from(shared.clone()));
        shared.outer.register(cx.waker());
        for _ in 0..MOST {
            shared.state.store(TURN, Ordering::SeqCst);
            let polled = poll(&mut Context::from_waker(waker));
            if polled.is_ready() {
                shared.state.store(REST, Ordering::SeqCst);
                return polled;
            }
            if enough() || shared.state.load(Ordering::SeqCst) != WOKEN {
                break;
            }
        }
        if shared.state.swap(REST, Ordering::SeqCst) == WOKEN {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

// === impl Shared ===

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let during = |state| (state != REST).then_some(WOKEN);
        if self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, during).is_err() {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
