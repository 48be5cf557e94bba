//! Commands and handlers at their times.

use std::time::{Duration, Instant, SystemTime};

use jiff::{Zoned, tz::TimeZone};
use reef_app::Schedule;
use reef_wasi::Stdio;

use super::{
    Phase, Run,
    handler::{Handler, Sort, handle_time},
};

/// How long the clock on the wall is trusted: it may be set, and the machine may sleep.
const TRUST: Duration = Duration::from_secs(30);

/// Runs the command at times of the calendar, or hands them to the component. Times that pass while it runs are left out.
pub(super) async fn at(run: Run, schedule: Schedule, zone: TimeZone) {
    let by_event = Handler::of(&run.workload, Sort::Cron) == Some(Handler::Cron);
    loop {
        let now = Zoned::now().with_time_zone(zone.clone());
        let Some(next) = schedule.after(&now) else {
            run.book.phase(Phase::Failed);
            tracing::warn!(workload = &**run.workload.name(), %schedule, "The schedule has no time that is still to come.");
            return;
        };
        run.book.next(Some(SystemTime::from(next.timestamp())));
        loop {
            let left = next.timestamp().duration_since(jiff::Timestamp::now());
            let Ok(left) = Duration::try_from(left) else { break };
            if left.is_zero() {
                break;
            }
            tokio::select! {
                () = run.stopped() => return,
                () = tokio::time::sleep(left.min(TRUST)) => {}
            }
        }
        if by_event {
            // Spin has seconds, and none before 1970.
            let seconds = jiff::Timestamp::now().as_second();
            handle_time(&run, u64::try_from(seconds).unwrap_or_default()).await;
        } else {
            let _ = run.once(Stdio::Log).await;
        }
        if *run.stopped.borrow() {
            return;
        }
    }
}

/// Runs the command every so often, from beginning to beginning. A run that lasts longer is waited for.
pub(super) async fn every(run: Run, every: Duration) {
    let mut next = Instant::now() + every;
    loop {
        run.book.next(Some(SystemTime::now() + next.saturating_duration_since(Instant::now())));
        tokio::select! {
            () = run.stopped() => return,
            () = tokio::time::sleep_until(next.into()) => {}
        }
        let _ = run.once(Stdio::Log).await;
        next += every;
        // No burst of runs for those that were missed.
        next = next.max(Instant::now());
        if *run.stopped.borrow() {
            return;
        }
    }
}
