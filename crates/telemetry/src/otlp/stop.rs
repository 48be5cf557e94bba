use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// More than this is for ever, which a clock cannot count to.
const LONGEST: Duration = Duration::from_secs(3600);

/// The end of the export: what waits is sent until a moment, and then no more.
#[derive(Debug)]
pub(crate) struct Stop {
    at: watch::Sender<Option<Instant>>,
    /// The moment came with something unsent.
    cut_short: AtomicBool,
}

impl Stop {
    pub(super) fn new() -> Self {
        Self { at: watch::Sender::new(None), cut_short: AtomicBool::new(false) }
    }

    /// Gives what waits this time. Who asked first is the one that counts.
    pub(super) fn within(&self, time: Duration) {
        self.at.send_if_modified(|at| {
            let first = at.is_none();
            if first {
                *at = Some(Instant::now() + time.min(LONGEST));
            }
            first
        });
    }

    /// Whether the end was asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.at.borrow().is_some()
    }

    /// Until it is.
    pub(crate) async fn asked(&self) {
        // It fails when the sender has gone, which this is.
        let _ = self.at.subscribe().wait_for(Option::is_some).await;
    }

    /// Until the moment has come.
    pub(super) async fn over(&self) {
        let mut at = self.at.subscribe();
        let at = at.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        if let Some(at) = at {
            tokio::time::sleep_until(at.into()).await;
        }
        self.cut_short.store(true, Ordering::Relaxed);
    }

    pub(super) fn cut_short(&self) -> bool {
        self.cut_short.load(Ordering::Relaxed)
    }
}
