//! Messages over a link or on the host's own bus: each is handled by an instance of its own.

use std::sync::Arc;

use reef_http::Workers;
use reef_messaging::{Answering, Incoming, Outcome, Received};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    Phase, Run, TaskStatus,
    handler::{Delivery, Handler, Sort, handle},
};
use crate::Failure;

/// Takes messages, `most` at once, until it is stopped; then waits for those that are handled. Those
/// that wait are for whoever took the subscription over; if nobody did, those that nobody else would have
/// are handled first.
pub(super) async fn take(run: Run, incoming: Incoming, most: usize, workers: &Workers) {
    let Some(handler) = Handler::of(&run.workload, Sort::Message) else { return };
    let mut taking = Taking { run, handler, incoming, open: JoinSet::new() };
    let places = Arc::new(Semaphore::new(most.max(1)));
    let mut at = super::quietest(workers);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, taking.incoming.next().await)
        };
        tokio::select! {
            // First: what comes after this is for the next revision.
            biased;
            () = taking.run.stopped() => break,
            Some(_) = taking.open.join_next() => {}
            (place, received) = next => {
                let Some(received) = received else { break };
                taking.begin(received, place.ok(), workers, at);
                at += 1;
            }
        }
    }
    if taking.incoming.is_last() {
        taking.incoming.end().await;
        loop {
            let place = places.clone().acquire_owned().await.ok();
            let Some(received) = taking.incoming.next().await else { break };
            taking.begin(received, place, workers, at);
            at += 1;
        }
    }
    while taking.open.join_next().await.is_some() {}
}

/// Adds what is to be known of the connection.
pub(super) fn tell(incoming: &Incoming, status: &mut TaskStatus) {
    let state = incoming.state();
    if !state.listening && status.phase == Phase::Waiting {
        (status.phase, status.since) = (Phase::Connecting, state.since);
    }
    if let Some(why) = state.why {
        status.last_failure = Some(why);
    }
}

/// Those that are handled. What is left of them when it is dropped is given up, and that is said.
struct Taking {
    run: Run,
    handler: Handler,
    incoming: Incoming,
    open: JoinSet<()>,
}

impl Taking {
    fn begin(
        &mut self,
        received: Received,
        place: Option<OwnedSemaphorePermit>,
        workers: &Workers,
        worker: usize,
    ) {
        let (run, handler) = (self.run.clone(), self.handler.clone());
        let message = received.message();
        let link = || self.incoming.link().clone();
        let answers = message.reply_to.clone().map(|subject| Answering { subject, link: link() });
        let delivery = Delivery {
            subject: message.subject.clone(),
            body: message.body.clone(),
            headers: message.headers.clone(),
            answers,
        };
        let handling = async move {
            received
                .handled_by(async {
                    match handle(&run, &handler, delivery).await {
                        Ok(0) => Outcome::Handled,
                        Ok(status) => Outcome::Failed(format!("it exited with status {status}")),
                        // Nobody is to blame for that, and somebody else may have it.
                        Err(Failure::Shutdown { .. }) => Outcome::Abandoned,
                        Err(Failure::Refused { reason, again: false, .. }) => {
                            Outcome::Rejected(reason)
                        }
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
        // Ended ones may not have been looked at.
        while self.open.try_join_next().is_some() {}
        if !self.open.is_empty() {
            let (workload, open) = (&**self.run.workload.name(), self.open.len());
            let subject = &*self.incoming.interest().subject;
            tracing::warn!(
                workload,
                subject,
                in_progress = open,
                "Messages were given up: there was no more time for them."
            );
        }
    }
}
