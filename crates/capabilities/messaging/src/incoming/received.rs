//! One message, until it is known what becomes of it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use reef_capability::Failure;
use tokio::time::timeout;

use super::Shared;
use crate::{Delivery, Message, publisher::SETTLE};

/// How long a server may take to be told what became of a message.
const TELLING: Duration = Duration::from_secs(10);
/// Characters of a reason that goes along with a message.
const LONGEST_REASON: usize = 500;

/// A message that was delivered. When it is dropped without a word, it is not acknowledged: a server that keeps
/// messages delivers it again.
pub struct Received {
    delivery: Delivery,
    shared: Arc<Shared>,
}

/// How the handling of a message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Handled,
    /// Not well; another time it may go better.
    Failed(String),
    /// Not well, and it never will.
    Rejected(String),
    /// Not to its end, and nobody is to blame for that: it is not acknowledged.
    Abandoned,
}

impl Received {
    pub(super) fn new(delivery: Delivery, shared: Arc<Shared>) -> Self {
        Self { delivery, shared }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.delivery.message
    }

    /// Which time it is delivered: from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// Has it handled, and sees to what follows from how that went. The server is told all the while that it is
    /// still being handled. One that was delivered too often already is put aside without.
    pub async fn handled_by(self, handling: impl Future<Output = Outcome>) {
        let max = self.shared.link.backend.max_deliver();
        if self.delivery.attempt > max {
            let why = format!("it was delivered {} times and never handled", self.attempt());
            return self.put_aside(&why).await;
        }
        let holding = async {
            let Some(receipt) = &self.delivery.receipt else { return std::future::pending().await };
            loop {
                tokio::time::sleep(self.shared.interest.ack_wait / 3).await;
                // It goes on whatever comes of this: another host has it then, too.
                if let Ok(Err(failure)) = timeout(TELLING, receipt.hold(self.attempt())).await {
                    tracing::debug!(workload = &*self.shared.interest.name, "{failure}");
                }
            }
        };
        let outcome = tokio::select! {
            outcome = handling => outcome,
            () = holding => return,
        };
        match outcome {
            Outcome::Handled => self.done().await,
            Outcome::Rejected(why) => self.put_aside(&why).await,
            Outcome::Failed(why) if self.attempt() >= max => self.put_aside(&why).await,
            Outcome::Failed(_) => self.again().await,
            Outcome::Abandoned => {}
        }
    }

    async fn done(self) {
        let Some(receipt) = &self.delivery.receipt else { return };
        self.shared.told(receipt.done()).await;
    }

    /// Has it delivered again after a pause.
    async fn again(self) {
        let Self { mut delivery, shared } = self;
        let mut pause = shared.link.backend.terms().pause(delivery.attempt);
        if let Some(receipt) = &delivery.receipt {
            match shared.told(receipt.again(pause)).await {
                Some(false) => {}
                // It comes again by itself, also when the server was not told.
                _ => return,
            }
            shared.told(receipt.hold(delivery.attempt)).await;
            // Or another one would have it.
            pause = pause.min(shared.interest.ack_wait / 2);
        }
        delivery.attempt = delivery.attempt.saturating_add(1);
        shared.put_back.after(pause, delivery);
    }

    /// It is handled no more: it goes where such messages are put, or nowhere.
    async fn put_aside(self, why: &str) {
        let (workload, link) = (&*self.shared.interest.name, self.shared.link.name());
        let subject = &*self.delivery.message.subject;
        let deliveries = self.attempt();
        let channel = &self.shared.link.backend;
        let Some(to) = &channel.terms().dead_letter else {
            if channel.max_deliver() > 1 || channel.backend().keeps() {
                tracing::warn!(
                    workload,
                    link,
                    subject,
                    deliveries,
                    "A message is dropped, as it could not be handled: {why}. \
                     With config.dead-letter, the link keeps such messages."
                );
            }
            return self.done().await;
        };
        let letter = self.letter(to, why);
        let publishing = timeout(TELLING, channel.backend().publish(letter)).await;
        if let Err(failure) = publishing.unwrap_or(Err(Failure::Timeout(TELLING))) {
            tracing::warn!(
                workload,
                link,
                subject,
                deliveries,
                "A message that could not be handled cannot be put to `{to}`: {failure}. It is \
                 tried again."
            );
            return self.again().await;
        }
        tracing::warn!(
            workload,
            link,
            subject,
            deliveries,
            "A message could not be handled, and is at `{to}` now: {why}"
        );
        self.done().await;
    }

    fn letter(&self, to: &str, why: &str) -> Message {
        let message = &self.delivery.message;
        let reason: String = why
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST_REASON)
            .collect();
        let mut headers = message.headers.clone();
        headers.retain(|(name, _)| !name.starts_with("Reef-"));
        headers.extend([
            ("Reef-Subject".to_owned(), message.subject.clone()),
            ("Reef-Reason".to_owned(), reason),
            ("Reef-Deliveries".to_owned(), self.attempt().to_string()),
            ("Reef-Workload".to_owned(), self.shared.interest.name.to_string()),
        ]);
        Message { subject: to.to_owned(), body: message.body.clone(), reply_to: None, headers }
    }
}

impl Shared {
    /// Tells the server something; what it said, if it did.
    async fn told<T>(&self, telling: impl Future<Output = Result<T, Failure>>) -> Option<T> {
        let start = Instant::now();
        let told = timeout(TELLING, telling).await.unwrap_or(Err(Failure::Timeout(TELLING)));
        self.link.gate.note(&SETTLE, start.elapsed(), told.as_ref().err());
        told.ok()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}
