//! Changes of a key-value store: each is handled by an instance of its own, those of one key one after the other.

use std::sync::Arc;

use reef_capability::Failure as Refused;
use reef_http::Workers;
use reef_key_value::{Bucket, Noted, Outcome, Watching, Wish};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    Phase, Run, TaskStatus,
    handler::{Handler, Sort, handle_change},
};
use crate::{Failure, Workload};

/// The store of a name, as the workload itself would open it.
pub(super) fn store(workload: &Workload, name: &str) -> Result<Bucket, Refused> {
    let links = &workload.world.capabilities().key_value;
    let (link, place) = links.find("wasi:keyvalue", None, name)?;
    Bucket::new(link, place)
}

/// Takes changes, `most` at once, until it is stopped; then waits for those that are handled. Those that wait are for
/// whoever took the watch over; if nobody did, they are handled first.
pub(super) async fn take(
    run: Run,
    watching: Watching,
    (name, wish): (&str, Wish),
    most: usize,
    workers: &Workers,
) {
    let Some(Handler::Watcher(export)) = Handler::of(&run.workload, Sort::Change) else { return };
    let Ok(bucket) = store(&run.workload, name) else { return };
    // One that was taken over was another workload's.
    watching.set(bucket.clone(), wish);
    let mut taking = Taking { run, export, bucket, watching, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.watching.next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, noted) = next => {
                let Some(noted) = noted else { break };
                taking.begin(noted, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.watching.is_last() {
        taking.watching.end().await;
        loop {
            let place = places.clone().acquire_owned().await.ok();
            let Some(noted) = taking.watching.next().await else { break };
            taking.begin(noted, place, workers, at);
            at += 1;
        }
    }
    while taking.open.join_next().await.is_some() {}
}

/// Adds what is to be known of the watch.
pub(super) fn tell(watching: &Watching, status: &mut TaskStatus) {
    let state = watching.state();
    status.dropped = watching.missed();
    if !state.listening && status.phase == Phase::Waiting {
        (status.phase, status.since) = (Phase::Connecting, state.since);
    }
    if let Some(why) = state.why {
        status.last_failure = Some(why);
    }
}

/// Changes that are handled. What is left of them when it is dropped is given up, and that is said.
struct Taking {
    run: Run,
    export: &'static str,
    bucket: Bucket,
    watching: Watching,
    open: JoinSet<()>,
}

impl Taking {
    fn begin(
        &mut self,
        noted: Noted,
        place: Option<OwnedSemaphorePermit>,
        workers: &Workers,
        worker: usize,
    ) {
        let (run, export, bucket) = (self.run.clone(), self.export, self.bucket.clone());
        let change = noted.change().clone();
        let handling = async move {
            noted
                .handled_by(async {
                    match handle_change(&run, export, (bucket, change)).await {
                        Ok(_) => Outcome::Handled,
                        // Nobody is to blame for that.
                        Err(Failure::Shutdown { .. }) => Outcome::Abandoned,
                        Err(failure) => Outcome::Failed(failure.to_string()),
                    }
                })
                .await;
            drop(place);
        };
        self.open.spawn_on(handling, workers.handle(worker));
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let waiting = if self.watching.is_last() { self.watching.waiting() } else { 0 };
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if waiting > 0 || !self.open.is_empty() {
            let (workload, open) = (&**self.run.workload.name(), self.open.len());
            let store = &**self.bucket.name();
            tracing::warn!(
                workload,
                store,
                waiting = waiting.saturating_sub(open),
                in_progress = open,
                "Changes were given up: there was no more time for them."
            );
        }
    }
}
