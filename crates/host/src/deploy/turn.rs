//! One change of what runs at a time: what it is doing, who waits for it, and how it is called off.
//!
//! Workloads that a lattice placed here share nothing that is seen from outside, so they are changed beside each other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reef_grants::ByteSize;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use super::DeployError;

/// How long a change waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change in progress, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is done: `apply`, `restart`, `rollback`, `stop`.
    pub what: &'static str,
    /// With which application.
    pub application: String,
    /// Since when.
    pub lasts: Duration,
    /// What it is at: `shop/cart: its command of the start runs`.
    pub step: Option<String>,
}

/// What a change is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A script is evaluated.
    Evaluating,
    /// An artifact of so many bytes is compiled, or its code is had from the cache.
    Compiling(usize),
    /// An instance of it is tried.
    Trying,
    /// Its command of the start runs.
    Starting,
    /// It is asked whether it is ready.
    Asking,
}

/// What happens in a change, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A workload is at a stage now.
    Step {
        /// Which workload, with its application's name.
        workload: &'a str,
        /// Which one of them it is, from 1 on, and how many there are.
        place: Option<(usize, usize)>,
        /// The stage.
        stage: Stage,
    },
    /// It is over: well, or not.
    Over {
        /// Which application.
        application: &'a str,
        /// Whether it came to what was wanted.
        well: bool,
    },
}

/// Who watches changes. Called by whichever thread does something; not to block it.
pub type Watcher = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// Who may change something, and who waits.
#[derive(Default)]
pub(super) struct Turns {
    watcher: Arc<OnceLock<Watcher>>,
    gate: Arc<RwLock<()>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The one that has begun first is the first.
    present: Vec<Arc<Doing>>,
    /// The host ends.
    closed: bool,
}

/// The right to change something, for as long as it is there.
pub(super) struct Turn {
    pub(super) doing: Arc<Doing>,
    state: Arc<Mutex<State>>,
    _gate: Gate,
}

/// Held for as long as something is changed.
#[allow(dead_code, reason = "held, not looked at")]
enum Gate {
    Alone(OwnedRwLockWriteGuard<()>),
    Beside(OwnedRwLockReadGuard<()>),
}

/// What a change does.
pub(super) struct Doing {
    what: &'static str,
    application: String,
    since: Instant,
    step: Mutex<Option<String>>,
    /// Workloads that were made or kept so far, of how many.
    place: Mutex<(usize, usize)>,
    well: AtomicBool,
    watcher: Arc<OnceLock<Watcher>>,
    called_off: watch::Sender<bool>,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Evaluating => f.write_str("its script is evaluated"),
            Self::Compiling(bytes) => write!(f, "it is compiled ({})", ByteSize(*bytes as u64)),
            Self::Trying => f.write_str("an instance of it is tried"),
            Self::Starting => f.write_str("its command of the start runs"),
            Self::Asking => f.write_str("it is asked whether it is ready"),
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}, for {} s", self.what, self.application, self.lasts.as_secs())?;
        match &self.step {
            Some(step) => write!(f, "; {step}"),
            None => Ok(()),
        }
    }
}

// === impl Turns ===

impl Turns {
    /// Waits for the change in progress, but not for ever.
    ///
    /// # Errors
    /// [`DeployError::Busy`] when that goes on, [`DeployError::Stopped`] when the host ends.
    pub(super) async fn begin(
        &self,
        what: &'static str,
        application: &str,
        placed: bool,
    ) -> Result<Turn, DeployError> {
        let gate = self.gate.clone();
        let waiting = tokio::time::timeout(PATIENCE, async {
            match placed {
                true => Gate::Beside(gate.read_owned().await),
                false => Gate::Alone(gate.write_owned().await),
            }
        });
        let Ok(gate) = waiting.await else {
            let present = self.present().ok_or(DeployError::Stopped)?;
            return Err(DeployError::Busy { present });
        };
        let doing = Arc::new(Doing {
            what,
            application: application.to_owned(),
            since: Instant::now(),
            step: Mutex::default(),
            place: Mutex::default(),
            well: AtomicBool::new(false),
            watcher: self.watcher.clone(),
            called_off: watch::channel(false).0,
        });
        let mut state = lock(&self.state);
        if state.closed {
            return Err(DeployError::Stopped);
        }
        state.present.push(doing.clone());
        drop(state);
        Ok(Turn { doing, state: self.state.clone(), _gate: gate })
    }

    /// Has somebody told of what happens. The first one counts.
    pub(super) fn watch(&self, watcher: Watcher) {
        let _ = self.watcher.set(watcher);
    }

    /// What is in progress.
    pub(super) fn present(&self) -> Option<Change> {
        lock(&self.state).present.first().map(|doing| doing.change())
    }

    /// Calls off what is done with an application, and says whether that was something.
    pub(super) fn call_off(&self, application: &str) -> bool {
        let state = lock(&self.state);
        let mut own = state.present.iter().filter(|doing| doing.application == application);
        own.any(|doing| !doing.called_off.send_replace(true))
    }

    /// Calls off whatever is done. Nothing is begun any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        for doing in &state.present {
            doing.called_off.send_replace(true);
        }
    }

    /// Waits for what could not be called off.
    pub(super) async fn ended(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.gate.write()).await;
    }
}

// === impl Turn ===

impl Turn {
    /// The same, unless it is called off before it is done.
    pub(super) async fn unless_called_off<T>(
        &self,
        done: impl Future<Output = Result<T, DeployError>>,
    ) -> Result<T, DeployError> {
        let mut called_off = self.doing.called_off.subscribe();
        tokio::select! {
            biased;
            _ = called_off.wait_for(|off| *off) => Err(self.doing.called_off()),
            done = done => done,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.state).present.retain(|doing| !Arc::ptr_eq(doing, &self.doing));
        let doing = &self.doing;
        // What cannot be interrupted is not heard of any more.
        doing.called_off.send_replace(true);
        if let Some(watcher) = doing.watcher.get() {
            let well = doing.well.load(Ordering::Relaxed);
            watcher(&Event::Over { application: &doing.application, well });
        }
    }
}

// === impl Doing ===

impl Doing {
    /// Says what it is at.
    pub(super) fn step(&self, workload: &str, stage: Stage) {
        if *self.called_off.borrow() {
            return;
        }
        let step = format!("{workload}: {stage}");
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
        if let Some(watcher) = self.watcher.get() {
            let (at, of) = *self.place.lock().unwrap_or_else(PoisonError::into_inner);
            // Middleware is made for each that it stands in front of.
            let place = matches!(stage, Stage::Evaluating | Stage::Compiling(_))
                .then(|| (at.clamp(1, of.max(1)), of.max(1)));
            watcher(&Event::Step { workload, place, stage });
        }
    }

    /// The next of so many workloads has its turn.
    pub(super) fn next(&self, of: usize) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        *place = (place.0 + 1, of);
    }

    /// It came to what was wanted.
    pub(super) fn done(&self) {
        self.well.store(true, Ordering::Relaxed);
    }

    /// An error if it was called off: for what cannot be interrupted, between two pieces of it.
    pub(super) fn check(&self) -> Result<(), DeployError> {
        if *self.called_off.borrow() { Err(self.called_off()) } else { Ok(()) }
    }

    fn called_off(&self) -> DeployError {
        DeployError::CalledOff { what: self.what, application: self.application.clone() }
    }

    fn change(&self) -> Change {
        Change {
            what: self.what,
            application: self.application.clone(),
            lasts: self.since.elapsed(),
            step: self.step.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
