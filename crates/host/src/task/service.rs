//! Commands that are kept running.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use reef_wasi::Stdio;

use super::{Phase, Run};

/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs the command, and again when it has ended, until it is stopped or has been started again more
/// than `restarts` times within `window`.
pub(super) async fn keep(run: Run, restarts: u32, window: Duration, backoff: Duration) {
    let workload = run.workload.name().clone();
    let mut recent = VecDeque::new();
    let mut pause = backoff;
    loop {
        let begun = Instant::now();
        tokio::select! {
            // Dropped, it ends: there is no signal that a guest could be sent.
            () = run.stopped() => return,
            _ = run.once(Stdio::Log) => {}
        }
        // One that ran for long begins anew.
        if begun.elapsed() >= window {
            pause = backoff;
        }
        let now = Instant::now();
        recent.retain(|at: &Instant| now.duration_since(*at) < window);
        if recent.len() >= restarts as usize {
            run.book.phase(Phase::Failed);
            tracing::error!(
                workload = &*workload,
                restarts,
                window = window.as_secs_f64(),
                "The service ended too often and is not started again; mend it, then `reef restart`."
            );
            return;
        }
        recent.push_back(now);
        run.book.phase(Phase::BackingOff);
        run.book.next(Some(SystemTime::now() + pause));
        tracing::info!(
            workload = &*workload,
            pause = pause.as_secs_f64(),
            "The service is started again after a pause."
        );
        tokio::select! {
            () = run.stopped() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE.max(backoff));
    }
}
