//! The bus of one process.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _, select_all};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    Bus, Interest, Message, PublishError, Published, RequestError, SubscribeError, Subscription,
    queue::{Offer, Queue},
    subjects::Subjects,
};

/// What the subjects of inboxes begin with, as NATS has it.
const INBOX: &str = "_INBOX.";

/// What a bus carries at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message's body.
    pub message: usize,
    /// How long a publisher waits for room.
    pub patience: Duration,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Requests that wait for an answer.
    pub requests: usize,
}

/// A bus in this process. Cloning shares it.
#[derive(Clone, Debug)]
pub struct InProcess(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    subscribers: RwLock<Subscribers>,
    inboxes: Mutex<HashMap<Arc<str>, oneshot::Sender<Message>>>,
    /// Names inboxes so that nobody guesses them.
    names: RandomState,
    /// Inboxes and subscriptions there have been.
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Subscribers {
    subjects: Subjects<Target>,
    count: usize,
    groups: HashMap<Arc<str>, Weak<Group>>,
}

/// One subscription, as publishers see it.
#[derive(Debug)]
struct Target {
    id: u64,
    interest: Interest,
    group: Option<Arc<Group>>,
    queue: Arc<Queue>,
}

/// Those who share messages.
#[derive(Debug, Default)]
struct Group {
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// Those of whom one is to have a message.
struct Recipients {
    targets: Vec<Arc<Target>>,
    group: Option<Arc<Group>>,
}

/// An inbox; gone when dropped.
struct Inbox<'a> {
    bus: &'a Inner,
    name: Arc<str>,
    answer: oneshot::Receiver<Message>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1 << 20,
            patience: Duration::from_secs(1),
            subscriptions: 100_000,
            requests: 10_000,
        }
    }
}

// === impl InProcess ===

impl Default for InProcess {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl InProcess {
    /// A bus that nobody subscribes to.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            subscribers: RwLock::default(),
            inboxes: Mutex::default(),
            names: RandomState::new(),
            count: AtomicU64::new(0),
        }))
    }
}

impl Bus for InProcess {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<Published, PublishError>> {
        async move {
            let recipients = Some(self.0.deliver(&message).await?);
            Ok(Published { recipients })
        }
        .boxed()
    }

    fn request(
        &self,
        message: Message,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Message, RequestError>> {
        self.0.ask(message, timeout).boxed()
    }

    fn subscribe(&self, interest: Interest) -> BoxFuture<'_, Result<Subscription, SubscribeError>> {
        std::future::ready(self.0.subscribe(interest)).boxed()
    }
}

// === impl Inner ===

impl Inner {
    fn inboxes(&self) -> MutexGuard<'_, HashMap<Arc<str>, oneshot::Sender<Message>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribe(self: &Arc<Self>, interest: Interest) -> Result<Subscription, SubscribeError> {
        let queue = Arc::new(Queue::new(interest.capacity));
        let mut all = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        if all.count >= self.limits.subscriptions {
            return Err(SubscribeError::TooMany(all.count));
        }
        let group = interest.queue.as_ref().map(|name| all.group(name));
        let id = self.count.fetch_add(1, Ordering::Relaxed);
        let target = Target { id, interest: interest.clone(), group, queue: queue.clone() };
        let target = Arc::new(target);
        all.subjects.insert(&interest.subject, target.clone());
        all.count += 1;
        drop(all);
        let (bus, ended) = (Arc::downgrade(self), AtomicBool::new(false));
        Ok(Subscription::new(interest, queue, move || {
            if let Some(bus) = bus.upgrade()
                && !ended.swap(true, Ordering::Relaxed)
            {
                bus.unsubscribe(&target);
            }
        }))
    }

    fn unsubscribe(&self, target: &Arc<Target>) {
        let mut all = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        all.subjects.remove(&target.interest.subject, target);
        all.count -= 1;
    }

    /// Those who want a message: everybody by himself, and each group as one.
    fn recipients(&self, subject: &str) -> Vec<Recipients> {
        let all = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        let found = all.subjects.find(subject);
        drop(all);
        let mut recipients: Vec<Recipients> = Vec::with_capacity(found.len());
        // One group may have members under several patterns.
        let mut groups: HashMap<*const Group, usize> = HashMap::new();
        for target in found {
            let Some(group) = target.group.clone() else {
                recipients.push(Recipients { targets: vec![target], group: None });
                continue;
            };
            match groups.entry(Arc::as_ptr(&group)) {
                std::collections::hash_map::Entry::Occupied(at) => {
                    recipients[*at.get()].targets.push(target);
                }
                std::collections::hash_map::Entry::Vacant(at) => {
                    at.insert(recipients.len());
                    recipients.push(Recipients { targets: vec![target], group: Some(group) });
                }
            }
        }
        recipients
    }

    /// Hands a message to all who want it; says how many have it.
    async fn deliver(&self, message: &Message) -> Result<usize, PublishError> {
        let (size, most) = (message.body().len(), self.limits.message);
        if size > most {
            return Err(PublishError::TooLarge { size, most });
        }
        let until = Instant::now() + self.limits.patience;
        let mut delivered = usize::from(self.answer(message));
        let mut full = Vec::new();
        let mut tried = Vec::new();
        let mut pending = self.recipients(message.subject());
        while !pending.is_empty() {
            let (mut late, mut gone) = (Vec::new(), false);
            for recipients in &pending {
                let first = recipients.first();
                match recipients.offer(first, message) {
                    Offer::Taken => delivered += 1,
                    Offer::Full => late.push((recipients, first)),
                    Offer::Closed => gone = true,
                }
            }
            for (recipients, first) in late {
                match timeout_at(until, recipients.offer_in_time(first, message)).await {
                    Ok(true) => delivered += 1,
                    Ok(false) => gone = true,
                    Err(_) => full.push(recipients.to_string()),
                }
            }
            if !gone {
                break;
            }
            // Who came in the place of those that went meanwhile has it instead.
            tried.extend(pending.iter().flat_map(|of| of.targets.iter().map(|one| one.id)));
            pending = self.recipients(message.subject());
            pending.retain(|of| !of.targets.iter().any(|one| tried.contains(&one.id)));
        }
        if full.is_empty() {
            return Ok(delivered);
        }
        let (subject, waited) = (message.subject().to_owned(), self.limits.patience);
        Err(PublishError::Full { subject, full, delivered, waited })
    }

    /// Puts an answer into the inbox that it is for.
    fn answer(&self, message: &Message) -> bool {
        let subject = message.subject();
        subject.starts_with(INBOX)
            && self
                .inboxes()
                .remove(subject)
                .is_some_and(|inbox| inbox.send(message.clone()).is_ok())
    }

    async fn ask(&self, message: Message, timeout: Duration) -> Result<Message, RequestError> {
        let until = Instant::now() + timeout;
        let subject = message.subject().to_owned();
        let mut inbox = self.inbox()?;
        let asking = async {
            let message = message.with_reply_to(&inbox.name).map_err(PublishError::from)?;
            if self.deliver(&message).await? == 0 {
                return Err(RequestError::NoResponders { subject: subject.clone() });
            }
            match (&mut inbox.answer).await {
                Ok(answer) => Ok(answer),
                // Nobody takes it out but who answers.
                Err(_) => std::future::pending().await,
            }
        };
        match timeout_at(until, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(RequestError::Timeout { subject, waited: timeout }),
        }
    }

    fn inbox(&self) -> Result<Inbox<'_>, RequestError> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let secret = self.names.hash_one(number);
        let name: Arc<str> = format!("{INBOX}{secret:016x}.{number}").into();
        let (sender, answer) = oneshot::channel();
        let mut inboxes = self.inboxes();
        if inboxes.len() >= self.limits.requests {
            return Err(RequestError::TooMany(inboxes.len()));
        }
        inboxes.insert(name.clone(), sender);
        drop(inboxes);
        Ok(Inbox { bus: self, name, answer })
    }
}

impl Drop for Inbox<'_> {
    fn drop(&mut self) {
        self.bus.inboxes().remove(&self.name);
    }
}

// === impl Subscribers ===

impl Subscribers {
    fn group(&mut self, name: &Arc<str>) -> Arc<Group> {
        if let Some(group) = self.groups.get(name).and_then(Weak::upgrade) {
            return group;
        }
        // Groups that nobody is in any more.
        self.groups.retain(|_, group| group.strong_count() > 0);
        let group = Arc::new(Group::default());
        self.groups.insert(name.clone(), Arc::downgrade(&group));
        group
    }
}

// === impl Recipients ===

impl Recipients {
    /// The one whose turn it is.
    fn first(&self) -> usize {
        match &self.group {
            Some(group) => group.turn.fetch_add(1, Ordering::Relaxed) % self.targets.len(),
            None => 0,
        }
    }

    /// Hands a message to one of them, if one has room.
    fn offer(&self, first: usize, message: &Message) -> Offer {
        let (before, from) = self.targets.split_at(first);
        let mut offer = Offer::Closed;
        for target in from.iter().chain(before) {
            match target.queue.offer(message) {
                Offer::Taken => return Offer::Taken,
                Offer::Full => offer = Offer::Full,
                Offer::Closed => {}
            }
        }
        offer
    }

    /// The same, when one has room; `false` when nobody is there any more.
    async fn offer_in_time(&self, first: usize, message: &Message) -> bool {
        loop {
            let rooms = self.targets.iter().map(|target| Box::pin(target.queue.room()));
            let mut rooms: Vec<_> = rooms.collect();
            for room in &mut rooms {
                // From here on it is told, though it is not waiting yet.
                room.as_mut().enable();
            }
            match self.offer(first, message) {
                Offer::Taken => return true,
                Offer::Closed => return false,
                Offer::Full => {
                    select_all(rooms).await;
                }
            }
        }
    }
}

impl std::fmt::Display for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, target) in self.targets.iter().enumerate() {
            let Interest { name, subject, .. } = &target.interest;
            write!(f, "{}{name} of {subject}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
