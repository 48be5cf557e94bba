//! NATS: core, where messages are for who is there; JetStream, which keeps them until they are handled.

mod core;
mod durable;

use std::{sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    client::{PublishError, PublishErrorKind, Request, RequestErrorKind},
    header::{HeaderName, HeaderValue},
};
use async_trait::async_trait;
use reef_capability::{Backend, Failure, OpenError, Opening, Setting};
use reef_nats::Connection;

use self::durable::Durable;
use crate::{Interest, Message, Messaging, Subscription};

const DURABLE: Setting = Setting::new(
    "durable",
    "`true` to have JetStream keep messages until they are handled, and acknowledge what is published",
);
const STREAM: Setting =
    Setting::new("stream", "JetStream's stream; without, the one that has the subject");
const STREAM_SUBJECTS: Setting = Setting::new(
    "stream-subjects",
    "the subjects of the stream, with commas between, to have it made where it is not there",
);

pub(crate) const BACKEND: Backend<dyn Messaging> = Backend {
    name: "nats",
    system: "nats",
    settings: reef_nats::settings![DURABLE, STREAM, STREAM_SUBJECTS],
    private: false,
    open,
};

#[derive(Debug)]
struct Nats {
    connection: Connection,
    durable: Option<Durable>,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn Messaging>, OpenError> {
    let Opening { settings, folder, runtime, .. } = opening;
    let name = format!("reef messaging of {}", opening.application);
    let connection = Connection::new(settings, folder, &name, runtime.clone())?;
    let durable = settings.flag(DURABLE.name)?;
    let named = settings.get(STREAM.name);
    let subjects = settings.get(STREAM_SUBJECTS.name);
    let durable = match durable.unwrap_or(named.is_some() || subjects.is_some()) {
        true => Some(Durable::new(named, subjects)?),
        false => None,
    };
    Ok(Arc::new(Nats { connection, durable }))
}

#[async_trait]
impl Messaging for Nats {
    fn keeps(&self) -> bool {
        self.durable.is_some()
    }

    async fn publish(&self, message: Message) -> Result<(), Failure> {
        // An answer is for who waits for it, and no stream has inboxes.
        if let Some(durable) = &self.durable
            && !message.subject.starts_with("_INBOX.")
        {
            return durable.publish(&self.connection, message).await;
        }
        let client = self.connection.client().await?;
        let Message { subject, body, reply_to, headers: beside } = message;
        let size = body.len();
        let published = match (reply_to, headers(&beside)?) {
            (None, None) => client.publish(subject, body).await,
            (Some(reply), None) => client.publish_with_reply(subject, reply, body).await,
            (None, Some(headers)) => client.publish_with_headers(subject, headers, body).await,
            (Some(reply), Some(headers)) => {
                client.publish_with_reply_and_headers(subject, reply, headers, body).await
            }
        };
        published.map_err(|error| unpublished(&error, size, client.max_payload()))
    }

    async fn request(
        &self,
        message: Message,
        within: Duration,
    ) -> Result<Option<Message>, Failure> {
        // Who answers is there now, and listens as anybody does: a question is not kept.
        if self.durable.is_some()
            && let Some(stream) = durable::keeper(&self.connection, &message.subject).await?
        {
            // It would answer by itself that it has the question.
            let subject = &message.subject;
            return Err(Failure::Unsupported(format!(
                "messages at `{subject}` are kept in the stream `{stream}` and answered by nobody: \
                 ask at a subject of no stream"
            )));
        }
        let client = self.connection.client().await?;
        let Message { subject, body, headers: beside, .. } = message;
        let size = body.len();
        let mut request = Request::new().payload(body).timeout(Some(within));
        if let Some(headers) = headers(&beside)? {
            request = request.headers(headers);
        }
        let error = match client.send_request(subject.clone(), request).await {
            Ok(answer) => return Ok(Some(received(answer))),
            Err(error) => error,
        };
        Err(match error.kind() {
            RequestErrorKind::TimedOut => return Ok(None),
            RequestErrorKind::NoResponders => {
                Failure::NotFound { what: "responder at", name: subject }
            }
            RequestErrorKind::InvalidSubject => Failure::Invalid(error.to_string()),
            RequestErrorKind::MaxPayloadExceeded => too_large(size, client.max_payload()),
            RequestErrorKind::Other => Failure::lost(format!("NATS: {error}")),
        })
    }

    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        match &self.durable {
            Some(durable) => durable.subscribe(&self.connection, interest).await,
            None => core::subscribe(&self.connection, interest).await,
        }
    }
}

/// Headers as NATS has them.
fn headers(headers: &[(String, String)]) -> Result<Option<HeaderMap>, Failure> {
    if headers.is_empty() {
        return Ok(None);
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = |_| Failure::Invalid(format!("`{name}` is no header that NATS carries"));
        let name: HeaderName = name.parse().map_err(|_| wrong(()))?;
        let value: HeaderValue = value.parse().map_err(|_| wrong(()))?;
        map.append(name, value);
    }
    Ok(Some(map))
}

/// A message as it is delivered.
fn received(message: async_nats::Message) -> Message {
    let mut headers = Vec::new();
    for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
        for value in values {
            headers.push((name.to_string(), value.as_str().to_owned()));
        }
    }
    // They are in no order of their own.
    headers.sort();
    Message {
        subject: message.subject.into_string(),
        body: message.payload,
        reply_to: message.reply.map(async_nats::Subject::into_string),
        headers,
    }
}

fn unpublished(error: &PublishError, size: usize, most: usize) -> Failure {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => too_large(size, most),
        PublishErrorKind::InvalidSubject => Failure::Invalid(error.to_string()),
        PublishErrorKind::Send => Failure::unreachable(format!("NATS: {error}")),
    }
}

fn too_large(size: usize, most: usize) -> Failure {
    Failure::TooLarge { what: "message", is: size as u64, most: most as u64 }
}
