//! In this process: the host's own bus, on which all its applications are.

use std::sync::Arc;

use async_trait::async_trait;
use reef_bus::{Bus, Capacity, InProcess, PublishError, RequestError};
use reef_capability::{Backend, Failure, OpenError, Opening};

use crate::{Delivery, Interest, Message, Messaging, Subscription};

pub(crate) const BACKEND: Backend<dyn Messaging> =
    Backend { name: "in-process", system: "reef.in_process", settings: &[], private: false, open };

#[derive(Debug)]
struct OnBus(Arc<dyn Bus>);

struct FromBus {
    subscription: reef_bus::Subscription,
}

/// A bus as a backend.
pub fn in_process(bus: Arc<dyn Bus>) -> Arc<dyn Messaging> {
    Arc::new(OnBus(bus))
}

/// A host has one, which it opened before.
fn open(_: Opening<'_>) -> Result<Arc<dyn Messaging>, OpenError> {
    Ok(in_process(Arc::new(InProcess::default())))
}

impl OnBus {
    fn message(message: Message) -> Result<reef_bus::Message, Failure> {
        let invalid = |error: reef_bus::MessageError| Failure::Invalid(error.to_string());
        let Message { subject, body, reply_to, headers } = message;
        let outgoing = reef_bus::Message::new(&subject, body).map_err(invalid)?;
        let outgoing = outgoing.with_headers(headers);
        match reply_to {
            Some(reply_to) => outgoing.with_reply_to(&reply_to).map_err(invalid),
            None => Ok(outgoing),
        }
    }
}

#[async_trait]
impl Messaging for OnBus {
    async fn publish(&self, message: Message) -> Result<(), Failure> {
        let message = Self::message(message)?;
        self.0.publish(message).await.map(drop).map_err(unpublished)
    }

    async fn request(
        &self,
        message: Message,
        within: std::time::Duration,
    ) -> Result<Option<Message>, Failure> {
        let message = Self::message(message)?;
        match self.0.request(message, within).await {
            Ok(answer) => Ok(Some(answer.into())),
            Err(RequestError::Timeout { .. }) => Ok(None),
            Err(RequestError::NoResponders { subject }) => {
                Err(Failure::NotFound { what: "responder at", name: subject })
            }
            Err(RequestError::Publish(error)) => Err(unpublished(error)),
            Err(error) => Err(Failure::TooMany(error.to_string())),
        }
    }

    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        let subject = interest.subject.parse();
        let subject =
            subject.map_err(|error: reef_app::SubjectError| Failure::Invalid(error.to_string()))?;
        let interest = reef_bus::Interest {
            name: interest.name.clone(),
            subject,
            queue: interest.queue.clone(),
            capacity: interest.capacity,
        };
        let subscribed = self.0.subscribe(interest).await;
        let subscription = subscribed.map_err(|error| Failure::TooMany(error.to_string()))?;
        Ok(Box::new(FromBus { subscription }))
    }
}

#[async_trait]
impl Subscription for FromBus {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        let message = self.subscription.next().await?;
        Some(Ok(Delivery { message: message.into(), attempt: 1, receipt: None }))
    }

    async fn end(&mut self) {
        self.subscription.unsubscribe();
    }

    fn set_capacity(&mut self, capacity: Capacity) {
        self.subscription.set_capacity(capacity);
    }
}

impl Drop for FromBus {
    fn drop(&mut self) {
        let waiting = self.subscription.waiting();
        if waiting > 0 {
            let interest = self.subscription.interest();
            let (workload, subject) = (&*interest.name, interest.subject.as_str());
            tracing::warn!(
                workload,
                subject,
                waiting,
                "Messages were given up: there was no more time for them."
            );
        }
    }
}

impl From<reef_bus::Message> for Message {
    fn from(message: reef_bus::Message) -> Self {
        Self {
            subject: message.subject().to_owned(),
            body: message.body().clone(),
            reply_to: message.reply_to().map(str::to_owned),
            headers: message.headers().to_vec(),
        }
    }
}

fn unpublished(error: PublishError) -> Failure {
    match error {
        PublishError::Message(error) => Failure::Invalid(error.to_string()),
        PublishError::TooLarge { size, most } => {
            Failure::TooLarge { what: "message", is: size as u64, most: most as u64 }
        }
        error => Failure::TooMany(error.to_string()),
    }
}
