//! `wasi:messaging@0.2.0-draft`.

use std::time::Duration;

use reef_capability::Failure;
use reef_messaging::Message;
use wasmtime::component::Resource;

use self::wasi::messaging::{
    producer,
    request_reply::{self, HostRequestOptions},
    types::{self, Error, HostClient, HostMessage},
};
use super::Way;
use crate::View;

wasmtime::component::bindgen!({
    path: "wit/wasi-messaging-0.2.0-draft.wit",
    imports: { default: async | trappable },
    with: {
        "wasi:messaging/types.client": crate::messaging::wasi::Client,
        "wasi:messaging/types.message": crate::messaging::wasi::Letter,
        "wasi:messaging/request-reply.request-options": crate::messaging::wasi::Options,
    },
});

const TYPES: &str = "wasi:messaging/types@0.2.0-draft";
const REPLY: &str = "wasi:messaging/request-reply@0.2.0-draft";
/// The header that says of what kind a body is.
const CONTENT_TYPE: &str = "Content-Type";
/// What a reply is waited for that nobody gave a time for.
const WAITING: Duration = Duration::from_secs(60);

/// A broker: a link by its name.
#[allow(missing_debug_implementations, unreachable_pub, reason = "generated code names it")]
#[derive(Clone)]
pub struct Client(Way);

/// A message in a guest's hands.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// The message. One that the guest made has no subject yet.
    pub message: Message,
}

/// How an answer is waited for.
#[allow(unreachable_pub, reason = "generated code names it")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    timeout: Option<Duration>,
    replies: Option<u32>,
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout(_) => Self::Timeout,
            Failure::Unavailable { .. } | Failure::Broken { .. } => {
                Self::Connection(failure.to_string())
            }
            Failure::Denied(why) => Self::PermissionDenied(why),
            other => Self::Other(other.to_string()),
        }
    }
}

impl Letter {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.message.headers.iter();
        headers.find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    fn remove(&mut self, name: &str) {
        self.message.headers.retain(|(one, _)| !one.eq_ignore_ascii_case(name));
    }
}

impl View<'_> {
    fn letter(&mut self, message: &Resource<Letter>) -> wasmtime::Result<&mut Letter> {
        Ok(self.table.get_mut(message)?)
    }
}

impl types::Host for View<'_> {}

impl HostClient for View<'_> {
    async fn connect(&mut self, name: String) -> Answer<Resource<Client>> {
        let way = Way::named(self, TYPES, &name);
        Ok(way.and_then(|way| self.keep(Client(way))).map_err(Into::into))
    }

    async fn disconnect(&mut self, client: Resource<Client>) -> Answer<()> {
        // Connections are the host's.
        self.table.get(&client)?;
        Ok(Ok(()))
    }

    async fn drop(&mut self, client: Resource<Client>) -> wasmtime::Result<()> {
        self.table.delete(client)?;
        Ok(())
    }
}

impl HostMessage for View<'_> {
    async fn new(&mut self, data: Vec<u8>) -> wasmtime::Result<Resource<Letter>> {
        Ok(self.table.push(Letter { message: Message::new("", data) })?)
    }

    async fn topic(&mut self, message: Resource<Letter>) -> wasmtime::Result<Option<String>> {
        let subject = &self.letter(&message)?.message.subject;
        Ok((!subject.is_empty()).then(|| subject.clone()))
    }

    async fn content_type(
        &mut self,
        message: Resource<Letter>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.letter(&message)?.header(CONTENT_TYPE).map(str::to_owned))
    }

    async fn set_content_type(
        &mut self,
        message: Resource<Letter>,
        content_type: String,
    ) -> wasmtime::Result<()> {
        let letter = self.letter(&message)?;
        letter.remove(CONTENT_TYPE);
        letter.message.headers.push((CONTENT_TYPE.to_owned(), content_type));
        Ok(())
    }

    async fn data(&mut self, message: Resource<Letter>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.letter(&message)?.message.body.to_vec())
    }

    async fn set_data(&mut self, message: Resource<Letter>, data: Vec<u8>) -> wasmtime::Result<()> {
        self.letter(&message)?.message.body = data.into();
        Ok(())
    }

    async fn metadata(
        &mut self,
        message: Resource<Letter>,
    ) -> wasmtime::Result<Option<Vec<(String, String)>>> {
        let headers = self.letter(&message)?.message.headers.iter();
        let headers = headers.filter(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE));
        let headers: Vec<_> = headers.cloned().collect();
        Ok((!headers.is_empty()).then_some(headers))
    }

    async fn add_metadata(
        &mut self,
        message: Resource<Letter>,
        key: String,
        value: String,
    ) -> wasmtime::Result<()> {
        let letter = self.letter(&message)?;
        letter.message.headers.retain(|(name, _)| *name != key);
        letter.message.headers.push((key, value));
        Ok(())
    }

    async fn set_metadata(
        &mut self,
        message: Resource<Letter>,
        meta: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let letter = self.letter(&message)?;
        letter.message.headers.retain(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
        letter.message.headers.extend(meta);
        Ok(())
    }

    async fn remove_metadata(
        &mut self,
        message: Resource<Letter>,
        key: String,
    ) -> wasmtime::Result<()> {
        self.letter(&message)?.message.headers.retain(|(name, _)| *name != key);
        Ok(())
    }

    async fn drop(&mut self, message: Resource<Letter>) -> wasmtime::Result<()> {
        self.table.delete(message)?;
        Ok(())
    }
}

impl producer::Host for View<'_> {
    async fn send(
        &mut self,
        client: Resource<Client>,
        topic: String,
        message: Resource<Letter>,
    ) -> Answer<()> {
        let Client(way) = self.table.get(&client)?.clone();
        let Letter { message } = self.table.delete(message)?;
        let message = Message { subject: topic, reply_to: None, ..message };
        Ok(way.publish(message).await.map_err(Into::into))
    }
}

impl HostRequestOptions for View<'_> {
    async fn new(&mut self) -> wasmtime::Result<Resource<Options>> {
        Ok(self.table.push(Options::default())?)
    }

    async fn set_timeout_ms(
        &mut self,
        options: Resource<Options>,
        millis: u32,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&options)?.timeout = Some(Duration::from_millis(millis.into()));
        Ok(())
    }

    async fn set_expected_replies(
        &mut self,
        options: Resource<Options>,
        replies: u32,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&options)?.replies = Some(replies);
        Ok(())
    }

    async fn drop(&mut self, options: Resource<Options>) -> wasmtime::Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}

impl request_reply::Host for View<'_> {
    async fn request(
        &mut self,
        client: Resource<Client>,
        topic: String,
        message: Resource<Letter>,
        options: Option<Resource<Options>>,
    ) -> Answer<Vec<Resource<Letter>>> {
        let Client(way) = self.table.get(&client)?.clone();
        let message = self.letter(&message)?.message.clone();
        let options = options.map(|options| self.table.delete(options)).transpose()?;
        let Options { timeout, replies } = options.unwrap_or_default();
        if replies.is_some_and(|replies| replies != 1) {
            let why = "one reply is waited for, and neither none nor several".to_owned();
            return Ok(Err(Error::Other(why)));
        }
        let message = Message { subject: topic, reply_to: None, ..message };
        let answer = way.request(message, Some(timeout.unwrap_or(WAITING))).await;
        let kept = answer.and_then(|message| self.keep(Letter { message }));
        Ok(kept.map(|letter| vec![letter]).map_err(Into::into))
    }

    async fn reply(&mut self, reply_to: Resource<Letter>, message: Resource<Letter>) -> Answer<()> {
        let to = self.letter(&reply_to)?.message.reply_to.clone();
        let Letter { message } = self.table.delete(message)?;
        // Nobody waits for one.
        let Some(subject) = to else { return Ok(Ok(())) };
        let way = match Way::of(self, REPLY, &subject) {
            Ok(way) => way,
            Err(failure) => return Ok(Err(failure.into())),
        };
        let message = Message { subject, reply_to: None, ..message };
        Ok(way.publish(message).await.map_err(Into::into))
    }
}
