//! A host's inbox on the bus, for all its calls.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reef_app::Subject;
use reef_bus::{Bus, Capacity, Interest, Message, PublishError, Published, Subscription};
use reef_wrpc::{Limits, Path};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    ServeError,
    header::{self, Headers},
    mailbox::{Mailbox, Place},
};

/// How calls are carried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of one message, headers and all, that the bus carries. Found out by itself where it is less.
    pub message: usize,
    /// Bytes of a channel that are sent before the other side has said that it took some.
    pub window: usize,
    /// Bytes of a channel that may wait to be taken, from whoever knows no window.
    pub waiting: usize,
    /// What may be kept of the parameters or results of one call, and of one piece of a stream.
    pub limits: Limits,
    /// Calls that wait for answers or are being answered, each by itself.
    pub calls: usize,
    /// How long a call lasts that says nothing about it.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // What NATS servers carry unless they are told otherwise.
            message: 1 << 20,
            window: 1 << 20,
            waiting: 17 << 20,
            limits: Limits::default(),
            calls: 10_000,
            timeout: Duration::from_secs(60),
        }
    }
}

/// One subscription for all that comes back to a host. Cloning shares it; calls that go on keep it.
#[derive(Clone, Debug)]
pub struct Exchange(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    bus: Arc<dyn Bus>,
    pub(crate) settings: Settings,
    inbox: String,
    mailboxes: Mutex<HashMap<u64, Arc<Mailbox>>>,
    count: AtomicU64,
    message: AtomicUsize,
    /// Where what is said after the end of a call is said.
    pub(crate) runtime: Handle,
    /// Puts what comes where it belongs.
    routing: OnceLock<AbortOnDropHandle<()>>,
}

/// A place for what comes for one call; gone when dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    exchange: Arc<Shared>,
    number: u64,
    pub(crate) subject: String,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Exchange {
    /// An inbox on this bus. To be called on the runtime that the calls run on.
    ///
    /// # Errors
    /// When the bus does not take the subscription.
    pub async fn open(bus: Arc<dyn Bus>, settings: Settings) -> Result<Self, ServeError> {
        let names = RandomState::new();
        let inbox = format!("_INBOX.{:016x}{:016x}", names.hash_one(0), names.hash_one(1));
        let subject = subject(&format!("{inbox}.>"))?;
        let interest = Interest {
            name: "calls between hosts".into(),
            subject,
            queue: None,
            // It is taken at once, and waits by calls.
            capacity: Capacity { messages: 64 * 1024, bytes: 256 << 20 },
        };
        let subscription = bus.subscribe(interest).await?;
        let shared = Arc::new(Shared {
            bus,
            settings,
            inbox,
            mailboxes: Mutex::default(),
            count: AtomicU64::new(0),
            message: AtomicUsize::new(settings.message),
            runtime: Handle::current(),
            routing: OnceLock::new(),
        });
        let routing = tokio::spawn(route(Arc::downgrade(&shared), subscription));
        let _ = shared.routing.set(AbortOnDropHandle::new(routing));
        Ok(Self(shared))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

async fn route(shared: Weak<Shared>, subscription: Subscription) {
    while let Some(message) = subscription.next().await {
        let Some(shared) = shared.upgrade() else { return };
        let Some((number, place)) = shared.place(message.subject()) else { continue };
        // Nobody waits for it any more otherwise.
        let mailbox = shared.mailboxes().get(&number).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.put(place, message);
        }
    }
}

pub(crate) fn subject(text: &str) -> Result<Subject, ServeError> {
    text.parse().map_err(|error: reef_app::SubjectError| ServeError::Subject {
        function: text.to_owned(),
        error: error.into(),
    })
}

// === impl Shared ===

impl Shared {
    pub(crate) fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, subject: &str) -> Option<(u64, Place)> {
        let rest = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?;
        let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let number = u64::from_str_radix(number, 16).ok()?;
        let (kind, path) = rest.split_once('.').unwrap_or((rest, ""));
        let path = || path.parse::<Path>().ok();
        let place = match kind {
            "" => Place::Control,
            "params" | "results" => Place::Channel(path()?),
            "credit" => Place::Credit(path()?),
            _ => return None,
        };
        Some((number, place))
    }

    /// A new place; `None` when there are as many as may be.
    pub(crate) fn register(self: &Arc<Self>) -> Option<Registered> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::new(self.settings.waiting));
        let mut mailboxes = self.mailboxes();
        if mailboxes.len() >= 2 * self.settings.calls {
            return None;
        }
        mailboxes.insert(number, mailbox.clone());
        drop(mailboxes);
        let subject = format!("{}.{number:x}", self.inbox);
        Some(Registered { exchange: self.clone(), number, subject, mailbox })
    }

    /// Bytes of a body that a message with these headers may have.
    pub(crate) fn room(&self, headers: &Headers, reply_to: Option<&str>) -> usize {
        let taken = header::size(headers) + reply_to.map_or(0, str::len) + 64;
        self.message.load(Ordering::Relaxed).saturating_sub(taken).max(1)
    }

    pub(crate) async fn publish(
        &self,
        subject: &str,
        reply_to: Option<&str>,
        headers: Headers,
        body: Bytes,
    ) -> Result<Published, PublishError> {
        let mut message = Message::new(subject, body)?.with_headers(headers);
        if let Some(reply_to) = reply_to {
            message = message.with_reply_to(reply_to)?;
        }
        let published = self.bus.publish(message).await;
        if let Err(PublishError::TooLarge { most, .. }) = published {
            self.message.fetch_min(most, Ordering::Relaxed);
        }
        published
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.exchange.mailboxes().remove(&self.number);
    }
}
