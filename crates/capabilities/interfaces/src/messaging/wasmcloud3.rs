//! `wasmcloud:messaging@0.3.0`: asynchronous, with bodies that are streams.

use std::time::Duration;

use bytes::BytesMut;
use reef_capability::Failure;
use reef_messaging::Message;
use wasmtime::component::{Accessor, StreamReader};

use self::wasmcloud::messaging::{
    consumer,
    types::{self, BrokerMessage, Error},
};
use super::Way;
use crate::{Capable, OfInstance, View, instance::of_caller, pipe::pipe};

wasmtime::component::bindgen!({
    path: "wit/wasmcloud-messaging-0.3.0.wit",
    imports: { default: trappable },
});

const CONSUMER: &str = "wasmcloud:messaging/consumer@0.3.0";

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(_) => Self::SubjectInvalid,
            Failure::Denied(_) => Self::AccessDenied,
            Failure::Timeout(_) => Self::Timeout,
            Failure::Unavailable { .. } | Failure::Broken { .. } => Self::BrokerUnavailable,
            Failure::TooLarge { .. } => Self::MessageTooLarge,
            Failure::TooMany(_) | Failure::Full(_) => Self::QuotaExceeded,
            other => Self::Other(other.to_string()),
        }
    }
}

/// A message with all of its body, and the way that it is to go.
async fn outgoing<T: Capable>(
    store: &Accessor<T, OfInstance<T>>,
    subject: String,
    mut body: StreamReader<u8>,
) -> wasmtime::Result<Result<(Way, Message), Failure>> {
    let way = of_caller(store, |view| Way::of(view, CONSUMER, &subject));
    let way = match way {
        Ok(way) => way,
        Err(failure) => {
            store.with(|mut access| body.close(&mut access))?;
            return Ok(Err(failure));
        }
    };
    let (into, mut pieces) = pipe();
    store.with(|mut access| body.pipe(&mut access, into))?;
    let (mut whole, most) = (BytesMut::new(), way.most());
    while let Some(piece) = pieces.recv().await {
        let is = (whole.len() + piece.len()) as u64;
        if is > most {
            return Ok(Err(Failure::TooLarge { what: "message", is, most }));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Ok((way, Message::new(subject, whole))))
}

impl types::Host for View<'_> {}
impl consumer::Host for View<'_> {}

impl<T: Capable> consumer::HostWithStore<T> for OfInstance<T> {
    async fn request(
        store: &Accessor<T, Self>,
        subject: String,
        body: StreamReader<u8>,
        timeout_ms: Option<u32>,
    ) -> Answer<BrokerMessage> {
        let (way, message) = match outgoing(store, subject, body).await? {
            Ok(outgoing) => outgoing,
            Err(failure) => return Ok(Err(failure.into())),
        };
        let within = timeout_ms.map(|millis| Duration::from_millis(millis.into()));
        match way.request(message, within).await {
            Ok(Message { subject, body, reply_to, .. }) => {
                let body = Vec::from(body);
                let body = store.with(|mut access| StreamReader::new(&mut access, body))?;
                Ok(Ok(BrokerMessage { subject, body, reply_to }))
            }
            Err(failure) => Ok(Err(failure.into())),
        }
    }

    async fn publish(store: &Accessor<T, Self>, msg: BrokerMessage) -> Answer<()> {
        let BrokerMessage { subject, body, reply_to } = msg;
        let (way, message) = match outgoing(store, subject, body).await? {
            Ok(outgoing) => outgoing,
            Err(failure) => return Ok(Err(failure.into())),
        };
        Ok(way.publish(Message { reply_to, ..message }).await.map_err(Into::into))
    }
}
