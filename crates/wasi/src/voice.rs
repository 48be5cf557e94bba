//! What a workload says, in the host's log: its name on it, each piece of bounded length, and not more of it than
//! one workload may write.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Longest line, or message, that is logged in one piece.
pub(crate) const LONGEST: usize = 8 << 10;
/// Longest context of a message: it is a name.
const LONGEST_CONTEXT: usize = 256;
/// Lines that a workload may write at once, after it was silent.
const BURST: f64 = 10_000.0;
/// Lines a second that it may write for ever.
const RATE: f64 = 1_000.0;
/// Time between two lines on lines that were left out.
const QUIET: Duration = Duration::from_secs(1);

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// One workload's way into the log, shared by its instances.
#[derive(Debug)]
pub(crate) struct Voice {
    workload: Arc<str>,
    budget: Mutex<Budget>,
    /// Whether it was said that metrics go nowhere.
    no_metrics: AtomicBool,
}

#[derive(Debug)]
struct Budget {
    lines: f64,
    at: Instant,
    /// Left out and not said yet, and when it was said last.
    left_out: u64,
    said: Option<Instant>,
}

// === impl Voice ===

impl Voice {
    pub(crate) fn new(workload: Arc<str>) -> Self {
        let budget = Mutex::new(Budget::new(Instant::now()));
        Self { workload, budget, no_metrics: AtomicBool::new(false) }
    }

    pub(crate) fn workload(&self) -> &Arc<str> {
        &self.workload
    }

    /// A line of a stream ("stdout" or "stderr").
    pub(crate) fn line(&self, stream: &'static str, line: &[u8]) {
        if !tracing::enabled!(target: "guest", tracing::Level::INFO) || !self.may_speak() {
            return;
        }
        tracing::info!(
            target: "guest",
            workload = &*self.workload,
            stream,
            "{}",
            String::from_utf8_lossy(line).trim_end_matches('\r')
        );
    }

    /// A message, and what the guest says that it is about.
    pub(crate) fn log(
        &self,
        severity: Severity,
        context: &str,
        message: &str,
        trace_id: Option<&str>,
    ) {
        let enabled = match severity {
            Severity::Trace => tracing::enabled!(target: "guest", tracing::Level::TRACE),
            Severity::Debug => tracing::enabled!(target: "guest", tracing::Level::DEBUG),
            Severity::Info => tracing::enabled!(target: "guest", tracing::Level::INFO),
            Severity::Warn => tracing::enabled!(target: "guest", tracing::Level::WARN),
            Severity::Error | Severity::Critical => {
                tracing::enabled!(target: "guest", tracing::Level::ERROR)
            }
        };
        if !enabled || !self.may_speak() {
            return;
        }
        let context = shortened(context, LONGEST_CONTEXT);
        let context = Some(&*context).filter(|context| !context.is_empty());
        let message = shortened(message, LONGEST);
        // The log has no level above an error.
        let severity_text = (severity == Severity::Critical).then_some("critical");
        macro_rules! say {
            ($level:ident) => {
                tracing::$level!(
                    target: "guest",
                    workload = &*self.workload,
                    context,
                    severity = severity_text,
                    trace_id,
                    "{message}"
                )
            };
        }
        match severity {
            Severity::Trace => say!(trace),
            Severity::Debug => say!(debug),
            Severity::Info => say!(info),
            Severity::Warn => say!(warn),
            Severity::Error | Severity::Critical => say!(error),
        }
    }

    /// Says, once, that what the guest measures goes nowhere.
    pub(crate) fn metrics_without_way(&self) {
        if !self.no_metrics.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                workload = &*self.workload,
                "Metrics of the workload are dropped, as nothing exports them: `reef serve --otlp URL` would, or \
                 OTEL_EXPORTER_OTLP_ENDPOINT in the host's environment."
            );
        }
    }

    fn may_speak(&self) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let may = budget.take(now);
        let left_out = budget.due_to_be_said(now);
        drop(budget);
        if let Some(left_out) = left_out {
            self.say_left_out(left_out);
        }
        may
    }

    fn say_left_out(&self, lines: u64) {
        tracing::warn!(
            workload = &*self.workload,
            lines,
            "Lines of the workload were left out: it writes more than {RATE} a second."
        );
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        let left_out = self.budget.get_mut().unwrap_or_else(PoisonError::into_inner).left_out;
        if left_out > 0 {
            self.say_left_out(left_out);
        }
    }
}

// === impl Budget ===

impl Budget {
    fn new(at: Instant) -> Self {
        Self { lines: BURST, at, left_out: 0, said: None }
    }

    /// Whether there is one line more.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.lines = (self.lines + passed * RATE).min(BURST);
        if self.lines < 1.0 {
            self.left_out += 1;
            return false;
        }
        self.lines -= 1.0;
        true
    }

    /// How many were left out, if it is time to say so.
    fn due_to_be_said(&mut self, now: Instant) -> Option<u64> {
        let recently = self.said.is_some_and(|said| now.saturating_duration_since(said) < QUIET);
        if self.left_out == 0 || recently {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The beginning of a text, whole characters, where it is too long.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)]).into()
}

#[cfg(test)]
mod tests;
