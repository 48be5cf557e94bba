//! In Redis, Valkey, and what else speaks their protocol.
//!
//! A bucket's key is a string of Redis: `PREFIX BUCKET : KEY`, where the bucket's `%` and `:` are written as `%25` and
//! `%3A`. Nothing else is kept, so that others can read and write the same keys.
//!
//! A version is the digest of its value. That a value was changed and changed back is therefore not noticed.

mod names;

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use reef_capability::{
    Backend, Failure, OpenError, Opening, Setting, SettingError, TLS_CERT, TLS_KEY, TLS_ROOTS,
};
use reef_redis::{
    Client, CommandError, ConnectError, Server, matching,
    redis::{Cmd, FromRedisValue, Value, cmd},
};
use tokio::runtime::Handle;

use self::names::Names;
use crate::{Change, Entry, KeyValue, Page, SetOptions, Told, Version};

const URL: Setting =
    Setting::new("url", "the server: `redis://name:password@host:6379/0`, with TLS `rediss://…`");
const PREFIX: Setting = Setting::new("prefix", "what every key begins with: `shop:`");

pub(crate) const BACKEND: Backend<dyn KeyValue> = Backend {
    name: "redis",
    system: "redis",
    settings: &[URL, PREFIX, TLS_ROOTS, TLS_CERT, TLS_KEY],
    private: false,
    open,
};

/// How long the server may take to answer: less than a link's timeout, so that the failure says what was slow.
const ANSWERING: Duration = Duration::from_secs(4);
/// Looks for keys that one page may need: most keys of a database may be others'.
const LOOKS: usize = 32;
/// Digits of a digest.
const DIGEST: usize = 40;

/// A value and its digest.
const ENTRY: &str = "local v = redis.call('GET', KEYS[1]) \
                     if v then return {v, redis.sha1hex(v)} end return false";
/// Sets a value in place of the one of a digest.
const SWAP: &str = "local v = redis.call('GET', KEYS[1]) \
                    if not v or redis.sha1hex(v) ~= ARGV[1] then return 0 end \
                    redis.call('SET', KEYS[1], ARGV[2]) return 1";

#[derive(Debug)]
struct Redis {
    client: Client,
    names: Names,
    runtime: Handle,
}

fn open(opening: Opening<'_>) -> Result<Arc<dyn KeyValue>, OpenError> {
    static REQUIRED: Setting = URL;
    let server = Server::parse(opening.settings.required(&REQUIRED)?).map_err(|error| {
        // It does not repeat the address.
        SettingError::Wrong { name: URL.name, why: error.to_string() }
    })?;
    if !server.wants_tls() {
        opening.settings.no_tls("write `rediss://` in `url`")?;
    }
    let server = server.with_tls(opening.settings.tls(opening.folder)?.unwrap_or_default());
    let prefix = opening.settings.get(PREFIX.name).unwrap_or_default().to_owned();
    let runtime = opening.runtime.clone();
    let client = Client::new(server, ANSWERING, runtime.clone());
    Ok(Arc::new(Redis { client, names: Names::new(prefix), runtime }))
}

impl Redis {
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.client.ask(command).await.map_err(|error| failure(&self.client, error))
    }

    fn key(&self, bucket: &str, key: &str) -> String {
        self.names.key(bucket, key)
    }

    /// Whether the server is set to tell of changes. One that does not say is believed to be.
    async fn tells(&self) -> Result<(), Failure> {
        let mut command = cmd("CONFIG");
        command.arg("GET").arg("notify-keyspace-events");
        let flags = match self.client.ask::<Vec<String>>(&command).await {
            Ok(pair) => pair.into_iter().nth(1).unwrap_or_default(),
            Err(CommandError::Refused { .. }) => "KA".to_owned(),
            Err(error) => return Err(failure(&self.client, error)),
        };
        let all = flags.contains('A') || "g$x".chars().all(|flag| flags.contains(flag));
        if !flags.contains('K') || !all {
            let why = "the Redis server tells nobody of changes; add to its configuration: notify-keyspace-events Kg$xe";
            return Err(Failure::Unsupported(why.to_owned()));
        }
        Ok(())
    }
}

/// What an error means to who asked.
fn failure(client: &Client, error: CommandError) -> Failure {
    let server = client.server();
    match error {
        CommandError::Connect(ConnectError::Refused(why)) => {
            Failure::unreachable(format!("Redis at {server} refuses the link: {why}"))
        }
        CommandError::Connect(error) => Failure::unreachable(format!("Redis at {server}: {error}")),
        CommandError::Lost(why) => Failure::lost(format!("Redis at {server}: {why}")),
        CommandError::Timeout(limit) => Failure::Timeout(limit),
        CommandError::Garbage(why) => Failure::Backend(format!("Redis at {server}: {why}")),
        CommandError::Refused { code, text } => match code.as_str() {
            "OOM" => Failure::Full(text),
            "NOPERM" | "NOAUTH" | "WRONGPASS" => Failure::Denied(text),
            // Nothing was done.
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "READONLY" => {
                Failure::unreachable(text)
            }
            "MISCONF" => Failure::Full(text),
            _ if text.contains("not an integer") => {
                Failure::Invalid("the value is no whole number of 64 bits".to_owned())
            }
            _ if text.contains("overflow") => {
                let why = "the sum is beyond what a number of 64 bits can hold";
                Failure::Invalid(why.to_owned())
            }
            _ => Failure::Backend(format!("Redis at {server}: {text}")),
        },
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl KeyValue for Redis {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, Failure> {
        let value: Option<Vec<u8>> = self.ask(cmd("GET").arg(self.key(bucket, key))).await?;
        Ok(value.map(Bytes::from))
    }

    async fn entry(&self, bucket: &str, key: &str) -> Result<Option<Entry>, Failure> {
        let mut command = cmd("EVAL");
        command.arg(ENTRY).arg(1).arg(self.key(bucket, key));
        let found: Option<(Vec<u8>, Vec<u8>)> = self.ask(&command).await?;
        Ok(found
            .map(|(value, digest)| Entry { value: value.into(), version: Version(digest.into()) }))
    }

    async fn exists(&self, bucket: &str, key: &str) -> Result<bool, Failure> {
        self.ask(cmd("EXISTS").arg(self.key(bucket, key))).await
    }

    async fn set_with(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        options: SetOptions,
    ) -> Result<bool, Failure> {
        let mut command = cmd("SET");
        command.arg(self.key(bucket, key)).arg(&*value);
        if let Some(time) = options.expires {
            command.arg("PX").arg(milliseconds(time));
        }
        if options.if_absent {
            command.arg("NX");
        }
        // Nothing at all says that it was not set.
        Ok(self.ask::<Value>(&command).await? != Value::Nil)
    }

    async fn delete(&self, bucket: &str, key: &str) -> Result<(), Failure> {
        self.ask::<Value>(cmd("DEL").arg(self.key(bucket, key))).await.map(drop)
    }

    async fn swap(
        &self,
        bucket: &str,
        key: &str,
        expected: Option<&Version>,
        value: Bytes,
    ) -> Result<bool, Failure> {
        let Some(Version(digest)) = expected else {
            let options = SetOptions { expires: None, if_absent: true };
            return self.set_with(bucket, key, value, options).await;
        };
        if digest.len() != DIGEST {
            return Ok(false);
        }
        let mut command = cmd("EVAL");
        command.arg(SWAP).arg(1).arg(self.key(bucket, key)).arg(&**digest).arg(&*value);
        self.ask(&command).await
    }

    async fn add(&self, bucket: &str, key: &str, delta: i64) -> Result<i64, Failure> {
        self.ask(cmd("INCRBY").arg(self.key(bucket, key)).arg(delta)).await
    }

    async fn keys(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
    ) -> Result<Page, Failure> {
        let foreign = || Failure::Invalid("the cursor is of no listing of this store".to_owned());
        let from = from.map(str::parse::<u64>).transpose().map_err(|_| foreign())?;
        let mut cursor = from.unwrap_or(0);
        let pattern = self.names.pattern(bucket, prefix);
        let (mut keys, mut known) = (Vec::new(), HashSet::new());
        for _ in 0..LOOKS {
            let mut command = cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(most);
            command.arg("TYPE").arg("string");
            let (next, found): (u64, Vec<Vec<u8>>) = self.ask(&command).await?;
            // One that is no text is none of ours.
            let found = found.iter().filter_map(|name| std::str::from_utf8(name).ok());
            for key in found.filter_map(|name| self.names.read(bucket, name)) {
                if known.insert(key.to_owned()) {
                    keys.push(key.to_owned());
                }
            }
            cursor = next;
            if cursor == 0 || keys.len() >= most.div_ceil(2) {
                break;
            }
        }
        Ok(Page { keys, next: (cursor != 0).then(|| cursor.to_string()) })
    }

    async fn get_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<Option<Bytes>>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("MGET");
        for key in keys {
            command.arg(self.key(bucket, key));
        }
        let values: Vec<Option<Vec<u8>>> = self.ask(&command).await?;
        if values.len() != keys.len() {
            let why = format!("Redis answered {} values to {} keys", values.len(), keys.len());
            return Err(Failure::Backend(why));
        }
        Ok(values.into_iter().map(|value| value.map(Bytes::from)).collect())
    }

    async fn set_many(&self, bucket: &str, entries: Vec<(String, Bytes)>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut command = cmd("MSET");
        for (key, value) in &entries {
            command.arg(self.key(bucket, key)).arg(&**value);
        }
        self.ask::<Value>(&command).await.map(drop)
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut command = cmd("DEL");
        for key in keys {
            command.arg(self.key(bucket, key));
        }
        self.ask::<Value>(&command).await.map(drop)
    }

    async fn watch(&self, bucket: &str) -> Result<BoxStream<'static, Told>, Failure> {
        self.tells().await?;
        let server = self.client.server();
        let space = format!("__keyspace@{}__:", server.database());
        let pattern = format!("{space}{}", self.names.pattern(bucket, ""));
        let messages = matching(server, &pattern, &self.runtime).await;
        let messages = messages.map_err(|error| failure(&self.client, error.into()))?;
        let (client, names, bucket) = (self.client.clone(), self.names.clone(), bucket.to_owned());
        // A message says that something happened, and not what there is now.
        let changes = stream::unfold(messages, move |mut messages| {
            let (client, names) = (client.clone(), names.clone());
            let (space, bucket) = (space.clone(), bucket.clone());
            async move {
                loop {
                    let missed = messages.missed();
                    if missed > 0 {
                        return Some((Told::Missed(missed), messages));
                    }
                    let (channel, event) = messages.recv().await?;
                    let name = std::str::from_utf8(&channel).ok();
                    let name = name.and_then(|channel| channel.strip_prefix(&space));
                    let Some(key) = name.and_then(|name| names.read(&bucket, name)) else {
                        continue;
                    };
                    let key = key.to_owned();
                    let gone = [&b"del"[..], b"expired", b"evicted", b"rename_from", b"move_from"];
                    if gone.contains(&&*event) {
                        return Some((Told::Changed(Change { key, value: None }), messages));
                    }
                    if *event == *b"expire" || *event == *b"persist" {
                        continue;
                    }
                    let command = cmd("GET").arg(names.key(&bucket, &key)).clone();
                    match client.ask::<Option<Vec<u8>>>(&command).await {
                        // Gone again: the message that says so is on its way.
                        Ok(None) => {}
                        Ok(Some(value)) => {
                            let change = Change { key, value: Some(value.into()) };
                            return Some((Told::Changed(change), messages));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "What changed in Redis cannot be read.");
                            return None;
                        }
                    }
                }
            }
        });
        Ok(changes.boxed())
    }
}
