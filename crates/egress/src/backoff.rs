//! Pauses between attempts.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses between attempts to reach a server, for ever: each about twice as long as the one before, from a
/// quarter of a second to half a minute, and never quite the same, so that many who lost a server do not
/// come back at once.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The pause after another attempt that failed: from a half of what it may be at most.
    pub fn pause(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        most.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// The server was there: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.pause()).collect();
        for (at, pause) in pauses.iter().enumerate() {
            let most = FIRST.saturating_mul(1 << at.min(16)).min(LONGEST);
            assert!(*pause >= most / 2 && *pause <= most, "{at}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
