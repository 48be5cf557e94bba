//! A backend that fails again and again is left alone for a while.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Failures in a row that open it.
const FAILURES: u32 = 10;
/// How long it then stays open, doubling while single tries go on failing, up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Open after some failures in a row; then one try is let through after each pause.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Failures in a row. Looked at without a lock for as long as there is none.
    failures: AtomicU32,
    open: Mutex<Option<Open>>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    until: Instant,
    pause: Duration,
}

impl Breaker {
    /// Whether the backend may be asked; otherwise for how long not.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), (u32, Duration)> {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures < FAILURES {
            return Ok(());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = open.as_mut() else { return Ok(()) };
        if now < state.until {
            return Err((failures, state.until - now));
        }
        // This one tries; the others wait for what comes of it.
        state.until = now + state.pause;
        Ok(())
    }

    /// The backend answered. Whether it was open before.
    pub(crate) fn worked(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    /// The backend failed. Whether that opened it.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        if before + 1 < FAILURES {
            return false;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (least, most) = PAUSE;
        let pause = open.map_or(least, |state| (state.pause * 2).min(most));
        let first = open.is_none();
        *open = Some(Open { until: now + pause, pause });
        first
    }
}

#[cfg(test)]
mod tests;
