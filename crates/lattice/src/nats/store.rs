//! A key-value bucket of JetStream, as any client of NATS can read it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{
    HeaderMap, HeaderValue,
    datetime::DateTime,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL, NATS_ROLLUP},
    jetstream::{
        Context,
        context::{PublishError, PublishErrorKind},
        message::StreamMessage,
        stream::{Config, DiscardPolicy, LastRawMessageErrorKind, StorageType, Stream},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use reef_capability::Failure;
use reef_nats::{Connection, Patience, failed, is_being_written};
use tokio::time::Instant;

use super::{WITHIN, Was, is_missing, undone, watch::Watched};
use crate::{
    Key,
    store::{BESIDE, Changes, Entry, Expected, MAX_VALUE, Store, changed, prefixes_of, too_large},
};

pub(super) const OPERATION: &str = "KV-Operation";
pub(super) const MARKER: &str = "Nats-Marker-Reason";
/// Which write it was: who asks what became of it knows it again.
const WRITE: &str = "Reef-Write";

/// How long it is remembered that a key was deleted, where servers can forget.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How long what was seen of a key is known: longer than a server thinks that it leads which does not any more.
const KNOWN: Duration = Duration::from_secs(60);
/// Keys of which that is known, at most.
const KEYS: usize = 100_000;

/// The bucket `reef-NAME`.
pub(super) struct Bucket {
    shared: Arc<Shared>,
}

/// What watches have of it, too.
pub(super) struct Shared {
    pub(super) connection: Connection,
    name: String,
    opened: Mutex<Option<Opened>>,
    /// One opens it.
    opening: tokio::sync::Mutex<Was>,
    max_value: AtomicUsize,
    seen: Mutex<HashMap<Key, (u64, Instant)>>,
}

/// The bucket as it is.
#[derive(Clone)]
pub(super) struct Opened {
    context: Context,
    pub(super) stream: Stream,
    /// When it was made: one that was made anew is another.
    made: DateTime,
    /// Whether what is in it may expire.
    expires: bool,
}

/// What a try came to that was not done as it was asked.
enum Unwritten {
    /// Another revision is the last.
    Other,
    Failed(Failure),
}

/// A value that is to be kept, however often that has to be tried.
struct Putting {
    value: Bytes,
    before: Expected,
    /// What it is known by, where it has to be known whether it was done.
    write: Option<String>,
    /// Whether a try before this may have done it.
    tried: bool,
}

impl Bucket {
    pub(super) fn new(connection: Connection, name: &str) -> Self {
        let shared = Arc::new(Shared {
            connection,
            name: format!("reef-{name}"),
            opened: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            max_value: AtomicUsize::new(MAX_VALUE),
            seen: Mutex::default(),
        });
        Self { shared }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Shared {
    /// The bucket, which is made if it is not there.
    pub(super) async fn opened(&self) -> Result<Opened, Failure> {
        // One that is known is of no use while the connection is lost.
        let client = self.connection.client().await?;
        if let Some(opened) = self.known() {
            return Ok(opened);
        }
        let mut was = self.opening.lock().await;
        if let Some(opened) = self.known() {
            return Ok(opened);
        }
        let context = self.connection.jetstream().await?;
        let newer = client.is_server_compatible(2, 11, 0);
        let wanted = Config {
            name: format!("KV_{}", self.name),
            description: Some("What is wanted of a lattice of Reef.".to_owned()),
            subjects: vec![self.subject(">")],
            max_messages_per_subject: 1,
            max_messages: -1,
            max_bytes: -1,
            max_message_size: -1,
            max_consumers: -1,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            // Any server that has a copy would answer, be it an old one.
            allow_direct: false,
            allow_message_ttl: newer,
            duplicate_window: Duration::from_secs(120),
            ..Config::default()
        };
        // That there is one changes nothing that is kept in it.
        let stream =
            super::stream(&self.connection, &context, wanted, &mut was).await.map_err(undone)?;
        let info = stream.cached_info();
        let mut most = client.server_info().max_payload;
        if let Ok(size @ 1..) = usize::try_from(info.config.max_message_size) {
            most = most.min(size);
        }
        self.max_value.store(most.saturating_sub(BESIDE), Ordering::Relaxed);
        let (made, expires) = (info.created, info.config.allow_message_ttl);
        let opened = Opened { context, stream, made, expires };
        // What was seen in another one says nothing of this.
        self.seen().clear();
        *self.slot() = Some(opened.clone());
        Ok(opened)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<Opened> {
        self.slot().clone()
    }

    /// Looks at the bucket anew when it is needed next: it may be gone.
    pub(super) fn forget(&self) {
        *self.slot() = None;
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (u64, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what this client has seen.
    pub(super) fn see(&self, key: &Key, revision: u64) {
        let now = Instant::now();
        let mut seen = self.seen();
        if seen.len() >= KEYS {
            seen.retain(|_, (_, at)| now.duration_since(*at) < KNOWN);
            if seen.len() >= KEYS {
                seen.clear();
            }
        }
        let known = seen.entry(key.clone()).or_insert((revision, now));
        if known.0 <= revision {
            *known = (revision, now);
        }
    }

    /// Whether a later revision than this was seen a while ago.
    fn is_old(&self, key: &Key, revision: u64) -> bool {
        let seen = self.seen();
        seen.get(key).is_some_and(|(known, at)| *known > revision && at.elapsed() < KNOWN)
    }

    pub(super) fn subject(&self, of: &str) -> String {
        format!("$KV.{}.{of}", self.name)
    }

    /// What a message of the bucket is about.
    pub(super) fn key(&self, subject: &str) -> Option<Key> {
        let of = subject.strip_prefix("$KV.")?.strip_prefix(&self.name)?.strip_prefix('.')?;
        Key::parse(of).ok()
    }

    /// The last that was said of a key, be it that it was deleted.
    async fn last(&self, key: &Key) -> Result<Option<StreamMessage>, Failure> {
        let opened = self.opened().await?;
        let subject = self.subject(key.as_str());
        let found = opened.stream.get_last_raw_message_by_subject(&subject).await;
        let error = match found {
            Ok(message) => {
                if !self.is_old(key, message.sequence) {
                    self.see(key, message.sequence);
                    return Ok(Some(message));
                }
                let behind = Failure::unreachable("a server of NATS answered with what is old");
                return Err(self.unless_another(&opened, behind).await);
            }
            Err(error) => error,
        };
        match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::JetStream(reason) if is_missing(&reason) => {
                self.forget();
                Err(Failure::unreachable("NATS: the bucket of the lattice was deleted"))
            }
            // It says nothing about anything that was to be done.
            LastRawMessageErrorKind::JetStream(reason) => Err(undone(failed(&reason))),
            _ => Err(undone(failed(&error))),
        }
    }

    /// If the bucket is another one than it was, it is looked at anew.
    async fn unless_another(&self, opened: &Opened, failure: Failure) -> Failure {
        let same = match opened.stream.get_info().await {
            Ok(info) => info.created == opened.made,
            Err(error) => !is_missing(&error),
        };
        if !same {
            self.forget();
        }
        failure
    }

    /// Publishes to a key.
    async fn write(
        &self,
        key: &Key,
        value: Bytes,
        expected: Option<u64>,
        as_write: Option<&str>,
        deletes: bool,
    ) -> Result<u64, Unwritten> {
        let opened = self.opened().await.map_err(Unwritten::Failed)?;
        let mut headers = HeaderMap::new();
        if let Some(write) = as_write {
            headers.insert(WRITE, write);
        }
        if let Some(expected) = expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
        }
        if deletes {
            headers.insert(OPERATION, "PURGE");
            headers.insert(NATS_ROLLUP, "sub");
            if opened.expires {
                headers.insert(NATS_MESSAGE_TTL, HeaderValue::from(REMEMBERED.as_secs()));
            }
        }
        // Behind a leaf node, a bucket of the same name may be nearer.
        let subject = match self.connection.domain() {
            Some(domain) => format!("$JS.{domain}.API.{}", self.subject(key.as_str())),
            None => self.subject(key.as_str()),
        };
        let size = value.len();
        let sent =
            async { opened.context.publish_with_headers(subject, headers, value).await?.await };
        match sent.await {
            Ok(acknowledged) => {
                self.see(key, acknowledged.sequence);
                Ok(acknowledged.sequence)
            }
            Err(error) => Err(self.unwritten(&error, size)),
        }
    }

    fn unwritten(&self, error: &PublishError, size: usize) -> Unwritten {
        Unwritten::Failed(match error.kind() {
            PublishErrorKind::WrongLastSequence => return Unwritten::Other,
            // By somebody else, or by a try of this before: the next one sees which.
            _ if is_being_written(error) => {
                Failure::unreachable("another write of it is under way")
            }
            // Nobody listens: it has no leader for now, or is gone.
            PublishErrorKind::StreamNotFound => {
                self.forget();
                Failure::unreachable("no server of NATS takes what is written to the lattice")
            }
            PublishErrorKind::MaxPayloadExceeded => {
                too_large(size, self.max_value.load(Ordering::Relaxed))
            }
            PublishErrorKind::MaxAckPending => Failure::TooMany(
                "too many writes to the lattice wait to be acknowledged".to_owned(),
            ),
            PublishErrorKind::TimedOut => Failure::Timeout(WITHIN),
            PublishErrorKind::BrokenPipe => Failure::lost(format!("NATS: {error}")),
            _ => failed(error),
        })
    }

    async fn try_put(&self, key: &Key, putting: &Putting) -> Result<u64, Failure> {
        let Putting { value, before, write: as_write, tried } = putting;
        let expected = match before {
            Expected::Any => None,
            Expected::Absent => Some(0),
            Expected::Revision(revision) => Some(*revision),
        };
        let as_write = as_write.as_deref();
        let write = self.write(key, value.clone(), expected, as_write, false).await;
        match write {
            Err(Unwritten::Other) if *before == Expected::Absent || *tried => {}
            other => return other.map_err(|error| error.into(key, *before)),
        }
        let last = self.last(key).await?;
        if let Some(last) = last.as_ref().filter(|last| is_there(last)) {
            let of = last.headers.get(WRITE).map(async_nats::HeaderValue::as_str);
            return match of.is_some() && of == as_write {
                // It is this one, of which no server said that it was done.
                true => Ok(last.sequence),
                false => Err(changed(key, *before)),
            };
        }
        if *before != Expected::Absent {
            return Err(changed(key, *before));
        }
        // That it was deleted is remembered as its last revision.
        let expected = last.map_or(0, |last| last.sequence);
        let write = self.write(key, value.clone(), Some(expected), as_write, false).await;
        match write {
            // The try before may have come through meanwhile: that is looked at.
            Err(Unwritten::Other) if *tried => Err(Failure::unreachable("it was written")),
            other => other.map_err(|error| error.into(key, *before)),
        }
    }

    async fn try_delete(&self, key: &Key, before: Expected) -> Result<(), Failure> {
        let Some(last) = self.last(key).await?.filter(is_there) else { return Ok(()) };
        let is = last.sequence;
        let as_expected = match before {
            Expected::Any => true,
            Expected::Absent => false,
            Expected::Revision(expected) => is == expected,
        };
        if !as_expected {
            return Err(changed(key, before));
        }
        let expected = (before != Expected::Any).then_some(is);
        let write = self.write(key, Bytes::new(), expected, None, true).await;
        write.map(drop).map_err(|error| error.into(key, before))
    }
}

impl Unwritten {
    fn into(self, key: &Key, before: Expected) -> Failure {
        match self {
            Self::Other => changed(key, before),
            Self::Failed(failure) => failure,
        }
    }
}

/// What a last try failed with, where an earlier one may have come through.
fn lost(failure: Failure) -> Failure {
    match failure {
        Failure::Unavailable { why, .. } => Failure::lost(why),
        other => other,
    }
}

/// Whether a message is a value, and not that there is none any more.
fn is_there(message: &StreamMessage) -> bool {
    let deleted = message.headers.get(OPERATION).is_some_and(|said| said.as_str() != "PUT");
    !deleted && message.headers.get(MARKER).is_none()
}

#[async_trait]
impl Store for Bucket {
    fn max_value(&self) -> usize {
        self.shared.max_value.load(Ordering::Relaxed)
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let mut patience = Patience::new(WITHIN);
        loop {
            match patience.bound_one(self.shared.last(key)).await {
                Ok(last) => {
                    return Ok(last.filter(is_there).map(|last| Entry {
                        key: key.clone(),
                        value: last.payload,
                        revision: last.sequence,
                    }));
                }
                Err(failure) if patience.whatever(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn put(&self, key: &Key, value: Bytes, before: Expected) -> Result<u64, Failure> {
        let mut patience = Patience::new(WITHIN);
        // Of what may overwrite anything, another try might overwrite what came after it.
        let write = (before != Expected::Any).then(|| format!("{:032x}", fastrand::u128(..)));
        let mut putting = Putting { value, before, write, tried: false };
        loop {
            let size = putting.value.len();
            if size > self.max_value() {
                return Err(too_large(size, self.max_value()));
            }
            let trying = self.shared.try_put(key, &putting);
            let done = match putting.write {
                Some(_) => patience.bound_one(trying).await,
                None => patience.bound(trying).await,
            };
            let failure = match done {
                // A try before may have come through, and have been replaced since: nobody knows.
                Err(Failure::Conflict(why)) if putting.tried => return Err(Failure::lost(why)),
                Err(failure) => failure,
                done => return done,
            };
            let certain = matches!(failure, Failure::Unavailable { maybe_done: false, .. });
            let may_try = certain || putting.write.is_some();
            putting.tried |= !certain;
            if !may_try || !patience.whatever(&failure).await {
                return Err(if putting.tried { lost(failure) } else { failure });
            }
        }
    }

    async fn delete(&self, key: &Key, before: Expected) -> Result<(), Failure> {
        let mut patience = Patience::new(WITHIN);
        let mut tried = false;
        loop {
            let trying = self.shared.try_delete(key, before);
            let done = match before {
                Expected::Any => patience.bound(trying).await,
                _ => patience.bound_one(trying).await,
            };
            let failure = match done {
                // A try before may have come through, and another value have been put since.
                Err(Failure::Conflict(why)) if tried && before != Expected::Absent => {
                    return Err(Failure::lost(why));
                }
                Err(failure) => failure,
                done => return done,
            };
            let certain = matches!(failure, Failure::Unavailable { maybe_done: false, .. });
            tried |= !certain;
            if !(certain || before != Expected::Any) || !patience.whatever(&failure).await {
                return Err(if tried { lost(failure) } else { failure });
            }
        }
    }

    async fn watch(&self, prefixes: &[&str]) -> Result<Changes, Failure> {
        Ok(Watched::begin(self.shared.clone(), prefixes_of(prefixes)?))
    }
}
