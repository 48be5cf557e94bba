//! Messages that are kept while what they are for cannot be reached: for links with `offline = "queue"`, whatever their
//! backend.
//!
//! A message that cannot be sent now is acknowledged once it is in the link's journal; from then on all others wait
//! behind it, so that none overtakes another. Each has an id, which it keeps from its first try on: a server that looks
//! at `Nats-Msg-Id`, as JetStream does, has it once; any other perhaps twice.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::FutureExt as _;
use reef_capability::Failure;
use reef_journal::{Entry, Journal, Sending, joined, split};
use tokio::{runtime::Handle, time::timeout};

use crate::{Interest, Message, Messaging, Subscription, Syntax};

/// What a message's id is called.
pub const ID: &str = "Nats-Msg-Id";
/// How long a message may take that nothing waits before: less than the link's own timeout, as it is kept then.
const DIRECT: Duration = Duration::from_secs(1);

/// A backend, and what waits for it.
#[derive(Debug)]
pub struct Offline {
    backend: Arc<dyn Messaging>,
    journal: Arc<Journal>,
    _sending: Sending,
}

impl Offline {
    /// One that sends what waits already.
    pub fn new(backend: Arc<dyn Messaging>, journal: Arc<Journal>, runtime: &Handle) -> Self {
        let to = backend.clone();
        let send = Box::new(move |entry: Entry| {
            let to = to.clone();
            async move {
                match read(&entry.record) {
                    Some(message) => to.publish(message).await,
                    None => Err(Failure::Invalid("what was kept makes no sense".to_owned())),
                }
            }
            .boxed()
        });
        let _sending = Sending::start(journal.clone(), runtime, send);
        Self { backend, journal, _sending }
    }
}

/// Whether a message may well be sent later. A stream that is not there is behind the connection that is lost.
fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Unavailable { .. }
            | Failure::Timeout(_)
            | Failure::Broken { .. }
            | Failure::NotFound { .. }
            | Failure::Unsupported(_)
    )
}

fn identified(mut message: Message) -> Message {
    if !message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ID)) {
        message.headers.push((ID.to_owned(), format!("{:032x}", fastrand::u128(..))));
    }
    message
}

fn written(message: &Message) -> Bytes {
    let reply_to = message.reply_to.as_deref().unwrap_or_default();
    let mut parts = vec![message.subject.as_bytes(), reply_to.as_bytes(), &message.body];
    for (name, value) in &message.headers {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    joined(&parts).into()
}

fn read(record: &[u8]) -> Option<Message> {
    let parts = split(record)?;
    let [subject, reply_to, body, headers @ ..] = &parts[..] else { return None };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (headers, []) = headers.as_chunks::<2>() else { return None };
    let headers = headers.iter().map(|[name, value]| Some((text(name)?, text(value)?)));
    Some(Message {
        subject: text(subject)?,
        body: Bytes::copy_from_slice(body),
        reply_to: if reply_to.is_empty() { None } else { Some(text(reply_to)?) },
        headers: headers.collect::<Option<_>>()?,
    })
}

#[async_trait]
impl Messaging for Offline {
    fn syntax(&self) -> Syntax {
        self.backend.syntax()
    }

    fn keeps(&self) -> bool {
        self.backend.keeps()
    }

    async fn publish(&self, message: Message) -> Result<(), Failure> {
        let message = identified(message);
        if self.journal.is_empty() {
            let sent = timeout(DIRECT, self.backend.publish(message.clone())).await;
            match sent.unwrap_or(Err(Failure::Timeout(DIRECT))).map_err(reef_nats::unreached) {
                Err(failure) if may_pass(&failure) => {
                    let file = self.journal.path().display();
                    tracing::debug!(%file, subject = message.subject, %failure, "It is kept.");
                }
                done => return done,
            }
        }
        self.journal.push(Bytes::new(), written(&message)).await.map(drop)
    }

    async fn request(
        &self,
        message: Message,
        within: Duration,
    ) -> Result<Option<Message>, Failure> {
        self.backend.request(message, within).await
    }

    async fn subscribe(&self, interest: &Interest) -> Result<Box<dyn Subscription>, Failure> {
        self.backend.subscribe(interest).await
    }
}

#[cfg(test)]
mod tests;
