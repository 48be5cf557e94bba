//! What happens in a bucket.
//!
//! A consumer of the server's, which is asked for some messages at a time: who reads slowly has no more of them wait.
//! When it is lost, for whatever reason, another one tells everything anew: that finds what was missed, and that the
//! bucket is another one, or an older one, alike.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, ReplayPolicy, pull},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reef_capability::Failure;
use reef_egress::Backoff;
use reef_nats::{failed, jetstream_error};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    WITHIN,
    store::{MARKER, OPERATION, Shared},
};
use crate::store::{Change, Changes, Entry};

/// Messages that are asked for at once.
const AT_ONCE: usize = 256;
/// How often the server says that there is nothing new. Two that are missed are a loss.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the server waits for something new, when asked.
const EXPIRES: Duration = Duration::from_secs(30);
/// How long one who does not look is remembered by the server.
const IDLE: Duration = Duration::from_secs(60);
/// How long what there is may be silent before it is looked whether that was all.
const SILENT: Duration = Duration::from_secs(1);
/// The longest pause between tries to hear it again.
const PAUSE: Duration = Duration::from_secs(2);
/// Questions of where prefixes stand that are asked at once.
const ASKED: usize = 32;

pub(super) struct Watched {
    shared: Arc<Shared>,
    prefixes: Vec<String>,
    heard: Option<Heard>,
    backoff: Backoff,
    /// Whether whoever watches knows that nothing is heard.
    lost: bool,
    /// What is to be told first.
    waiting: VecDeque<Change>,
}

/// A consumer.
struct Heard {
    consumer: PullConsumer,
    messages: pull::Stream,
    /// What of the bucket it is about.
    of: Vec<String>,
    /// Messages that were there when it began and are yet to come, as far as the server knows that it is at.
    pending: u64,
    /// The last message that came, and the one that came last of all when it began: of several servers, that one may
    /// not have heard of it yet.
    at: u64,
    newest: u64,
    begun: Instant,
    current: bool,
    /// The consumer's number of the next message: if it is another, one was lost on the way.
    next: u64,
    connected: watch::Receiver<bool>,
    /// Has the server forget it.
    forget: Forget,
}

struct Forget {
    shared: Arc<Shared>,
    stream: jetstream::stream::Stream,
    consumer: String,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let (stream, consumer) = (self.stream.clone(), std::mem::take(&mut self.consumer));
        // The server would by itself, later.
        self.shared.connection.runtime().spawn(async move {
            let _ = timeout(WITHIN, stream.delete_consumer(&consumer)).await;
        });
    }
}

impl Watched {
    pub(super) fn begin(shared: Arc<Shared>, prefixes: Vec<String>) -> Changes {
        let (backoff, waiting) = (Backoff::default(), VecDeque::new());
        let watched = Self { shared, prefixes, heard: None, backoff, lost: false, waiting };
        stream::unfold(watched, Self::next).boxed()
    }

    async fn next(mut self) -> Option<(Change, Self)> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Some((change, self));
            }
            match &mut self.heard {
                Some(heard) => match heard.next(&self.shared).await {
                    Ok(changes) => self.waiting.extend(changes),
                    Err(why) => {
                        tracing::debug!(%why, "A watch of the lattice's store was lost.");
                        self.heard = None;
                        self.lose();
                    }
                },
                None => match timeout(WITHIN, self.listen()).await {
                    Ok(Ok(heard)) => {
                        self.heard = Some(heard);
                        self.lost = false;
                        self.backoff.reset();
                        self.waiting.push_back(Change::Anew);
                    }
                    failed => {
                        let why = match failed {
                            Ok(Err(failure)) => failure,
                            _ => Failure::Timeout(WITHIN),
                        };
                        tracing::debug!(%why, "The lattice's store cannot be watched; it is tried again.");
                        self.shared.forget();
                        // Said before the pause.
                        if self.lose() {
                            continue;
                        }
                        sleep(self.backoff.pause().min(PAUSE)).await;
                    }
                },
            }
        }
    }

    /// Says that nothing is heard, if that is new.
    fn lose(&mut self) -> bool {
        let new = !std::mem::replace(&mut self.lost, true);
        if new {
            self.waiting.push_back(Change::Lost);
        }
        new
    }

    async fn listen(&self) -> Result<Heard, Failure> {
        let mut connected = self.shared.connection.connected();
        let opened = self.shared.opened().await?;
        connected.mark_unchanged();
        let below = self.prefixes.iter().flat_map(|prefix| match prefix.as_str() {
            "" => vec![self.shared.subject(">")],
            prefix => {
                vec![self.shared.subject(prefix), self.shared.subject(&format!("{prefix}.>"))]
            }
        });
        let of: Vec<_> = below.collect();
        let config = pull::Config {
            description: Some("watch of a lattice".to_owned()),
            filter_subjects: of.clone(),
            // With `All`, servers of 2.10 count wrongly how many there are of `a` and `a.>` together.
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: IDLE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer =
            async { opened.stream.create_consumer(config).await.map_err(|error| failed(&error)) };
        let (consumer, newest) = tokio::try_join!(consumer, newest(&opened.stream, &of))?;
        let info = consumer.cached_info();
        let (pending, name) = (info.num_pending, info.name.clone());
        let (shared, stream) = (self.shared.clone(), opened.stream.clone());
        let forget = Forget { shared, stream, consumer: name };
        let messages = consumer
            .stream()
            .max_messages_per_batch(AT_ONCE)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES)
            .messages()
            .await;
        let messages = messages.map_err(|error| failed(&error))?;
        Ok(Heard {
            consumer,
            messages,
            of,
            pending,
            at: 0,
            newest,
            begun: Instant::now(),
            current: false,
            next: 1,
            connected,
            forget,
        })
    }
}

impl Heard {
    /// What happened next; an error when it cannot be heard any more.
    async fn next(&mut self, shared: &Shared) -> Result<Vec<Change>, Failure> {
        if !self.current && self.pending == 0 && self.at >= self.newest {
            self.current = true;
            return Ok(vec![Change::Current]);
        }
        let message = tokio::select! {
            biased;
            // What was on its way is lost, be it made again at once.
            _ = self.connected.changed() => {
                return Err(Failure::unreachable("the connection was lost"));
            }
            message = self.messages.next() => message,
            () = sleep(SILENT), if !self.current => return self.look().await,
        };
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                // The bucket may be gone: it is looked at anew.
                shared.forget();
                let said = jetstream_error(&error).map(|reason| reason.to_string());
                return Err(Failure::unreachable(said.unwrap_or_else(|| error.to_string())));
            }
            None => return Err(Failure::unreachable("the consumer has ended")),
        };
        let info = message.info().map_err(|error| Failure::unreachable(&error))?;
        if info.consumer_sequence != self.next {
            return Err(Failure::unreachable("a message was lost on the way"));
        }
        self.next += 1;
        let (revision, left) = (info.stream_sequence, info.pending);
        self.at = revision;
        let mut changes = Vec::new();
        // Other keys are not Reef's.
        if let Some(key) = shared.key(&message.subject) {
            shared.see(&key, revision);
            let said = |name| message.headers.as_ref().and_then(|headers| headers.get(name));
            let deleted = said(OPERATION).is_some_and(|said| said.as_str() != "PUT");
            changes.push(if deleted || said(MARKER).is_some() {
                Change::Deleted(key, revision)
            } else {
                Change::Put(Entry { key, value: message.payload.clone(), revision })
            });
        }
        if !self.current {
            // One that was replaced meanwhile comes later, and is counted then.
            self.pending = self.pending.saturating_sub(1);
            if (self.pending == 0 || left == 0) && revision >= self.newest {
                self.current = true;
                changes.push(Change::Current);
            }
        }
        Ok(changes)
    }

    /// Whether all that there was has been told: what expired meanwhile never comes.
    async fn look(&mut self) -> Result<Vec<Change>, Failure> {
        let info = timeout(WITHIN, self.consumer.get_info()).await;
        let info = info.map_err(|_| Failure::Timeout(WITHIN))?.map_err(|error| failed(&error))?;
        if info.num_pending == 0 && info.delivered.consumer_sequence + 1 == self.next {
            self.pending = 0;
            self.newest = timeout(WITHIN, newest(&self.forget.stream, &self.of))
                .await
                .map_err(|_| Failure::Timeout(WITHIN))??;
            // Another one may know more.
            if self.at < self.newest && self.begun.elapsed() > WITHIN {
                return Err(Failure::unreachable("the server that tells it is behind the others"));
            }
        }
        Ok(Vec::new())
    }
}

/// Where the last message of these subjects stands.
async fn newest(stream: &jetstream::stream::Stream, of: &[String]) -> Result<u64, Failure> {
    let each: Vec<_> = of.iter().map(|subject| reef_nats::newest(stream, subject)).collect();
    let all = stream::iter(each).buffer_unordered(ASKED);
    all.try_fold(0, async |newest, one| Ok(one.max(newest))).await
}
