//! Blobs in NATS, as its object stores have them: any client of NATS can read and write them, too.
//!
//! A container is an object store, which is a JetStream stream: an object's pieces are messages on a subject of
//! this version's own, and what is known of it is the last message on a subject of its name's own. A version is
//! there when that message is; it says which one it takes the place of, so that the pieces of that one, and of no
//! other, are removed.

mod reading;
mod upload;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::{
    HeaderMap,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_ROLLUP},
    jetstream::{
        Context, ErrorCode,
        context::{CreateStreamErrorKind, GetStreamErrorKind, PublishError, PublishErrorKind},
        object_store::{Config, ObjectInfo as Meta},
        stream::{LastRawMessageErrorKind, StorageType, Stream},
    },
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reef_capability::{Backend, Failure, OpenError, Opening, Setting, SettingError};
use reef_nats::{Connection, Patience, UNLED, failed, is_conflict};

use crate::store::{
    At, BlobStore, ContainerInfo, MAX_OBJECT, Names, ObjectInfo, Reading, Removed, Upload,
    container_exists, no_container, no_object,
};
use reading::{Listing, Pieces};
use upload::Writing;

const PREFIX: Setting = Setting::new("prefix", "what all object stores' names begin with");
const REPLICAS: Setting = Setting::new("replicas", "copies of each new container: `1`");
const MAX_BYTES: Setting = Setting::new("max-bytes", "how much each new container holds");

/// Blobs in NATS.
pub(crate) const BACKEND: Backend<dyn BlobStore> = Backend {
    name: "nats",
    system: "nats",
    settings: reef_nats::settings![PREFIX, REPLICAS, MAX_BYTES, MAX_OBJECT],
    private: false,
    open,
};

/// Bytes of one message, as other clients have it.
const PIECE: usize = 128 << 10;
/// Objects that one call of a removal removes at most.
const REMOVALS: usize = 100;
/// Objects that are removed at once.
const AHEAD: usize = 16;
/// How often the last word on an object is tried for, against others who write the same one.
const TRIES: usize = 50;
/// Between two of these: on a cluster, the other one may be on its way yet.
const APART: Duration = Duration::from_millis(5);

fn open(opening: Opening<'_>) -> Result<Arc<dyn BlobStore>, OpenError> {
    let settings = opening.settings;
    let wrong =
        |name, why: &str| OpenError::Setting(SettingError::Wrong { name, why: why.to_owned() });
    let replicas = settings.parsed::<usize>(REPLICAS.name)?.unwrap_or(1);
    if !matches!(replicas, 1 | 3 | 5) {
        return Err(wrong(REPLICAS.name, "is not 1, 3 or 5"));
    }
    let max_bytes = settings.size(MAX_BYTES.name)?.map(i64::try_from).transpose();
    let max_bytes = max_bytes.map_err(|_| wrong(MAX_BYTES.name, "is too large"))?;
    let prefix = settings.get(PREFIX.name).unwrap_or_default().to_owned();
    if !prefix.is_empty() && !is_bucket(&prefix) {
        return Err(wrong(PREFIX.name, "has other characters than letters, digits, `-` and `_`"));
    }
    let (folder, runtime) = (opening.folder, opening.runtime.clone());
    let name = format!("reef/{}", opening.application);
    Ok(Arc::new(Nats {
        connection: Connection::new(settings, folder, &name, runtime)?,
        prefix,
        replicas,
        max_bytes: max_bytes.unwrap_or(-1),
        max_object: settings.size(MAX_OBJECT.name)?,
    }))
}

struct Nats {
    connection: Connection,
    prefix: String,
    replicas: usize,
    max_bytes: i64,
    max_object: Option<u64>,
}

/// An object store, which may not be there.
#[derive(Clone)]
struct Bucket {
    context: Context,
    stream: Stream<()>,
    name: String,
    /// What the guest calls it.
    container: String,
}

impl Nats {
    fn bucket_name(&self, container: &str) -> Result<String, Failure> {
        let name = format!("{}{container}", self.prefix);
        if is_bucket(&name) {
            return Ok(name);
        }
        Err(Failure::Invalid(format!(
            "NATS cannot have an object store called {name:?}: only letters, digits, `-` and `_`"
        )))
    }

    async fn bucket(&self, container: &str) -> Result<Bucket, Failure> {
        let name = self.bucket_name(container)?;
        let context = self.connection.jetstream().await?;
        let stream = context.get_stream_no_info(format!("OBJ_{name}")).await;
        let stream = stream.map_err(|error| failed(&error))?;
        Ok(Bucket { context, stream, name, container: container.to_owned() })
    }
}

impl Bucket {
    fn meta_subject(&self, object: &str) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(object))
    }

    fn pieces_subject(&self, version: &str) -> String {
        format!("$O.{}.C.{version}", self.name)
    }

    /// What was last said of an object, and where in the stream.
    async fn last(&self, object: &str) -> Result<Option<(Meta, u64)>, Failure> {
        let message = self.stream.get_last_raw_message_by_subject(&self.meta_subject(object)).await;
        let message = match message {
            Ok(message) => message,
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => return Ok(None),
                LastRawMessageErrorKind::JetStream(reason) => return Err(self.reason(&reason)),
                _ => return Err(failed(&error)),
            },
        };
        let meta = serde_json::from_slice(&message.payload).map_err(|error| {
            Failure::Backend(format!(
                "what NATS has of the object `{object}` is no description: {error}"
            ))
        })?;
        Ok(Some((meta, message.sequence)))
    }

    async fn found(&self, object: &str) -> Result<Meta, Failure> {
        match self.last(object).await? {
            Some((meta, _)) if !meta.deleted => Ok(meta),
            _ => Err(no_object(object)),
        }
    }

    /// Has the last word on an object, and removes the pieces of the version before.
    async fn say(&self, meta: &Meta) -> Result<(), Failure> {
        let said = serde_json::to_vec(meta).map_err(|error| Failure::Backend(error.to_string()))?;
        let subject = self.meta_subject(&meta.name);
        let mut patience = Patience::new(UNLED);
        for _ in 0..TRIES {
            let before = self.last(&meta.name).await?;
            let at = before.as_ref().map_or(0, |(_, at)| *at);
            if meta.deleted && before.as_ref().is_none_or(|(before, _)| before.deleted) {
                return Ok(());
            }
            let mut headers = HeaderMap::new();
            headers.insert(NATS_ROLLUP, "sub");
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, at.to_string().as_str());
            let published =
                self.context.publish_with_headers(subject.clone(), headers, said.clone().into());
            let done = match published.await {
                Ok(acknowledged) => acknowledged.await,
                Err(error) => Err(error),
            };
            match done {
                Ok(_) => {
                    if let Some((before, _)) = before.filter(|(before, _)| before.nuid != meta.nuid)
                    {
                        self.forget(&before.nuid).await;
                    }
                    return Ok(());
                }
                // Somebody else was quicker: what is before is another one now.
                Err(error) if is_conflict(&error) => tokio::time::sleep(APART).await,
                Err(error) if self.is_led_soon(&error, &mut patience).await? => {}
                Err(error) => return Err(self.unpublished(&error)),
            }
        }
        let (name, container) = (&meta.name, &self.container);
        Err(Failure::Conflict(format!("others write `{name}` in `{container}` all the time")))
    }

    async fn delete(&self, object: &str) -> Result<(), Failure> {
        let Some((mut meta, _)) = self.last(object).await?.filter(|(meta, _)| !meta.deleted) else {
            return Ok(());
        };
        // Of no version: the pieces of the one before go.
        (meta.deleted, meta.size, meta.chunks) = (true, 0, 0);
        meta.nuid = String::new();
        meta.digest = None;
        self.say(&meta).await
    }

    /// Some at a time: each takes a few questions and answers.
    async fn delete_all(&self, objects: Vec<String>) -> Result<(), Failure> {
        let delete = |object: String| async move { self.delete(&object).await };
        stream::iter(objects).map(delete).buffer_unordered(AHEAD).try_collect().await
    }

    /// Removes the pieces of a version that is no object's.
    async fn forget(&self, version: &str) {
        if version.is_empty() {
            return;
        }
        let gone = self.stream.purge().filter(self.pieces_subject(version)).await;
        if let Err(error) = gone {
            tracing::warn!(bucket = self.name, version, %error, "Pieces of an object that was replaced stay in NATS.");
        }
    }

    /// Whether what no server took is to be published again: the container is there, and was just made in a cluster of
    /// which no server leads it yet, or has lost the one that did.
    async fn is_led_soon(
        &self,
        error: &PublishError,
        patience: &mut Patience,
    ) -> Result<bool, Failure> {
        if error.kind() != PublishErrorKind::StreamNotFound {
            return Ok(false);
        }
        self.created_within(patience).await?;
        Ok(patience.again(&Failure::unreachable(error)).await)
    }

    fn unpublished(&self, error: &PublishError) -> Failure {
        match error.kind() {
            PublishErrorKind::StreamNotFound => no_container(&self.container),
            PublishErrorKind::TimedOut => Failure::lost("NATS did not acknowledge in time"),
            _ => failed(error),
        }
    }

    fn reason(&self, reason: &async_nats::jetstream::Error) -> Failure {
        match reason.error_code() {
            ErrorCode::STREAM_NOT_FOUND => no_container(&self.container),
            _ => failed(reason),
        }
    }

    /// When it was made. Of a cluster, nobody says so before a server leads it.
    async fn created(&self) -> Result<SystemTime, Failure> {
        self.created_within(&mut Patience::new(UNLED)).await
    }

    async fn created_within(&self, patience: &mut Patience) -> Result<SystemTime, Failure> {
        let name = format!("OBJ_{}", self.name);
        loop {
            let ask = async {
                match self.context.get_stream(&name).await {
                    Ok(stream) => Ok(stream.cached_info().created.into()),
                    Err(error) => match error.kind() {
                        GetStreamErrorKind::JetStream(reason) => Err(self.reason(&reason)),
                        _ => Err(failed(&error)),
                    },
                }
            };
            match patience.bound_one(ask).await {
                Ok(created) => return Ok(created),
                Err(failure) if patience.whatever(&failure).await => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn names(&self) -> Result<Listing, Failure> {
        self.created().await?;
        Listing::open(self).await
    }
}

#[async_trait]
impl BlobStore for Nats {
    async fn create_container(&self, container: &str) -> Result<(), Failure> {
        let bucket = self.bucket(container).await?;
        let mut patience = Patience::new(UNLED);
        match bucket.created_within(&mut patience).await {
            // To make one that is just like it would be no failure.
            Ok(_) => return Err(container_exists(container)),
            Err(Failure::NotFound { .. }) => {}
            Err(failure) => return Err(failure),
        }
        let config = Config {
            bucket: bucket.name.clone(),
            max_bytes: self.max_bytes,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..Config::default()
        };
        loop {
            let make = bucket.context.create_object_store(config.clone());
            let make = async { make.await.map_err(|error| exists_or(&error, container)) };
            let failure = match patience.bound_one(make).await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            };
            // Of several that make one of a cluster at the same moment, not each is answered; a server tells all of
            // them that they made it.
            let is_there = matches!(failure, Failure::Timeout(_))
                && bucket.created_within(&mut patience).await.is_ok();
            if is_there {
                return Ok(());
            }
            if !patience.whatever(&failure).await {
                return Err(failure);
            }
        }
    }

    async fn delete_container(&self, container: &str) -> Result<Removed, Failure> {
        let bucket = self.bucket(container).await?;
        bucket.created().await?;
        // The server says that it is deleted also where its files stay, as when those of one of its name before are still
        // being removed: what is made anew then has what is in them.
        if let Err(error) = bucket.stream.purge().await {
            tracing::debug!(bucket = bucket.name, %error, "An object store is deleted with all that it has.");
        }
        match bucket.context.delete_stream(format!("OBJ_{}", bucket.name)).await {
            Ok(_) => Ok(Removed::All),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn container_info(&self, container: &str) -> Result<ContainerInfo, Failure> {
        let created = self.bucket(container).await?.created().await?;
        Ok(ContainerInfo { created: Some(created) })
    }

    async fn clear(&self, container: &str) -> Result<Removed, Failure> {
        let bucket = self.bucket(container).await?;
        // By their names: to empty the stream would take pieces of uploads with it.
        let mut listing = bucket.names().await?;
        let mut objects = Vec::new();
        while objects.len() <= REMOVALS
            && let Some(page) = listing.next().await?
        {
            objects.extend(page);
        }
        let left = if objects.len() > REMOVALS { Removed::Some } else { Removed::All };
        objects.truncate(REMOVALS);
        bucket.delete_all(objects).await?;
        Ok(left)
    }

    async fn read(&self, at: At<'_>, range: Range<u64>) -> Result<Reading, Failure> {
        let bucket = self.bucket(at.container).await?;
        let meta = bucket.found(at.object).await?;
        if meta.options.as_ref().is_some_and(|options| options.link.is_some()) {
            let why = format!("`{}` is a link to another object", at.object);
            return Err(Failure::Unsupported(why));
        }
        let info = info(&meta);
        let range = Reading::part(&range, info.size);
        let chunks = if range.is_empty() {
            stream::empty().boxed()
        } else {
            let runtime = self.connection.runtime().clone();
            let pieces = Pieces::open(&bucket, &meta, range.clone(), runtime).await?;
            let next = |mut pieces: Pieces| async move {
                Ok(pieces.next().await?.map(|piece| (piece, pieces)))
            };
            stream::try_unfold(pieces, next).boxed()
        };
        Ok(Reading { info, range, chunks })
    }

    async fn write(&self, at: At<'_>) -> Result<Box<dyn Upload>, Failure> {
        let bucket = self.bucket(at.container).await?;
        bucket.created().await?;
        let runtime = self.connection.runtime().clone();
        Ok(Box::new(Writing::new(bucket, at.object.to_owned(), runtime)))
    }

    async fn delete(&self, container: &str, objects: &[String]) -> Result<(), Failure> {
        let bucket = self.bucket(container).await?;
        bucket.created().await?;
        bucket.delete_all(objects.to_vec()).await
    }

    async fn info(&self, at: At<'_>) -> Result<ObjectInfo, Failure> {
        let bucket = self.bucket(at.container).await?;
        Ok(info(&bucket.found(at.object).await?))
    }

    async fn copy(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        if from == to {
            return self.info(from).await.map(drop);
        }
        let mut reading = self.read(from, 0..u64::MAX).await?;
        let mut upload = self.write(to).await?;
        let mut left = reading.info.size;
        while let Some(piece) = reading.chunks.try_next().await? {
            left = left.saturating_sub(piece.len() as u64);
            upload.write(piece).await?;
        }
        if left > 0 {
            return Err(changed(from.object));
        }
        upload.finish().await
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        self.copy(from, to).await?;
        if from == to {
            return Ok(());
        }
        self.bucket(from.container).await?.delete(from.object).await
    }

    async fn list(&self, container: &str) -> Result<Names, Failure> {
        let listing = self.bucket(container).await?.names().await?;
        let next = |mut listing: Listing| async move {
            Ok(listing.next().await?.map(|page| (page, listing)))
        };
        Ok(stream::try_unfold(listing, next).boxed())
    }

    fn max_object(&self) -> Option<u64> {
        self.max_object
    }
}

fn is_bucket(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn info(meta: &Meta) -> ObjectInfo {
    ObjectInfo { created: meta.modified.map(SystemTime::from), size: meta.size as u64 }
}

fn changed(object: &str) -> Failure {
    Failure::Conflict(format!("the object `{object}` changed while it was read"))
}

fn exists_or(error: &(dyn std::error::Error + Send + Sync + 'static), container: &str) -> Failure {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = next {
        if let Some(one) = one.downcast_ref::<async_nats::jetstream::context::CreateStreamError>() {
            return match one.kind() {
                CreateStreamErrorKind::JetStream(reason) => match reason.error_code() {
                    ErrorCode::STREAM_NAME_EXIST => container_exists(container),
                    _ => failed(&reason),
                },
                _ => failed(error),
            };
        }
        next = one.source();
    }
    failed(error)
}
