//! Core NATS: messages for who is there.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, HeaderMap, Subscriber,
    client::{PublishErrorKind, Request, RequestErrorKind},
    header::{HeaderName, HeaderValue},
};
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
};
use reef_bus::{
    Bus, Fed, Feed, Interest, Message, MessageError, PublishError, Published, RequestError,
    SubscribeError, Subscription,
};
use reef_nats::Connection;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::WITHIN;

/// Requests that wait for answers.
const REQUESTS: usize = 10_000;
/// How long the server may take to say that it knows a subscription.
const SEEN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Nats {
    connection: Connection,
    requests: Arc<Semaphore>,
}

impl Nats {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, requests: Arc::new(Semaphore::new(REQUESTS)) }
    }

    async fn client(&self) -> Result<Client, PublishError> {
        self.connection.client().await.map_err(|failure| unavailable(&failure))
    }

    async fn send(&self, message: Message) -> Result<Published, PublishError> {
        let client = self.client().await?;
        let (size, headers) = (message.body().len(), headers(&message)?);
        let (subject, body) = (message.subject().to_owned(), message.body().clone());
        let reply = message.reply_to().map(str::to_owned);
        let published = match (reply, headers) {
            (None, None) => client.publish(subject, body).await,
            (Some(reply), None) => client.publish_with_reply(subject, reply, body).await,
            (None, Some(headers)) => client.publish_with_headers(subject, headers, body).await,
            (Some(reply), Some(headers)) => {
                client.publish_with_reply_and_headers(subject, reply, headers, body).await
            }
        };
        match published {
            Ok(()) => Ok(Published { recipients: None }),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => too_large(size, &client),
                _ => unavailable(&error),
            }),
        }
    }

    async fn ask(&self, message: Message, until: Instant) -> Result<Message, RequestError> {
        let _place = self.requests.try_acquire().map_err(|_| RequestError::TooMany(REQUESTS))?;
        let client = self.client().await?;
        let size = message.body().len();
        let left = until.saturating_duration_since(Instant::now());
        let mut request = Request::new().payload(message.body().clone()).timeout(Some(left));
        if let Some(headers) = headers(&message)? {
            request = request.headers(headers);
        }
        let error = match client.send_request(message.subject().to_owned(), request).await {
            Ok(answer) => {
                return received(answer).map_err(|error| PublishError::from(error).into());
            }
            Err(error) => error,
        };
        let subject = message.subject().to_owned();
        Err(match error.kind() {
            RequestErrorKind::NoResponders => RequestError::NoResponders { subject },
            RequestErrorKind::TimedOut => RequestError::Timeout { subject, waited: left },
            RequestErrorKind::MaxPayloadExceeded => too_large(size, &client).into(),
            _ => unavailable(&error).into(),
        })
    }

    async fn listen(&self, interest: Interest) -> Result<Subscription, SubscribeError> {
        let unavailable = |why: &dyn ToString| SubscribeError::Unavailable { why: why.to_string() };
        let client = self.connection.client().await.map_err(|failure| unavailable(&failure))?;
        let subject = interest.subject.to_string();
        let subscribed = match &interest.queue {
            Some(queue) => client.queue_subscribe(subject, queue.to_string()).await,
            None => client.subscribe(subject).await,
        };
        let subscriber = subscribed.map_err(|error| unavailable(&error))?;
        // The server does one thing after the other: when it has an answer, to whatever, it knows the subscription.
        let nobody = client.new_inbox();
        let _ = timeout(SEEN, client.request(nobody, Default::default())).await;
        let ended = CancellationToken::new();
        let end = ended.clone();
        let name = interest.name.clone();
        let (subscription, feed) = Subscription::fed(interest, move || end.cancel());
        self.connection.runtime().spawn(feeds(subscriber, feed, name, ended));
        Ok(subscription)
    }
}

/// Puts what comes where it waits, until nobody takes it any more.
async fn feeds(mut from: Subscriber, to: Feed, name: Arc<str>, ended: CancellationToken) {
    let mut late = false;
    loop {
        let message = tokio::select! {
            () = ended.cancelled() => break,
            message = from.next() => message,
        };
        // It is there again by itself when the connection is; without a client there is none.
        let Some(message) = message else { break };
        let subject = message.subject.clone();
        let Ok(message) = received(message) else {
            tracing::debug!(%subject, "A message of NATS makes no sense, and is left out.");
            continue;
        };
        match to.give(&message) {
            Fed::Taken => late = false,
            Fed::Missed(missed) => {
                if !std::mem::replace(&mut late, true) {
                    tracing::warn!(%name, %subject, missed, "Messages are not taken fast enough: some are lost.");
                }
            }
            Fed::Ended => break,
        }
    }
    to.close();
    let _ = timeout(WITHIN, from.unsubscribe()).await;
}

impl Bus for Nats {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move { timeout(WITHIN, self.send(message)).await.unwrap_or_else(|_| Err(slow())) }
            .boxed()
    }

    fn request(
        &self,
        message: Message,
        within: Duration,
    ) -> BoxFuture<'_, Result<Message, RequestError>> {
        async move {
            let until = Instant::now() + within;
            let subject = message.subject().to_owned();
            match timeout_at(until, self.ask(message, until)).await {
                Ok(Err(RequestError::Timeout { subject, .. })) => {
                    Err(RequestError::Timeout { subject, waited: within })
                }
                Ok(asked) => asked,
                Err(_) => Err(RequestError::Timeout { subject, waited: within }),
            }
        }
        .boxed()
    }

    fn subscribe(&self, interest: Interest) -> BoxFuture<'_, Result<Subscription, SubscribeError>> {
        let slow = || SubscribeError::Unavailable { why: slow().to_string() };
        async move { timeout(WITHIN, self.listen(interest)).await.unwrap_or_else(|_| Err(slow())) }
            .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), PublishError>> {
        async move {
            let flush = async {
                let client = self.client().await?;
                client.flush().await.map_err(|error| unavailable(&error))
            };
            timeout(WITHIN, flush).await.unwrap_or_else(|_| Err(slow()))
        }
        .boxed()
    }
}

fn unavailable(why: &dyn ToString) -> PublishError {
    PublishError::Unavailable { why: why.to_string() }
}

fn slow() -> PublishError {
    unavailable(&format!("NATS takes nothing for {WITHIN:?}"))
}

fn too_large(size: usize, client: &Client) -> PublishError {
    PublishError::TooLarge { size, most: client.max_payload() }
}

/// Headers as NATS has them.
fn headers(message: &Message) -> Result<Option<HeaderMap>, PublishError> {
    if message.headers().is_empty() {
        return Ok(None);
    }
    let mut map = HeaderMap::new();
    for (name, value) in message.headers() {
        let wrong = || PublishError::Message(MessageError::Header(name.clone()));
        let is: HeaderName = name.parse().map_err(|_| wrong())?;
        let value: HeaderValue = value.parse().map_err(|_| wrong())?;
        map.append(is, value);
    }
    Ok(Some(map))
}

/// A message as it is delivered.
fn received(message: async_nats::Message) -> Result<Message, MessageError> {
    let mut headers = Vec::new();
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        for value in values {
            headers.push((name.to_string(), value.as_str().to_owned()));
        }
    }
    // They are in no order of their own.
    headers.sort();
    let is = Message::new(&message.subject, message.payload)?.with_headers(headers);
    match &message.reply {
        Some(reply) => is.with_reply_to(reply),
        None => Ok(is),
    }
}
