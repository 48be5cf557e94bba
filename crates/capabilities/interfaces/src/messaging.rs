//! Messages: `wasmcloud:messaging` and `wasi:messaging`.

mod wasi;
mod wasmcloud2;
mod wasmcloud3;

use std::sync::Arc;

use reef_capability::{Caller, Failure, Link};
use reef_messaging::{Answering, Channel, Message, Publisher};
use wasmtime::component::{Linker, LinkerInstance};

pub use self::{
    wasi::{Letter, wasi::messaging::types::Error as WasiError},
    wasmcloud2::wasmcloud::messaging::types::BrokerMessage,
    wasmcloud3::wasmcloud::messaging::types::{
        BrokerMessage as StreamedMessage, HandleMessageError as Unhandled,
    },
};
use crate::{
    Capable, OfInstance, View,
    scope::{Getter, offered},
};

/// What is offered.
pub(crate) const PROVIDED: &[&str] = &[
    "wasi:messaging/producer@0.2.0-draft",
    "wasi:messaging/request-reply@0.2.0-draft",
    "wasi:messaging/types@0.2.0-draft",
    "wasmcloud:messaging/consumer@0.2.0",
    "wasmcloud:messaging/consumer@0.3.0",
    "wasmcloud:messaging/types@0.2.0",
    "wasmcloud:messaging/types@0.3.0",
];

/// Offers the packages that are `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    concurrent: bool,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasmcloud:messaging/") {
        wasmcloud2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        if concurrent {
            wasmcloud3::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        }
    }
    if wanted("wasi:messaging/") {
        wasi::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// Offers one interface, if it is one of these.
pub(crate) fn offer<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
    concurrent: bool,
    data: Getter<T>,
) -> wasmtime::Result<bool> {
    use wasi::wasi::messaging as draft;
    use wasmcloud2::wasmcloud::messaging as second;
    use wasmcloud3::wasmcloud::messaging as third;
    Ok(offered!(instance, interface, data, {
        "wasi:messaging/producer@0.2.0-draft" => draft::producer,
        "wasi:messaging/request-reply@0.2.0-draft" => draft::request_reply,
        "wasi:messaging/types@0.2.0-draft" => draft::types,
        "wasmcloud:messaging/consumer@0.2.0" => second::consumer,
        "wasmcloud:messaging/types@0.2.0" => second::types,
        "wasmcloud:messaging/consumer@0.3.0" if concurrent => third::consumer,
        "wasmcloud:messaging/types@0.3.0" if concurrent => third::types,
    }))
}

/// An instance's way to a broker. It outlives the borrow of the store's data.
#[derive(Clone)]
pub(crate) struct Way {
    publisher: Publisher,
    caller: Caller,
    answering: Option<Answering>,
}

impl Way {
    /// The way for a message about `subject`: over the link that the instance selected, else the one called
    /// `default`, else the only one there is. An answer goes back where the question came from.
    pub(crate) fn of(view: &View<'_>, import: &str, subject: &str) -> Result<Self, Failure> {
        let answering = view.instance.answering.clone().filter(|to| to.subject == subject);
        let link = match &answering {
            Some(to) => to.link.clone(),
            None => link(view, import, "")?,
        };
        Ok(Self::over(view, link, answering))
    }

    /// The way over the link of a name.
    pub(crate) fn named(view: &View<'_>, import: &str, name: &str) -> Result<Self, Failure> {
        Ok(Self::over(view, link(view, import, name)?, None))
    }

    fn over(view: &View<'_>, link: Arc<Link<Channel>>, answering: Option<Answering>) -> Self {
        let caller = view.instance.caller.clone();
        Self { publisher: Publisher::new(link), caller, answering }
    }

    /// Bytes that a message may have.
    pub(crate) fn most(&self) -> u64 {
        self.publisher.most()
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

/// The link that a guest means by a name, or without one.
pub(crate) fn link(
    view: &View<'_>,
    import: &str,
    name: &str,
) -> Result<Arc<Link<Channel>>, Failure> {
    let granted = view.granted()?;
    // Under a label, the link is said already.
    let name = view.label().unwrap_or(name);
    if !name.is_empty() {
        return granted.messaging.named(import, name);
    }
    let selected = view.selected(import);
    let mut all = granted.messaging.iter();
    if let (None, Some(only), None) = (selected, all.next(), all.next()) {
        return Ok(only.clone());
    }
    Ok(granted.messaging.find(import, selected, "")?.0)
}
