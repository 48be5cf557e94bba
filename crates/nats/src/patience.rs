//! Trying again: a cluster that has just made a stream, or lost who led it, answers nobody for a while.

use std::{future::Future, time::Duration};

use reef_capability::Failure;
use tokio::time::{Instant, sleep};

/// How long what a link keeps may have no server that leads it, and be made, asked and written to again: less than the
/// time that a link's uses have, so that they say why.
pub const UNLED: Duration = Duration::from_secs(4);
/// Pauses between tries of what certainly was not done: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How long the first try may take of what can be tried again whatever became of it; the next ones twice as long each. A
/// server that stops leading does not answer what it was asked.
const FIRST_TRY: Duration = Duration::from_secs(1);

/// A use that is tried again until it was certainly done, or time is up.
#[derive(Debug)]
pub struct Patience {
    within: Duration,
    until: Instant,
    pause: Duration,
    /// How long the next try may take, where there may be another one.
    one: Duration,
    /// Why the last try was in vain.
    why: Option<String>,
}

impl Patience {
    /// For that long.
    pub fn new(within: Duration) -> Self {
        Self { within, until: Instant::now() + within, pause: PAUSES.0, one: FIRST_TRY, why: None }
    }

    /// Waits before another try of what certainly was not done; `false`: it may have been, or it is too late for one.
    pub async fn again(&mut self, failure: &Failure) -> bool {
        matches!(failure, Failure::Unavailable { maybe_done: false, .. })
            && self.whatever(failure).await
    }

    /// Waits before another try of what may have been done, where doing it twice is doing it once; `false`: it would
    /// come to the same, or it is too late for one.
    pub async fn whatever(&mut self, failure: &Failure) -> bool {
        let why = match failure {
            Failure::Unavailable { why, .. } => why.clone(),
            Failure::Timeout(_) => failure.to_string(),
            _ => return false,
        };
        let pause = self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        if Instant::now() + pause >= self.until {
            return false;
        }
        self.why = Some(why);
        self.pause = (self.pause * 2).min(PAUSES.1);
        sleep(pause).await;
        true
    }

    /// Bounds one try of what can be tried again whatever became of it.
    pub async fn bound_one<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let one = self.one;
        self.one = one * 2;
        match tokio::time::timeout(one, self.bound(work)).await {
            Ok(done) => done,
            Err(_) => Err(Failure::Timeout(one)),
        }
    }

    /// Bounds one try.
    pub async fn bound<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout_at(self.until, work).await {
            Ok(done) => done,
            // This try may have come further.
            Err(_) => Err(match &self.why {
                Some(why) => Failure::lost(why),
                None => Failure::Timeout(self.within),
            }),
        }
    }
}
