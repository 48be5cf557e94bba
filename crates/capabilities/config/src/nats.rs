//! In a key-value bucket of NATS JetStream: a name is a key.

use std::{
    error::Error as _,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_nats::jetstream::{
    ErrorCode,
    context::{GetStreamError, GetStreamErrorKind, KeyValueError},
    kv::{self, EntryErrorKind},
};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting, SettingError};
use reef_nats::{Connection, failed};

use crate::{
    Keys, MOST, Source, Store, Value,
    store::{CACHE, KEYS},
};

/// The link's own setting `bucket` is for what a guest names, and a source of values has nothing such.
const KV_BUCKET: Setting = Setting::new("kv-bucket", "the key-value bucket: `app-config`");

pub(crate) const BACKEND: Backend<Store> = Backend {
    name: "nats",
    system: "nats",
    settings: reef_nats::settings![KV_BUCKET, KEYS, CACHE],
    private: false,
    open,
};

/// Values that are read at once.
const AT_ONCE: usize = 16;

struct Nats {
    connection: Connection,
    bucket: String,
    opened: Mutex<Option<kv::Store>>,
}

fn open(opening: Opening<'_>) -> Result<Arc<Store>, OpenError> {
    let settings = opening.settings;
    let bucket = settings.required(&KV_BUCKET)?.trim().to_owned();
    if !bucket.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_')) {
        let why = "has other characters than letters, digits, `-` and `_`".to_owned();
        return Err(SettingError::Wrong { name: KV_BUCKET.name, why }.into());
    }
    let name = format!("reef/{}", opening.application);
    let connection = Connection::new(settings, opening.folder, &name, opening.runtime.clone())?;
    Store::open(Nats { connection, bucket, opened: Mutex::default() }, opening)
}

impl Nats {
    /// The bucket, which is looked for once.
    async fn bucket(&self) -> Result<kv::Store, Failure> {
        let jetstream = self.connection.jetstream().await?;
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened().clone() {
            return Ok(known);
        }
        let found = jetstream.get_key_value(self.bucket.as_str()).await.map_err(|error| {
            if is_missing(&error) {
                return Failure::Backend(format!(
                    "NATS has no key-value bucket `{}`: make it, or change `kv-bucket`",
                    self.bucket
                ));
            }
            failed(&error)
        })?;
        *opened() = Some(found.clone());
        Ok(found)
    }
}

/// Whether there is no such bucket.
fn is_missing(error: &KeyValueError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<GetStreamError>());
    cause.is_some_and(|cause| match cause.kind() {
        GetStreamErrorKind::JetStream(reason) => reason.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    })
}

/// Whether NATS takes it for a key.
fn is_key(name: &str) -> bool {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"-/_=.".contains(&c);
    name.bytes().all(known) && name.split('.').all(|token| !token.is_empty())
}

async fn read(bucket: &kv::Store, name: &str) -> Result<Option<Value>, Failure> {
    match bucket.get(name).await {
        Ok(value) => Ok(value.map(|value| Vec::from(value).into())),
        Err(error) if error.kind() == EntryErrorKind::TimedOut => Err(Failure::lost(error)),
        Err(error) => Err(failed(&error)),
    }
}

#[async_trait]
impl Source for Nats {
    async fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        if !is_key(name) {
            return Ok(None);
        }
        read(&self.bucket().await?, name).await
    }

    async fn all(&self, granted: &Keys) -> Result<Vec<(String, Value)>, Failure> {
        let bucket = self.bucket().await?;
        let keys = bucket.keys().await.map_err(|error| failed(&error))?;
        let keys = keys.try_filter(|name| std::future::ready(granted.grants(name)));
        let keys: Vec<String> =
            keys.take(MOST + 1).try_collect().await.map_err(|error| failed(&error))?;
        if keys.len() > MOST {
            return Err(Failure::Backend(format!("NATS has more than {MOST} values there")));
        }
        let bucket = &bucket;
        let each = keys.into_iter().map(|name| async move {
            let value = read(bucket, &name).await?;
            Ok::<_, Failure>(value.map(|value| (name, value)))
        });
        let read: Vec<_> =
            futures::stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_nats_takes_for_one() {
        for key in ["a", "db.password", "a/b", "A_b-c=1"] {
            assert!(is_key(key), "{key}");
        }
        for none in ["", ".", "a.", ".a", "a..b", "*", "a.>", "a b", "ä"] {
            assert!(!is_key(none), "{none}");
        }
    }
}
