//! Messages over a link or on the host's own bus.

use futures::future::BoxFuture;
use reef_messaging::{Answering, Incoming, Outcome, Received};

use super::{
    Run,
    handler::{Delivery, Handler, handle},
    taking::Supply,
};
use crate::Failure;

/// Messages, and what handles them.
pub(super) struct Messages {
    pub(super) incoming: Incoming,
    pub(super) handler: Handler,
}

impl Supply for Messages {
    type Item = Received;

    fn next(&self) -> impl Future<Output = Option<Received>> + Send {
        self.incoming.next()
    }

    fn end(&self) -> impl Future<Output = ()> + Send {
        self.incoming.end()
    }

    fn is_last(&self) -> bool {
        self.incoming.is_last()
    }

    fn handle(&self, run: &Run, received: Received) -> BoxFuture<'static, ()> {
        let (run, handler) = (run.clone(), self.handler.clone());
        let message = received.message();
        let link = || self.incoming.link().clone();
        let answers = message.reply_to.clone().map(|subject| Answering { subject, link: link() });
        let delivery = Delivery {
            subject: message.subject.clone(),
            body: message.body.clone(),
            headers: message.headers.clone(),
            answers,
        };
        Box::pin(received.handled_by(async move {
            match handle(&run, &handler, delivery).await {
                Ok(0) => Outcome::Handled,
                Ok(status) => Outcome::Failed(format!("it exited with status {status}")),
                // Nobody is to blame for that, and somebody else may have it.
                Err(Failure::Shutdown { .. }) => Outcome::Abandoned,
                Err(Failure::Refused { reason, again: false, .. }) => Outcome::Rejected(reason),
                Err(failure) => Outcome::Failed(failure.to_string()),
            }
        }))
    }

    fn given_up(&self, workload: &str, _waiting: usize, in_progress: usize) {
        let subject = &*self.incoming.interest().subject;
        tracing::warn!(
            workload,
            subject,
            in_progress,
            "Messages were given up: there was no more time for them."
        );
    }
}
