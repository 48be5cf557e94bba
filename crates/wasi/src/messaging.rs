//! `wasmcloud:messaging`: publishing and asking on the bus, for workloads that are linked to it, and what a
//! handler of messages is called with. The types are those of version 0.2.0 of that package.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reef_bus::{Bus, Message, Subject};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use crate::guest::ComponentGuest;

const CONSUMER: &str = "wasmcloud:messaging/consumer@0.2.0";

/// `wasmcloud:messaging/types.broker-message`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct BrokerMessage {
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: Vec<u8>,
    /// Where it is answered.
    #[component(name = "reply-to")]
    pub reply_to: Option<String>,
}

/// What a workload may do on a bus.
#[derive(Clone, Debug)]
pub struct Messaging {
    /// Which bus.
    pub bus: Arc<dyn Bus>,
    /// Where it may publish: anywhere, if nothing is said.
    pub subjects: Option<Vec<Subject>>,
}

/// One instance's way to the bus.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    workload: Arc<str>,
    granted: Option<Arc<Messaging>>,
    /// Where the message is answered that it handles: it may publish there, too.
    pub(crate) reply_to: Option<String>,
}

// === impl BrokerMessage ===

impl From<&Message> for BrokerMessage {
    fn from(message: &Message) -> Self {
        Self {
            subject: message.subject().to_owned(),
            body: message.body().to_vec(),
            reply_to: message.reply_to().map(str::to_owned),
        }
    }
}

// === impl Outgoing ===

impl Outgoing {
    pub(crate) fn new(workload: Arc<str>, granted: Option<Arc<Messaging>>) -> Self {
        Self { workload, granted, reply_to: None }
    }

    /// The bus, if this may be published there; otherwise why not, which is logged as well.
    fn to(&self, subject: &str) -> Result<&dyn Bus, String> {
        let refused = |why: String| {
            let (denied, grant) = ("link", "wasmcloud:messaging");
            tracing::warn!(workload = &*self.workload, denied, grant, subject, "{why}");
            Err(why)
        };
        let Some(messaging) = &self.granted else {
            return refused(format!(
                "{} may not use the bus: it asked for `{subject}` and has no link to it; \
                 add link = [{{ import = \"wasmcloud:messaging\", capability = \"messaging\" }}]",
                self.workload
            ));
        };
        let allowed = match &messaging.subjects {
            None => true,
            Some(subjects) => {
                subjects.iter().any(|pattern| pattern.matches(subject))
                    || self.reply_to.as_deref() == Some(subject)
            }
        };
        if !allowed {
            let subjects = messaging.subjects.iter().flatten();
            let subjects: Vec<_> = subjects.map(ToString::to_string).collect();
            return refused(format!(
                "{} may not publish to `{subject}`: its link to `wasmcloud:messaging` has \
                 config.subjects = \"{}\"; add the subject there",
                self.workload,
                subjects.join(",")
            ));
        }
        Ok(&*messaging.bus)
    }

    async fn publish(&self, message: BrokerMessage) -> Result<(), String> {
        let bus = self.to(&message.subject)?;
        let said = |error: reef_bus::MessageError| error.to_string();
        let mut outgoing = Message::new(&message.subject, message.body).map_err(said)?;
        if let Some(reply_to) = &message.reply_to {
            outgoing = outgoing.with_reply_to(reply_to).map_err(said)?;
        }
        bus.publish(outgoing).await.map(drop).map_err(|error| self.failed(&error))
    }

    async fn request(
        &self,
        subject: &str,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<BrokerMessage, String> {
        let bus = self.to(subject)?;
        let answer = bus.request(subject, Bytes::from(body), timeout).await;
        answer.map(|answer| (&answer).into()).map_err(|error| self.failed(&error))
    }

    /// The guest is told, and may say nothing of it.
    fn failed(&self, error: &dyn std::error::Error) -> String {
        tracing::debug!(workload = &*self.workload, "{error}");
        error.to_string()
    }
}

type Store<'a> = StoreContextMut<'a, ComponentGuest>;

/// Offers the interfaces if their package is `wanted`.
pub(crate) fn add_to_linker(
    linker: &mut Linker<ComponentGuest>,
    wanted: impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if !wanted("wasmcloud:messaging/") {
        return Ok(());
    }
    let mut consumer = linker.instance(CONSUMER)?;
    consumer.func_wrap_async(
        "request",
        |store: Store<'_>, (subject, body, millis): (String, Vec<u8>, u32)| {
            let outgoing = store.data().outgoing().clone();
            Box::new(async move {
                let timeout = Duration::from_millis(millis.into());
                Ok((outgoing.request(&subject, body, timeout).await,))
            })
        },
    )?;
    consumer.func_wrap_async("publish", |store: Store<'_>, (message,): (BrokerMessage,)| {
        let outgoing = store.data().outgoing().clone();
        Box::new(async move { Ok((outgoing.publish(message).await,)) })
    })
}
