//! Core NATS: messages for who is there when they are published.

use async_nats::Subscriber;
use async_trait::async_trait;
use futures::StreamExt as _;
use reef_capability::Failure;
use reef_nats::Connection;

use super::received;
use crate::{Delivery, Interest, Subscription};

struct Core(Subscriber);

pub(super) async fn subscribe(
    connection: &Connection,
    interest: &Interest,
) -> Result<Box<dyn Subscription>, Failure> {
    let client = connection.client().await?;
    let subject = interest.subject.to_string();
    let subscribed = match &interest.queue {
        Some(queue) => client.queue_subscribe(subject, queue.to_string()).await,
        None => client.subscribe(subject).await,
    };
    let subscriber = subscribed.map_err(|error| Failure::Invalid(error.to_string()))?;
    // What is published from now on is to come.
    client.flush().await.map_err(Failure::unreachable)?;
    Ok(Box::new(Core(subscriber)))
}

#[async_trait]
impl Subscription for Core {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        // It is there again by itself when the connection is.
        let message = received(self.0.next().await?);
        Some(Ok(Delivery { message, attempt: 1, receipt: None }))
    }

    async fn end(&mut self) {
        if self.0.unsubscribe().await.is_err() {
            tracing::debug!("A subscription of NATS ended with its connection.");
        }
    }
}
