//! Messages of a topic, for as long as somebody wants them.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::pending,
    pin::{Pin, pin},
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use reef_egress::Backoff;
pub use rumqttc::QoS;
use rumqttc::{
    AsyncClient, EventLoop, Incoming, ManualAck, Outgoing, SubscribeReasonCode,
    ValidatedTopicFilter,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::broker::{ANSWERING, Broker, ConnectError};

/// How long the end of a connection may take: who wants its session waits.
const LEAVING: Duration = Duration::from_secs(2);
/// A topic that nobody is subscribed to.
const NOBODYS: &str = "reef/nobody/is/subscribed/to/this";

/// A filter of topics: `sensors/+/temperature`, `sensors/#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic(String);

/// A filter that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a filter of MQTT topics: `+` stands for a whole level, `#` for all that follow, at \
     the end"
)]
pub struct TopicError(String);

/// What happens to somebody who listens.
#[derive(Debug)]
pub enum Event {
    /// From now on, messages come.
    Listening,
    /// A message.
    Message(Message),
    /// None come until the next [`Event::Listening`]. It is tried again after this pause.
    Lost {
        /// Why.
        why: ConnectError,
        /// How long until the next attempt.
        pause: Duration,
    },
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// To be told when it was handled; nothing if the broker does not want to know.
    pub ack: Option<Ack>,
}

/// What the broker waits for before it takes a message for delivered. It sends only so many ahead.
///
/// It belongs to the connection that the message came over: on the next one its number may be another message's.
pub struct Ack {
    client: AsyncClient,
    ack: ManualAck,
    /// When it is on its way; with an error when the connection is not there any more.
    sent: oneshot::Receiver<()>,
}

/// Acknowledgements of one connection that are to be told when they are on their way, by their packets' numbers.
#[derive(Default)]
struct Acks(HashMap<u16, oneshot::Sender<()>>);

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        match ValidatedTopicFilter::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(TopicError(text.to_owned())),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ack {
    /// The same for a message that nobody is going to handle, without waiting.
    pub fn at_once(self) {
        // Without room for it, the connection is as good as lost.
        let _ = self.client.try_manual_ack(self.ack);
    }

    /// The message was handled. When this ends, the broker is told, or will deliver it again: nothing happens where
    /// its connection is not there any more.
    pub async fn done(self) {
        let Self { client, ack, sent } = self;
        let telling = async {
            if client.manual_ack(ack).await.is_ok() {
                // Who ends the connection after this takes nothing of it back.
                let _ = sent.await;
            }
        };
        // Past that, the connection is as good as lost, and the broker forgets.
        let _ = timeout(ANSWERING, telling).await;
    }
}

impl Acks {
    fn message(&mut self, client: &AsyncClient, publish: rumqttc::Publish) -> Message {
        let ack = client.prepare_ack(&publish).map(|ack| {
            let (sender, sent) = oneshot::channel();
            self.0.insert(publish.pkid, sender);
            Ack { client: client.clone(), ack, sent }
        });
        Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            ack,
        }
    }

    /// Whether one is on its way; with quality 2, whether the broker has answered it.
    fn look(&mut self, event: &rumqttc::Event) {
        let rumqttc::Event::Outgoing(Outgoing::PubAck(packet) | Outgoing::PubComp(packet)) = event
        else {
            return;
        };
        if let Some(sender) = self.0.remove(packet) {
            // Not everybody waits for it.
            let _ = sender.send(());
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("ack", &self.ack).finish_non_exhaustive()
    }
}

/// Stays subscribed to a topic and tells what happens. A broker that is not there, is lost or refuses is
/// tried again, for ever, with pauses ([`Backoff`]). Each connection is a session of its own: what is
/// published in between is for nobody.
///
/// `told` is not to wait: the broker takes a connection that is not looked after for lost.
pub async fn listen(
    broker: &Broker,
    topic: &Topic,
    qos: QoS,
    told: impl FnMut(Event),
) -> Infallible {
    listen_until(broker, topic, qos, told, pending()).await;
    pending().await
}

/// The same `until` then. When it ends, the broker has what was acknowledged before.
pub async fn listen_until(
    broker: &Broker,
    topic: &Topic,
    qos: QoS,
    mut told: impl FnMut(Event),
    until: impl Future<Output = ()>,
) {
    let (mut backoff, mut until) = (Backoff::default(), pin!(until));
    loop {
        let listening = until_lost(broker, topic, qos, &mut backoff, &mut told, until.as_mut());
        let Err(why) = listening.await else { return };
        let pause = backoff.pause();
        told(Event::Lost { why, pause });
        tokio::select! {
            () = sleep(pause) => {}
            () = until.as_mut() => return,
        }
    }
}

async fn until_lost(
    broker: &Broker,
    topic: &Topic,
    qos: QoS,
    backoff: &mut Backoff,
    told: &mut impl FnMut(Event),
    mut until: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), ConnectError> {
    let (client, mut events) = broker.client().await?;
    let lost = |error: rumqttc::ClientError| ConnectError::Connection(error.to_string());
    let mut acks = Acks::default();
    tokio::select! {
        subscribed = subscribed((&client, &mut events), &mut acks, topic, qos, told) => subscribed?,
        () = until.as_mut() => return Ok(()),
    }
    backoff.reset();
    loop {
        let event = tokio::select! {
            event = events.poll() => event?,
            () = until.as_mut() => {
                leave(&client, &mut events, &mut acks).await;
                return Ok(());
            }
        };
        match event {
            rumqttc::Event::Incoming(Incoming::Publish(publish)) => {
                told(Event::Message(acks.message(&client, publish)));
            }
            // The library would open another session, without a subscription.
            rumqttc::Event::Incoming(Incoming::ConnAck(_)) => {
                client.subscribe(topic.0.as_str(), qos).await.map_err(lost)?;
            }
            other => acks.look(&other),
        }
    }
}

/// Waits until the broker has read all that was sent. It answers no acknowledgement, but answers in turn: a session
/// that somebody else takes up before would have messages again that were handled.
async fn leave(client: &AsyncClient, events: &mut EventLoop, acks: &mut Acks) {
    let asking = async {
        if let Ok(asked) = client.unsubscribe_tracked(NOBODYS).await {
            let _ = asked.wait_completion_async().await;
        }
    };
    let driving = async {
        while let Ok(event) = events.poll().await {
            // What still comes is delivered again.
            acks.look(&event);
        }
    };
    let left = async {
        tokio::select! {
            () = asking => {}
            () = driving => {}
        }
    };
    let _ = timeout(LEAVING, left).await;
}

/// Connects and subscribes. Messages may come before the broker says so.
async fn subscribed(
    (client, events): (&AsyncClient, &mut EventLoop),
    acks: &mut Acks,
    topic: &Topic,
    qos: QoS,
    told: &mut impl FnMut(Event),
) -> Result<(), ConnectError> {
    // It has a deadline of its own.
    events.poll().await?;
    let until = Instant::now() + ANSWERING;
    let late = |_| ConnectError::Timeout(ANSWERING);
    let lost = |error: rumqttc::ClientError| ConnectError::Connection(error.to_string());
    client.try_subscribe(topic.0.as_str(), qos).map_err(lost)?;
    loop {
        match timeout_at(until, events.poll()).await.map_err(late)?? {
            rumqttc::Event::Incoming(Incoming::SubAck(answer)) => {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    return Err(ConnectError::Refused(topic.to_string()));
                }
                told(Event::Listening);
                return Ok(());
            }
            rumqttc::Event::Incoming(Incoming::Publish(publish)) => {
                told(Event::Message(acks.message(client, publish)));
            }
            other => acks.look(&other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_the_specification() {
        for good in ["a", "a/b", "+", "#", "a/+/b", "a/#", "/a", "$SYS/#"] {
            assert_eq!(good.parse::<Topic>().map(|topic| topic.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a/#/b", "a+", "a/b#", "a\0b"] {
            assert!(bad.parse::<Topic>().is_err(), "{bad}");
        }
    }
}
