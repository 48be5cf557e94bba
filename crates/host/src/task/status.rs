//! How a task is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use reef_key_value::Happening;

use super::{Inlet, When};
use crate::Failure;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for its time, for connections or for messages.
    Waiting,
    /// The server that its messages come from is not there: it is tried again.
    Connecting,
    /// Its guest runs.
    Running,
    /// Its guest has ended, and is started again after a pause.
    BackingOff,
    /// It was started again too often, or can never be started again.
    Failed,
}

/// How a task is, and how it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// What it is: `service`, `cron */5 * * * *`, `timer 10s`, `tcp 127.0.0.1:7000`,
    /// `message orders.*`, `watch default`, `redis orders at localhost:6379`, `mqtt orders/# at localhost:1883`.
    pub trigger: String,
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    pub since: SystemTime,
    /// Guests that run now.
    pub running: u64,
    /// Runs begun.
    pub runs: u64,
    /// Messages of another server, or changes of a store, that there was no room for.
    pub dropped: u64,
    /// Runs that did not end well.
    pub failures: u64,
    /// When it runs next.
    pub next: Option<SystemTime>,
    /// Why the last one failed.
    pub last_failure: Option<String>,
}

/// Keeps the status of one task.
pub(super) struct Book(Mutex<TaskStatus>);

impl Phase {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Running => "running",
            Self::BackingOff => "backing off",
            Self::Failed => "failed",
        }
    }
}

impl Book {
    pub(super) fn new(when: &When, inlet: Option<&Inlet>) -> Self {
        let trigger = match when {
            When::Service { .. } => "service".to_owned(),
            When::Cron { schedule, .. } => format!("cron {schedule}"),
            When::Timer { every } => format!("timer {every:?}"),
            When::Tcp { addr, .. } => {
                let bound = inlet.and_then(|inlet| match inlet {
                    Inlet::Connections(listener) => listener.local_addr().ok(),
                    Inlet::Feed(_) | Inlet::Messages(_) | Inlet::Changes(_) => None,
                });
                format!("tcp {}", bound.unwrap_or(*addr))
            }
            When::Feed { source, .. } => source.to_string(),
            When::Message { subject, queue, link, .. } => {
                let shared = queue.as_ref().map(|queue| format!(", shared by {queue}"));
                let over = link.as_ref().map(|link| format!(" over {}", link.name));
                format!(
                    "message {subject}{}{}",
                    over.unwrap_or_default(),
                    shared.unwrap_or_default()
                )
            }
            When::Watch { store, wish, .. } => {
                let keys = match (&wish.key, &*wish.prefix) {
                    (Some(key), _) => format!(", {key}"),
                    (None, "") => String::new(),
                    (None, prefix) => format!(", {prefix}*"),
                };
                let only = match wish.only {
                    None => "",
                    Some(Happening::Set) => ", set",
                    Some(Happening::Delete) => ", deleted",
                };
                format!("watch {store}{keys}{only}")
            }
        };
        Self(Mutex::new(TaskStatus {
            trigger,
            phase: Phase::Waiting,
            since: SystemTime::now(),
            running: 0,
            runs: 0,
            dropped: 0,
            failures: 0,
            next: None,
            last_failure: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, TaskStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> TaskStatus {
        self.lock().clone()
    }

    pub(super) fn begun(&self) -> Begun<'_> {
        let mut status = self.lock();
        status.runs += 1;
        status.running += 1;
        status.next = None;
        status.phase(Phase::Running);
        Begun(self)
    }

    pub(super) fn next(&self, next: Option<SystemTime>) {
        self.lock().next = next;
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.lock().phase(phase);
    }
}

/// A run in progress; one that is broken off has ended, too.
pub(super) struct Begun<'a>(&'a Book);

impl Begun<'_> {
    pub(super) fn ended(self, how: &Result<i32, Failure>) {
        let why = match how {
            Ok(0) => return,
            Ok(code) => format!("it exited with status {code}"),
            Err(failure) => failure.to_string(),
        };
        let mut status = self.0.lock();
        status.failures += 1;
        status.last_failure = Some(why.lines().next().unwrap_or_default().to_owned());
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut status = self.0.lock();
        status.running = status.running.saturating_sub(1);
        if status.running == 0 {
            status.phase(Phase::Waiting);
        }
    }
}

impl TaskStatus {
    fn phase(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.since = SystemTime::now();
        }
    }
}
