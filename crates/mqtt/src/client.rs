//! A connection to publish, which is made when it is needed.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use rumqttc::{AsyncClient, Incoming, PublishOptions, QoS};
use tokio::{runtime::Handle, sync::Mutex, task::AbortHandle, time::timeout};

use crate::broker::{Broker, ConnectError, LARGEST};

/// How long a broker may take to say that it has a message.
const PUBLISHING: Duration = Duration::from_secs(4);
/// Bytes of a packet beside topic and payload, at most.
const BESIDE: usize = 9;

/// A connection to publish. Cheap to clone; it closes with the last.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Broker,
    /// What drives the connection, whoever asks first.
    runtime: Handle,
    open: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    open: Option<Open>,
    /// Counts connections, so that a failure ends only the one that it happened on.
    number: u64,
}

/// A connection that is there, as far as is known.
struct Open {
    client: AsyncClient,
    driver: AbortHandle,
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no connection: nothing was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No topic of MQTT.
    #[error("`{0}` is no topic of MQTT")]
    Topic(String),
    /// Larger than a packet may be.
    #[error("the message is {is} bytes and may be {most}")]
    TooLarge {
        /// Bytes of its topic and payload.
        is: usize,
        /// The most that they may be.
        most: usize,
    },
    /// The connection was lost before the broker said that it has the message; it may have it.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The broker did not say in time that it has the message; it may have it.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
}

impl Client {
    /// A client of a broker. Nothing is connected to yet.
    pub fn new(broker: Broker, runtime: Handle) -> Self {
        Self { shared: Arc::new(Shared { broker, runtime, open: Mutex::default() }) }
    }

    /// Publishes a message, and waits for what the broker says of it: nothing with quality 0.
    ///
    /// # Errors
    /// When the broker does not have it, as far as is known.
    pub async fn publish(&self, topic: &str, payload: Bytes, qos: QoS) -> Result<(), PublishError> {
        if topic.is_empty() || topic.contains(['+', '#', '\0']) || topic.len() > 65_535 {
            return Err(PublishError::Topic(topic.to_owned()));
        }
        let (is, most) = (topic.len() + payload.len(), LARGEST - BESIDE);
        if is > most {
            return Err(PublishError::TooLarge { is, most });
        }
        let (client, number) = self.client().await?;
        let publishing = async {
            let options = PublishOptions::new(qos);
            let sent = client.publish_tracked(topic, payload, options).await;
            let notice = sent.map_err(|error| PublishError::Lost(error.to_string()))?;
            let done = notice.wait_completion_async().await;
            done.map_err(|error| PublishError::Lost(error.to_string()))
        };
        let published = timeout(PUBLISHING, publishing).await;
        let published = published.unwrap_or(Err(PublishError::Timeout(PUBLISHING)));
        if published.is_err() {
            // The next one has a new connection.
            let mut current = self.shared.open.lock().await;
            if current.number == number {
                current.open = None;
            }
        }
        published
    }

    async fn client(&self) -> Result<(AsyncClient, u64), ConnectError> {
        let mut current = self.shared.open.lock().await;
        if let Some(there) = current.open.as_ref().filter(|there| !there.driver.is_finished()) {
            return Ok((there.client.clone(), current.number));
        }
        // Where it is made is where it lives: who asks may be on a thread that ends before.
        let broker = self.shared.broker.clone();
        let connecting = self.shared.runtime.spawn(async move {
            let (client, mut events) = broker.client().await?;
            // It has a deadline of its own.
            loop {
                if let rumqttc::Event::Incoming(Incoming::ConnAck(_)) = events.poll().await? {
                    return Ok::<_, ConnectError>((client, events));
                }
            }
        });
        let ended = |_| ConnectError::Connection("the host is ending".to_owned());
        let (client, mut events) = connecting.await.map_err(ended)??;
        // With the first error it is over: those who wait for an answer are told then.
        let driver = self.shared.runtime.spawn(async move { while events.poll().await.is_ok() {} });
        current.number += 1;
        current.open = Some(Open { client: client.clone(), driver: driver.abort_handle() });
        Ok((client, current.number))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.shared.broker).finish()
    }
}
