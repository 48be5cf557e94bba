//! Messages of a topic, for as long as somebody wants them.

use std::{convert::Infallible, fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use reef_egress::Backoff;
pub use rumqttc::QoS;
use rumqttc::{
    AsyncClient, EventLoop, Incoming, ManualAck, SubscribeReasonCode, ValidatedTopicFilter,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::broker::{ANSWERING, Broker, ConnectError};

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
pub struct Ack {
    client: AsyncClient,
    ack: ManualAck,
}

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

    /// The message was handled. Nothing happens where its connection is not there any more.
    pub async fn done(self) {
        // Past that, the connection is as good as lost, and the broker forgets.
        let _ = timeout(ANSWERING, self.client.manual_ack(self.ack)).await;
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
    mut told: impl FnMut(Event),
) -> Infallible {
    let mut backoff = Backoff::default();
    loop {
        let why = match until_lost(broker, topic, qos, &mut backoff, &mut told).await {
            Ok(never) => match never {},
            Err(why) => why,
        };
        let pause = backoff.pause();
        told(Event::Lost { why, pause });
        sleep(pause).await;
    }
}

async fn until_lost(
    broker: &Broker,
    topic: &Topic,
    qos: QoS,
    backoff: &mut Backoff,
    told: &mut impl FnMut(Event),
) -> Result<Infallible, ConnectError> {
    let (client, mut events) = broker.client().await?;
    let lost = |error: rumqttc::ClientError| ConnectError::Connection(error.to_string());
    subscribed(&client, &mut events, topic, qos, told).await?;
    backoff.reset();
    loop {
        match events.poll().await? {
            rumqttc::Event::Incoming(Incoming::Publish(publish)) => {
                told(Event::Message(message(&client, publish)));
            }
            // The library would open another session, without a subscription.
            rumqttc::Event::Incoming(Incoming::ConnAck(_)) => {
                client.subscribe(topic.0.as_str(), qos).await.map_err(lost)?;
            }
            _ => {}
        }
    }
}

/// Connects and subscribes. Messages may come before the broker says so.
async fn subscribed(
    client: &AsyncClient,
    events: &mut EventLoop,
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
                told(Event::Message(message(client, publish)));
            }
            _ => {}
        }
    }
}

fn message(client: &AsyncClient, publish: rumqttc::Publish) -> Message {
    let ack = client.prepare_ack(&publish);
    Message {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        ack: ack.map(|ack| Ack { client: client.clone(), ack }),
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
