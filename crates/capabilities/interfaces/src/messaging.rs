//! Messages: `wasmcloud:messaging`.

mod wasmcloud2;

use std::sync::Arc;

use reef_capability::{Caller, Failure, Link};
use reef_messaging::{Answering, Channel, Message, Publisher};
use wasmtime::component::Linker;

pub use self::wasmcloud2::wasmcloud::messaging::types::BrokerMessage;
use crate::{Capable, Instance, OfInstance};

/// What is offered.
pub(crate) const PROVIDED: &[&str] =
    &["wasmcloud:messaging/consumer@0.2.0", "wasmcloud:messaging/types@0.2.0"];

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasmcloud:messaging/") {
        wasmcloud2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// An instance's way to a broker. It outlives the borrow of the store's data.
pub(crate) struct Way {
    publisher: Publisher,
    caller: Caller,
    answering: Option<Answering>,
}

impl Way {
    /// The way for a message about `subject`: over the link that the instance selected, else the one called
    /// `default`, else the only one there is. An answer goes back where the question came from.
    pub(crate) fn of(instance: &Instance, import: &str, subject: &str) -> Result<Self, Failure> {
        let answering = instance.answering.clone().filter(|to| to.subject == subject);
        let back = answering.as_ref().and_then(|to| to.link.clone());
        let link = match back {
            Some(link) => link,
            None => link(instance, import)?,
        };
        let caller = instance.caller.clone();
        Ok(Self { publisher: Publisher::new(link), caller, answering })
    }

    pub(crate) async fn publish(&self, message: Message) -> Result<(), Failure> {
        self.publisher.publish(&self.caller, message, self.answering.as_ref()).await
    }

    pub(crate) async fn request(
        &self,
        message: Message,
        within: Option<std::time::Duration>,
    ) -> Result<Message, Failure> {
        self.publisher.request(message, within).await
    }
}

fn link(instance: &Instance, import: &str) -> Result<Arc<Link<Channel>>, Failure> {
    let granted = instance.granted();
    let interface = import.split('@').next().unwrap_or(import);
    let selected = instance.selected(interface);
    let mut all = granted.messaging.iter();
    if let (None, Some(only), None) = (selected, all.next(), all.next()) {
        return Ok(only.clone());
    }
    Ok(granted.messaging.find(import, selected, "")?.0)
}
