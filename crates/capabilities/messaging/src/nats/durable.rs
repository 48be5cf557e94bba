//! JetStream: messages that are kept until they are handled.

use std::{future::Future, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind, Context,
        consumer::{AckPolicy, DeliverPolicy, pull},
        context::{GetStreamByNameErrorKind, PublishErrorKind},
        message::Acker,
        stream,
    },
};
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use reef_capability::{Failure, SettingError};
use reef_nats::{Connection, Patience, UNLED, failed};
use tokio::sync::Mutex;

use super::{headers, received, too_large};
use crate::{Delivery, Interest, Message, Receipt, Subscription};

/// Where a message is answered: JetStream has the place of it for itself.
const REPLY_TO: &str = "Reef-Reply-To";
/// How long one request for messages lasts, and how often the server says meanwhile that it is there.
const PULL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));

/// How messages are kept.
#[derive(Debug)]
pub(super) struct Durable {
    stream: Option<String>,
    subjects: Vec<String>,
    /// Whether the stream was seen to be there.
    made: Mutex<bool>,
}

struct Pulled {
    messages: pull::Stream,
    ended: bool,
}

struct Acknowledge(Acker);

impl Durable {
    pub(super) fn new(stream: Option<&str>, subjects: Option<&str>) -> Result<Self, SettingError> {
        let wrong = |name, why: &str| SettingError::Wrong { name, why: why.to_owned() };
        if let Some(stream) = stream
            && (stream.is_empty() || stream.contains(|c: char| ".*>/\\ \t".contains(c)))
        {
            return Err(wrong("stream", "is no name of a stream"));
        }
        let subjects = subjects.unwrap_or_default();
        let subjects = subjects.split(',').map(str::trim).filter(|text| !text.is_empty());
        let subjects: Vec<_> = subjects.map(str::to_owned).collect();
        if !subjects.is_empty() && stream.is_none() {
            return Err(wrong("stream-subjects", "belongs to `stream`, which names it"));
        }
        for subject in &subjects {
            subject.parse::<reef_app::Subject>().map_err(|error| SettingError::Wrong {
                name: "stream-subjects",
                why: format!("is wrong: {error}"),
            })?;
        }
        Ok(Self { stream: stream.map(str::to_owned), subjects, made: Mutex::default() })
    }

    pub(super) async fn publish(
        &self,
        connection: &Connection,
        message: Message,
    ) -> Result<(), Failure> {
        let context = connection.jetstream().await?;
        let mut patience = Patience::new(UNLED);
        loop {
            self.make(&context).await?;
            let sent = self.send(&context, &message).await;
            // Somebody may have taken the stream away, or the server lost it; or it was just made, and none of a
            // cluster's servers leads it yet.
            if let Err(Failure::NotFound { what, name }) = &sent
                && self.is_ours(&message.subject)
                && patience
                    .again(&Failure::unreachable(format!("there is no {what} `{name}`")))
                    .await
            {
                *self.made.lock().await = false;
                continue;
            }
            return sent;
        }
    }

    /// Whether a subject is of the stream that is made here.
    fn is_ours(&self, subject: &str) -> bool {
        self.subjects.iter().any(|one| crate::Syntax::Tokens.matches(one, subject))
    }

    async fn send(&self, context: &Context, message: &Message) -> Result<(), Failure> {
        let mut beside = headers(&message.headers)?;
        if let Some(reply_to) = &message.reply_to {
            let value = reply_to.parse::<async_nats::HeaderValue>();
            let value = value.map_err(|_| Failure::Invalid("its reply subject is none".into()))?;
            beside.get_or_insert_with(HeaderMap::new).insert(REPLY_TO, value);
        }
        let (subject, body) = (message.subject.clone(), message.body.clone());
        let sent = match beside {
            Some(headers) => context.publish_with_headers(subject, headers, body).await,
            None => context.publish(subject, body).await,
        };
        let acknowledged = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        acknowledged.map(drop).map_err(|error| match error.kind() {
            PublishErrorKind::StreamNotFound => {
                Failure::NotFound { what: "stream with the subject", name: message.subject.clone() }
            }
            PublishErrorKind::MaxPayloadExceeded => {
                too_large(message.body.len(), context.client().max_payload())
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Failure::lost(format!("NATS: {error}"))
            }
            _ => failed(&error),
        })
    }

    /// Makes the stream, if it is to be made and is not there.
    async fn make(&self, context: &Context) -> Result<(), Failure> {
        let (Some(name), false) = (&self.stream, self.subjects.is_empty()) else { return Ok(()) };
        let mut made = self.made.lock().await;
        if *made {
            return Ok(());
        }
        let config = stream::Config {
            name: name.clone(),
            subjects: self.subjects.clone(),
            storage: stream::StorageType::File,
            ..stream::Config::default()
        };
        let mut patience = Patience::new(UNLED);
        let there = loop {
            let making = context.get_or_create_stream(config.clone());
            let made = async { making.await.map_err(|error| failed(&error)) };
            match patience.bound_one(made).await {
                Ok(there) => break there,
                // Of several that make it at once, a cluster may leave one without an answer.
                Err(failure) if patience.whatever(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        };
        let has = &there.cached_info().config.subjects;
        let syntax = crate::Syntax::Tokens;
        let lacks =
            self.subjects.iter().find(|one| !has.iter().any(|has| syntax.matches(has, one)));
        if let Some(subject) = lacks {
            return Err(Failure::Invalid(format!(
                "the stream `{name}` is there and has no subject `{subject}`; it has {}",
                has.join(", ")
            )));
        }
        *made = true;
        Ok(())
    }

    pub(super) async fn subscribe(
        &self,
        connection: &Connection,
        interest: &Interest,
    ) -> Result<Box<dyn Subscription>, Failure> {
        let context = connection.jetstream().await?;
        self.make(&context).await?;
        let subject = interest.subject.to_string();
        let stream = match &self.stream {
            Some(stream) => stream.clone(),
            None => keeper_in(&context, &subject).await?.ok_or_else(|| Failure::NotFound {
                what: "stream with the subject",
                name: subject.clone(),
            })?,
        };
        let most = i64::try_from(interest.most.max(1)).unwrap_or(i64::MAX);
        let config = pull::Config {
            durable_name: Some(consumer(interest)),
            description: Some(format!("Reef: {}", interest.name)),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: interest.ack_wait,
            // They are counted here, so that the last can be put aside.
            max_deliver: -1,
            filter_subject: subject,
            // Those that wait for their next time count, and hold up nobody else.
            max_ack_pending: most.saturating_mul(2).max(1000),
            ..pull::Config::default()
        };
        let most = interest.most.max(1);
        let subscribing = async move {
            let stream = context.get_stream_no_info(&stream).await.map_err(|e| failed(&e))?;
            let consumer = stream.create_consumer(config).await.map_err(|e| failed(&e))?;
            let (expires, heartbeat) = PULL;
            let messages = consumer.stream().max_messages_per_batch(most).expires(expires);
            messages.heartbeat(heartbeat).messages().await.map_err(|error| failed(&error))
        };
        let messages = on(connection, subscribing).await?;
        Ok(Box::new(Pulled { messages, ended: false }))
    }
}

/// The stream that has a subject, if one has.
pub(super) async fn keeper(
    connection: &Connection,
    subject: &str,
) -> Result<Option<String>, Failure> {
    keeper_in(&connection.jetstream().await?, subject).await
}

async fn keeper_in(context: &Context, subject: &str) -> Result<Option<String>, Failure> {
    match context.stream_by_subject(subject).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// What a subscription is called at the server. Those of one queue, and hosts that run the same workload, share it.
fn consumer(interest: &Interest) -> String {
    let who = interest.queue.as_ref().unwrap_or(&interest.name);
    let plain = |text: &str| {
        let each =
            text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' });
        each.take(60).collect::<String>()
    };
    // FNV-1a: names that are alike once they are plain are still two.
    let bytes = who.bytes().chain([0]).chain(interest.subject.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("reef_{}_{}_{:08x}", plain(who), plain(&interest.subject), hash as u32)
}

/// Has it done where the connection lives: what it begins goes on there.
async fn on<T: Send + 'static>(
    connection: &Connection,
    doing: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let done = connection.runtime().spawn(doing).await;
    done.unwrap_or_else(|_| Err(Failure::unreachable("the host is ending")))
}

#[async_trait]
impl Subscription for Pulled {
    async fn next(&mut self) -> Option<Result<Delivery, Failure>> {
        loop {
            if self.ended {
                return None;
            }
            let error = match self.messages.next().await {
                Some(Ok(message)) => return Some(Ok(delivery(message))),
                Some(Err(error)) => error,
                None => return Some(Err(Failure::lost("the consumer ended"))),
            };
            // Nobody listened for a while, or the server was away: the next request goes out by itself.
            if error.kind() != pull::MessagesErrorKind::MissingHeartbeat {
                return Some(Err(failed(&error)));
            }
        }
    }

    async fn end(&mut self) {
        self.ended = true;
        // Those that came and were not begun are for somebody else, at once.
        while let Some(Some(Ok(message))) = self.messages.next().now_or_never() {
            if message.ack_with(AckKind::Nak(None)).await.is_err() {
                return;
            }
        }
    }
}

fn delivery(message: jetstream::Message) -> Delivery {
    let attempt = message.info().map_or(1, |info| info.delivered);
    let (message, acker) = message.split();
    let mut message = received(message);
    let at = message.headers.iter().position(|(name, _)| name == REPLY_TO);
    message.reply_to = at.map(|at| message.headers.swap_remove(at).1);
    message.headers.sort();
    Delivery {
        message,
        attempt: u32::try_from(attempt).unwrap_or(1).max(1),
        receipt: Some(Box::new(Acknowledge(acker))),
    }
}

#[async_trait]
impl Receipt for Acknowledge {
    async fn done(&self) -> Result<(), Failure> {
        self.0.ack().await.map_err(|error| failed(&*error))
    }

    async fn again(&self, after: Duration) -> Result<bool, Failure> {
        let nak = AckKind::Nak(Some(after));
        self.0.ack_with(nak).await.map(|()| true).map_err(|error| failed(&*error))
    }

    async fn hold(&self, _attempt: u32) -> Result<(), Failure> {
        self.0.ack_with(AckKind::Progress).await.map_err(|error| failed(&*error))
    }
}

impl std::fmt::Debug for Acknowledge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acknowledge").finish_non_exhaustive()
    }
}
