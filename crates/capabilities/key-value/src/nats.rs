//! In JetStream's key-value stores, at NATS 2.10 and newer.
//!
//! A bucket is a bucket there, which is made when it is first used if the link allows that; a key is a key. What NATS
//! does not take in names is written so that it does. A version is a revision. Values expire where the server is
//! 2.11 or newer and the bucket was made for that, as those are that are made here.

mod dated;
mod listing;
mod names;
mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    HeaderMap, HeaderValue, Request, RequestErrorKind, StatusCode,
    jetstream::{
        self, ErrorCode,
        context::{Context, KeyValueError, PublishErrorKind},
        kv::{Config, Store},
        message::StreamMessage,
        stream::{DirectGetErrorKind, LastRawMessageErrorKind},
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting, SettingError};
use reef_nats::{Connection, Patience, UNLED, failed, is_conflict, jetstream_error, unreached};

use crate::{Dated, Entry, KeyValue, Page, SetOptions, Told, Version, sum};

const PREFIX: Setting = Setting::new("prefix", "what the names of all buckets begin with: `shop-`");
const REPLICAS: Setting =
    Setting::new("replicas", "on how many servers a bucket that is made is kept: `1`");
const CREATE: Setting =
    Setting::new("create-buckets", "`false` if buckets are there, and never made by Reef");

pub(crate) const BACKEND: Backend<dyn KeyValue> = Backend {
    name: "nats",
    system: "nats",
    settings: reef_nats::settings![PREFIX, REPLICAS, CREATE],
    private: false,
    open,
};

const OPERATION: &str = "KV-Operation";
const MARKER: &str = "Nats-Marker-Reason";
const TTL: &str = "Nats-TTL";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const ROLLUP: &str = "Nats-Rollup";

/// How long it is remembered that a key was deleted, where that can be said: whoever watches is told at once.
const MARKED: Duration = Duration::from_secs(3600);
/// Buckets that are known.
const KNOWN: usize = 1024;
/// Keys of a batch that are asked for at once.
const AT_ONCE: usize = 32;
/// All keys of a bucket, in the words of NATS.
const ALL: &str = ">";
/// Tries of a sum that others come before.
const SUMS: usize = 1000;

#[derive(Debug)]
struct Nats {
    connection: Connection,
    prefix: String,
    replicas: usize,
    create: bool,
    known: Mutex<HashMap<String, Arc<Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    store: Store,
    context: jetstream::Context,
    /// Whether values may expire.
    expires: bool,
    /// What a key is asked for at, where any server that has the bucket may be asked: there is only one.
    direct: Option<String>,
    /// Whether only the last value of a key is there.
    last_only: bool,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn KeyValue>, OpenError> {
    let settings = opening.settings;
    let runtime = opening.runtime.clone();
    let connection = Connection::new(settings, opening.folder, "reef key-value", runtime)?;
    let replicas = settings.parsed(REPLICAS.name)?.unwrap_or(1);
    let prefix = settings.get(PREFIX.name).unwrap_or_default().to_owned();
    let wrong =
        |name, why: &str| OpenError::from(SettingError::Wrong { name, why: why.to_owned() });
    if !(1..=5).contains(&replicas) {
        return Err(wrong(REPLICAS.name, "is none of 1 to 5"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if prefix.len() > 100 || !prefix.chars().all(plain) {
        return Err(wrong(PREFIX.name, "is more than 100 letters, digits, `-` and `_`"));
    }
    let create = settings.flag(CREATE.name)?.unwrap_or(true);
    Ok(Arc::new(Nats { connection, prefix, replicas, create, known: Mutex::default() }))
}

impl Nats {
    /// A bucket, which is made if it is not there.
    async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Failure> {
        // One that is known is of no use while the connection is lost.
        let client = self.connection.ready().await?;
        if let Some(known) = self.known().get(name) {
            return Ok(known.clone());
        }
        let called = names::bucket(&self.prefix, name).ok_or_else(|| {
            Failure::Invalid("the bucket's name is longer than NATS takes".to_owned())
        })?;
        let context = self.connection.jetstream().await?;
        let newer = newer(&client.server_info().version);
        let mut patience = Patience::new(UNLED);
        let store = loop {
            match patience.bound_one(self.open(&context, &called, newer)).await {
                Ok(store) => break store,
                // Of several servers, some may not know of it yet.
                Err(failure) if patience.whatever(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        };
        let config = &store.stream.cached_info().config;
        let direct = config.allow_direct && config.num_replicas <= 1 && config.mirror.is_none();
        let bucket = Arc::new(Bucket {
            expires: config.allow_message_ttl,
            // ADR-31: a request without a body, for the last message of the subject in its own.
            direct: direct
                .then(|| format!("{}.DIRECT.GET.{}.{}", self.api(), config.name, store.prefix)),
            last_only: config.max_messages_per_subject == 1,
            store,
            context,
        });
        let mut known = self.known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(name.to_owned(), bucket.clone());
        Ok(bucket)
    }

    /// One try of it.
    async fn open(&self, context: &Context, called: &str, newer: bool) -> Result<Store, Failure> {
        let missing = |error: &KeyValueError| {
            jetstream_error(error)
                .is_some_and(|reason| reason.error_code() == ErrorCode::STREAM_NOT_FOUND)
        };
        match context.get_key_value(called).await {
            Err(error) if missing(&error) => {}
            found => return found.map_err(|error| failed(&error)),
        }
        if !self.create {
            return Err(Failure::NotFound { what: "bucket", name: called.to_owned() });
        }
        let config = Config {
            bucket: called.to_owned(),
            history: 1,
            num_replicas: self.replicas,
            limit_markers: newer.then_some(MARKED),
            ..Config::default()
        };
        match context.create_key_value(config).await {
            Ok(_) => {}
            // Another host was faster.
            Err(error)
                if jetstream_error(&error)
                    .is_some_and(|reason| reason.error_code() == ErrorCode::STREAM_NAME_EXIST) => {}
            Err(error) => return Err(failed(&error)),
        }
        context.get_key_value(called).await.map_err(|error| match missing(&error) {
            true => Failure::unreachable("NATS: the bucket that was just made is not there yet"),
            false => failed(&error),
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Bucket>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What requests to JetStream begin with: the library keeps it to itself.
    fn api(&self) -> String {
        match self.connection.domain() {
            Some(domain) => format!("$JS.{domain}.API"),
            None => "$JS.API".to_owned(),
        }
    }

    /// The value of a key, by the shortest way: what [`last`](Self::last) finds, without all that is said of it.
    /// None where it is to be asked for again, by that one.
    async fn value(&self, direct: &str, key: &str) -> Result<Option<Option<Bytes>>, Failure> {
        let client = self.connection.ready().await?;
        let subject = format!("{direct}{}", names::key(key));
        let answer = client.send_request(subject, Request::new()).await;
        let message = match answer {
            Ok(message) => message,
            Err(error) if error.kind() == RequestErrorKind::TimedOut => return Err(failed(&error)),
            Err(_) => return Ok(None),
        };
        Ok(match (message.status, &message.headers) {
            (Some(StatusCode::NOT_FOUND), _) => Some(None),
            (Some(_), _) | (None, None) => None,
            (None, Some(headers)) => Some(is_value(headers).then_some(message.payload)),
        })
    }

    /// What there is of a key, be it that it was deleted.
    async fn last(&self, name: &str, key: &str) -> Result<Option<StreamMessage>, Failure> {
        self.newest(name, &names::key(key)).await
    }

    /// What was written last to any of the keys, be it that it was deleted. `keys`: in the words of NATS.
    async fn newest(&self, name: &str, keys: &str) -> Result<Option<StreamMessage>, Failure> {
        let mut patience = Patience::new(UNLED);
        loop {
            let bucket = self.bucket(name).await?;
            match patience.bound_one(bucket.newest(keys)).await {
                Err(failure) => {
                    // It may have been deleted, and is then made again. Or no server leads it for now.
                    self.known().remove(name);
                    if !patience.whatever(&failure).await {
                        return Err(failure);
                    }
                }
                found => return found,
            }
        }
    }

    /// Writes to a key, if its last revision is the expected one. `false` if not.
    async fn write(
        &self,
        name: &str,
        key: &str,
        value: Bytes,
        mut headers: HeaderMap,
        expected: Option<u64>,
    ) -> Result<bool, Failure> {
        if let Some(expected) = expected {
            headers.insert(EXPECTED, HeaderValue::from(expected));
        }
        let mut patience = Patience::new(UNLED);
        loop {
            let bucket = self.bucket(name).await?;
            match self.try_write(&bucket, key, value.clone(), headers.clone()).await {
                Ok(Some(written)) => return Ok(written),
                // No server has it: who led it has ended, or it was just made and nobody does yet. Or it is gone.
                Ok(None) => {
                    self.known().remove(name);
                    let failure = Failure::unreachable("no server of NATS takes what is written");
                    if !patience.again(&failure).await {
                        return Err(failure);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// One try of it. None where no server took it.
    async fn try_write(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        headers: HeaderMap,
    ) -> Result<Option<bool>, Failure> {
        let store = &bucket.store;
        let mut subject = String::new();
        if store.use_jetstream_prefix {
            subject = self.api();
            subject.push('.');
        }
        subject.push_str(store.put_prefix.as_ref().unwrap_or(&store.prefix));
        subject.push_str(&names::key(key));
        let size = value.len() as u64;
        let sent =
            async { bucket.context.publish_with_headers(subject, headers, value).await?.await };
        let Err(error) = sent.await else { return Ok(Some(true)) };
        match error.kind() {
            _ if is_conflict(&error) => Ok(Some(false)),
            PublishErrorKind::StreamNotFound => Ok(None),
            PublishErrorKind::MaxPayloadExceeded => {
                let client = self.connection.ready().await?;
                let most = client.server_info().max_payload as u64;
                Err(Failure::TooLarge { what: "value", is: size, most })
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                Err(Failure::lost(format!("NATS: {error}")))
            }
            _ => Err(failed(&error)),
        }
    }

    /// What says that a value expires.
    async fn expiry(&self, name: &str, options: SetOptions) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(time) = options.expires {
            let bucket = self.bucket(name).await?;
            if !bucket.expires {
                let version = self.connection.ready().await?.server_info().version;
                let why = if newer(&version) {
                    "values of this bucket cannot expire: it was made without `allow_msg_ttl`"
                        .to_owned()
                } else {
                    format!("values cannot expire at NATS {version}: that is so from 2.11 on")
                };
                return Err(Failure::Unsupported(why));
            }
            headers.insert(TTL, HeaderValue::from(seconds(time)));
        }
        Ok(headers)
    }

    /// Gives a key its first value. `false` if it has one.
    async fn create(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        headers: HeaderMap,
    ) -> Result<bool, Failure> {
        if self.write(bucket, key, value.clone(), headers.clone(), Some(0)).await? {
            return Ok(true);
        }
        // That it was deleted is remembered as its last revision.
        match self.last(bucket, key).await? {
            Some(last) if is_there(&last) => Ok(false),
            last => {
                let expected = last.map_or(0, |last| last.sequence);
                self.write(bucket, key, value, headers, Some(expected)).await
            }
        }
    }
}

impl Bucket {
    /// What was written last to any of the keys, be it that it was deleted, as the server knows it that leads.
    async fn newest(&self, keys: &str) -> Result<Option<StreamMessage>, Failure> {
        let subject = format!("{}{keys}", self.store.prefix);
        let stream = &self.store.stream;
        if self.direct.is_some() {
            return match stream.direct_get_last_for_subject(subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
                Err(error) => Err(unreached(failed(&error))),
            };
        }
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unreached(failed(&error))),
        }
    }
}

/// Whether a server knows of values that expire.
fn newer(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 11)
}

/// A time in seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Whether a message is a value, and not that there is none any more.
fn is_there(message: &StreamMessage) -> bool {
    is_value(&message.headers)
}

fn is_value(headers: &HeaderMap) -> bool {
    let deleted = headers.get(OPERATION).is_some_and(|said| said.as_str() != "PUT");
    !deleted && headers.get(MARKER).is_none()
}

fn version(sequence: u64) -> Version {
    Version(Bytes::copy_from_slice(&sequence.to_be_bytes()))
}

#[async_trait]
impl KeyValue for Nats {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        if let Some(direct) = &self.bucket(bucket).await?.direct
            && let Some(value) = self.value(direct, key).await?
        {
            return Ok(value);
        }
        let last = self.last(bucket, key).await?;
        Ok(last.filter(is_there).map(|last| last.payload))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        let last = self.last(bucket, key).await?.filter(is_there);
        Ok(last.map(|last| Entry { version: version(last.sequence), value: last.payload }))
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let headers = self.expiry(bucket, options).await?;
        if options.if_absent {
            return self.create(bucket, key, value, headers).await;
        }
        self.write(bucket, key, value, headers, None).await
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "PURGE");
        headers.insert(ROLLUP, "sub");
        if self.bucket(bucket).await?.expires {
            headers.insert(TTL, HeaderValue::from(MARKED.as_secs()));
        }
        self.write(bucket, key, Bytes::new(), headers, None).await.map(drop)
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let Some(Version(expected)) = expected else {
            return self.create(bucket, key, value, HeaderMap::new()).await;
        };
        let Ok(expected) = <[u8; 8]>::try_from(&**expected) else { return Ok(false) };
        let expected = u64::from_be_bytes(expected);
        self.write(bucket, key, value, HeaderMap::new(), Some(expected)).await
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        for _ in 0..SUMS {
            let last = self.last(bucket, key).await?;
            let now = last.as_ref().filter(|last| is_there(last));
            let sum = sum(now.map(|now| &*now.payload), delta)?;
            let mut headers = HeaderMap::new();
            if let Some(now) = now
                && let Some(ttl) = now.headers.get(TTL)
            {
                // What is left of its time.
                let age = (async_nats::datetime::now() - now.time).whole_seconds();
                let left = match (ttl.as_str().parse::<u64>(), u64::try_from(age)) {
                    (Ok(ttl), Ok(age)) => HeaderValue::from(ttl.saturating_sub(age).max(1)),
                    _ => ttl.clone(),
                };
                headers.insert(TTL, left);
            }
            let expected = last.as_ref().map_or(0, |last| last.sequence);
            let value = Bytes::from(sum.to_string());
            if self.write(bucket, key, value, headers, Some(expected)).await? {
                return Ok(sum);
            }
            // Those that came together do not come together again.
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..2000))).await;
        }
        Err(Failure::Conflict(format!("others changed the key before {SUMS} times in a row")))
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let foreign = || Failure::Invalid("the cursor is of no listing of this store".to_owned());
        let from: u64 = from.map(str::parse).transpose().map_err(|_| foreign())?.unwrap_or(0);
        let mut patience = Patience::new(UNLED);
        loop {
            let known = self.bucket(bucket).await?;
            // Of several servers one lists that may not have heard yet what was written before it was asked.
            let newest = match known.direct {
                Some(_) => 0,
                None => self.newest(bucket, ALL).await?.map_or(0, |newest| newest.sequence),
            };
            if let Some(page) = self.listed(&known, prefix, from, most, newest).await? {
                return Ok(page);
            }
            let failure = Failure::unreachable(
                "NATS: the server that lists a bucket lags behind the one that leads it",
            );
            if !patience.again(&failure).await {
                return Err(failure);
            }
        }
    }

    async fn get_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Bytes>>, Failure> {
        let each: Vec<_> = keys.iter().map(|key| self.get(bucket, key)).collect();
        stream::iter(each).buffered(AT_ONCE).try_collect().await
    }

    async fn set_many(&self, bucket: &str, entries: Vec<(String, Bytes)>) -> Result<(), Failure> {
        // The last one of a key counts, whichever is written last.
        let entries: HashMap<String, Bytes> = entries.into_iter().collect();
        let set = |(key, value): (String, Bytes)| async move {
            self.write(bucket, &key, value, HeaderMap::new(), None).await.map(drop)
        };
        let each: Vec<_> = entries.into_iter().map(set).collect();
        stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<(), Failure> {
        let each: Vec<_> = keys.iter().map(|key| self.delete(bucket, key)).collect();
        stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await
    }

    fn is_dated(&self) -> bool {
        true
    }

    async fn dated(&self, bucket: &str, key: &str) -> Result<Option<Dated>, Failure> {
        let last = self.last(bucket, key).await?;
        Ok(last.map(|last| dated::read(&last)))
    }

    async fn set_dated(
        &self,
        bucket: &str,
        key: &str,
        write: Dated,
        expected: Option<Option<&Version>>,
    ) -> Result<bool, Failure> {
        self.write_dated(bucket, key, write, expected).await
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        watch::watch(&*self.bucket(bucket).await?, self.connection.clone()).await
    }
}
