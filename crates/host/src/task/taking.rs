//! Work that comes in one piece after the other: each piece is handled by an instance of its own.

use std::sync::Arc;

use futures::future::BoxFuture;
use reef_capability::State;
use reef_http::Workers;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Phase, Run, TaskStatus};

/// Where work comes from. The task of the next revision may share it, and takes what waits then.
pub(super) trait Supply: Send + Sync {
    /// One piece.
    type Item: Send;

    /// The next piece; none when it was [ended](Self::end) and nothing is left. Dropped before it is ready, it has
    /// taken nothing.
    fn next(&self) -> impl Future<Output = Option<Self::Item>> + Send;

    /// Has no more come. What nobody else would have can still be taken.
    fn end(&self) -> impl Future<Output = ()> + Send;

    /// Whether nobody else shares it, but for pieces that are being handled.
    fn is_last(&self) -> bool;

    /// Has a piece handled, and sees to what follows from that.
    fn handle(&self, run: &Run, item: Self::Item) -> BoxFuture<'static, ()>;

    /// How much waits here that would be lost.
    fn waiting(&self) -> usize {
        0
    }

    /// Says that there was no more time for what waits and for what is being handled.
    fn given_up(&self, workload: &str, waiting: usize, in_progress: usize);
}

/// Takes pieces, `most` at once, until it is stopped; then waits for those that are handled. Those that wait are for
/// whoever shares the supply; if nobody does, they are handled first.
pub(super) async fn take(run: Run, supply: impl Supply, most: usize, workers: &Workers) {
    let mut taking = Taking { run, supply, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.supply.next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, item) = next => {
                let Some(item) = item else { break };
                taking.begin(item, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.supply.is_last() {
        taking.supply.end().await;
        loop {
            let place = places.clone().acquire_owned().await.ok();
            let Some(item) = taking.supply.next().await else { break };
            taking.begin(item, place, workers, at);
            at += 1;
        }
    }
    // The supply is kept until then, as its server is still to be told of these.
    while taking.open.join_next().await.is_some() {}
}

/// Adds what is to be known of the connection.
pub(super) fn tell(state: State, status: &mut TaskStatus) {
    if !state.listening && status.phase == Phase::Waiting {
        (status.phase, status.since) = (Phase::Connecting, state.since);
    }
    if let Some(why) = state.why {
        status.last_failure = Some(why);
    }
}

/// Pieces that are handled. What is left of them when it is dropped is given up, and that is said.
struct Taking<S: Supply> {
    run: Run,
    supply: S,
    open: JoinSet<()>,
}

impl<S: Supply> Taking<S> {
    fn begin(&mut self, item: S::Item, place: impl Send + 'static, workers: &Workers, at: usize) {
        let handling = self.supply.handle(&self.run, item);
        let handling = async move {
            handling.await;
            drop(place);
        };
        self.open.spawn_on(handling, workers.handle(at));
    }
}

impl<S: Supply> Drop for Taking<S> {
    fn drop(&mut self) {
        let waiting = if self.supply.is_last() { self.supply.waiting() } else { 0 };
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if waiting > 0 || !self.open.is_empty() {
            self.supply.given_up(self.run.workload.name(), waiting, self.open.len());
        }
    }
}
