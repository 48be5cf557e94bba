use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(test)]
mod tests;

/// Where a process is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Compiling, linking, binding: not able to serve yet.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what was accepted, taking nothing new.
    Draining,
}

impl State {
    /// `starting`, `ready` or `draining`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// An answer to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether the probe succeeds: 200, otherwise 503.
    pub ok: bool,
    /// Why, in one word.
    pub state: State,
}

/// The state that probes ask about; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: Arc<AtomicU8>,
}

impl Health {
    /// A process that is starting.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It serves now. Without effect on a process that drains.
    pub fn set_ready(&self) {
        self.advance(State::Ready);
    }

    /// It is going away.
    pub fn set_draining(&self) {
        self.advance(State::Draining);
    }

    fn advance(&self, to: State) {
        self.state.fetch_max(to as u8, Ordering::AcqRel);
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Starting,
            1 => State::Ready,
            _ => State::Draining,
        }
    }

    /// Whether the process should be left alone (`/livez`, `/healthz`): yes, as long as it can answer.
    /// A probe that failed while it starts or drains would have it killed in the middle of that.
    #[must_use]
    pub fn live(&self) -> Answer {
        Answer { ok: true, state: self.state() }
    }

    /// Whether to send it requests (`/readyz`): only when ready.
    #[must_use]
    pub fn ready(&self) -> Answer {
        let state = self.state();
        Answer { ok: state == State::Ready, state }
    }
}
