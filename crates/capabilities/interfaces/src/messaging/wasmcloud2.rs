//! `wasmcloud:messaging@0.2.0`.

use std::time::Duration;

use reef_messaging::Message;

use self::wasmcloud::messaging::{
    consumer,
    types::{self, BrokerMessage},
};
use super::Way;
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-messaging-0.2.0.wit",
    imports: { default: async | trappable },
});

const CONSUMER: &str = "wasmcloud:messaging/consumer@0.2.0";

type Answer<T> = wasmtime::Result<Result<T, String>>;

impl From<Message> for BrokerMessage {
    fn from(message: Message) -> Self {
        let Message { subject, body, reply_to, .. } = message;
        Self { subject, body: body.into(), reply_to }
    }
}

impl types::Host for View<'_> {}

impl consumer::Host for View<'_> {
    async fn request(
        &mut self,
        subject: String,
        body: Vec<u8>,
        timeout_ms: u32,
    ) -> Answer<BrokerMessage> {
        let way = Way::of(self, CONSUMER, &subject);
        let asking = async move {
            let within = Duration::from_millis(timeout_ms.into());
            way?.request(Message::new(subject, body), Some(within)).await
        };
        Ok(asking.await.map(Into::into).map_err(|failure| failure.to_string()))
    }

    async fn publish(&mut self, msg: BrokerMessage) -> Answer<()> {
        let way = Way::of(self, CONSUMER, &msg.subject);
        let publishing = async move {
            let BrokerMessage { subject, body, reply_to } = msg;
            way?.publish(Message { reply_to, ..Message::new(subject, body) }).await
        };
        Ok(publishing.await.map_err(|failure| failure.to_string()))
    }
}
