//! Messages of the bus: each is handled by an instance of its own.

use std::sync::Arc;

use reef_bus::{Bus, Message, Subscription};
use reef_http::Workers;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Run,
    handler::{Handler, Sort, handle},
};

/// Takes messages, `most` at once, until it is stopped; then waits for those that are handled. Those
/// that wait are for whoever took the subscription over; if nobody did, they are handled first.
pub(super) async fn take(
    run: Run,
    subscription: Subscription,
    bus: Arc<dyn Bus>,
    most: usize,
    workers: &Workers,
) {
    let Some(handler) = Handler::of(&run.workload, Sort::Message) else { return };
    let mut taking = Taking { run, handler, bus, subscription, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.subscription.next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, message) = next => {
                let Some(message) = message else { break };
                taking.begin(message, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.subscription.is_last() {
        taking.subscription.unsubscribe();
        while let Some(message) = taking.subscription.try_next() {
            let place = places.clone().acquire_owned().await.ok();
            taking.begin(message, place, workers, at);
            at += 1;
        }
    }
    while taking.open.join_next().await.is_some() {}
}

/// Messages that wait, and those that are handled. What is left of them when it is dropped is lost, and
/// that is said.
struct Taking {
    run: Run,
    handler: Handler,
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    open: JoinSet<()>,
}

impl Taking {
    fn begin(
        &mut self,
        message: Message,
        place: Option<tokio::sync::OwnedSemaphorePermit>,
        workers: &Workers,
        worker: usize,
    ) {
        let (run, bus, handler) = (self.run.clone(), self.bus.clone(), self.handler.clone());
        let handling = async move {
            handle(&run, &*bus, &handler, (&message).into()).await;
            drop(place);
        };
        self.open.spawn_on(handling, workers.handle(worker));
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let waiting = if self.subscription.is_last() { self.subscription.waiting() } else { 0 };
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if waiting > 0 || !self.open.is_empty() {
            let (workload, open) = (&**self.run.workload.name(), self.open.len());
            let subject = self.subscription.interest().subject.as_str();
            tracing::warn!(
                workload,
                subject,
                waiting,
                in_progress = open,
                "Messages were given up: there was no more time for them."
            );
        }
    }
}
