//! Blobs in object stores that speak HTTP: S3 and its kin, Azure's and Google's.
//!
//! A link is to one bucket, which is there already. A container is a folder in it: the keys that begin with the
//! settings' `prefix`, the container's name and `/`. One that was created has an empty object below `.containers/`,
//! so that it is there while it is empty, and has a time; where others put objects into a folder, it is a
//! container without. A key is the object's name as it is: names that the protocols cannot carry unharmed (empty
//! parts between `/`, `.` and `..`, control characters) are refused.

mod azure;
mod client;
mod gcs;
mod s3;
mod upload;

use std::{ops::Range, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, path::Path,
};
use reef_capability::{Failure, OpenError, Opening, Setting, SettingError};
use tokio::runtime::Handle;

pub(crate) use azure::BACKEND as AZURE;
pub(crate) use gcs::BACKEND as GCS;
pub(crate) use s3::BACKEND as S3;

use crate::{
    component,
    store::{
        At, BlobStore, CONTAINER, ContainerInfo, Names, OBJECT, ObjectInfo, PAGE, Reading, Removed,
        Upload, container_exists, no_container, no_object,
    },
};
use upload::Writing;

const ENDPOINT: Setting =
    Setting::new("endpoint", "where the store is, if not at its maker's: `https://host:port`");
const PREFIX: Setting = Setting::new("prefix", "what all keys begin with: `team/app`");
const PART_SIZE: Setting =
    Setting::new("part-size", "bytes of one part of an upload, of which two are held: `8MiB`");

const DEFAULT_PART: u64 = 8 << 20;
/// What S3 takes as a part, and what this process should hold of one.
const PARTS: std::ops::RangeInclusive<u64> = 5 << 20..=512 << 20;
/// What S3 copies at once; more goes through here.
const COPIED_AT_ONCE: u64 = 5 << 30;
/// Below the prefix, what says that a container was created.
const MARKERS: &str = ".containers";

/// A bucket, or what else its kind has.
struct Cloud {
    store: Arc<dyn ObjectStore>,
    /// With `/` at its end, if there is one.
    prefix: String,
    part: usize,
    max_object: Option<u64>,
    runtime: Handle,
}

impl Cloud {
    fn new(opening: Opening<'_>, store: Arc<dyn ObjectStore>) -> Result<Self, OpenError> {
        let settings = opening.settings;
        let part = settings.size(PART_SIZE.name)?.unwrap_or(DEFAULT_PART);
        if !PARTS.contains(&part) {
            return Err(wrong(PART_SIZE.name, "is not between 5MiB and 512MiB").into());
        }
        let prefix = settings.get(PREFIX.name).unwrap_or_default().trim_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            let prefix = format!("{prefix}/");
            exact(&format!("{prefix}x"))
                .ok_or_else(|| wrong(PREFIX.name, "cannot be a part of a key"))?;
            prefix
        };
        let part = usize::try_from(part).unwrap_or(usize::MAX);
        let max_object = settings.size(crate::store::MAX_OBJECT.name)?;
        Ok(Self { store, prefix, part, max_object, runtime: opening.runtime.clone() })
    }

    fn marker(&self, container: &str) -> Result<Path, Failure> {
        let name = component::encode(CONTAINER, container)?;
        exact(&format!("{}{MARKERS}/{name}", self.prefix)).ok_or_else(|| odd(CONTAINER, container))
    }

    fn folder(&self, container: &str) -> Result<Path, Failure> {
        let name = component::encode(CONTAINER, container)?;
        exact(&format!("{}{name}", self.prefix)).ok_or_else(|| odd(CONTAINER, container))
    }

    fn key(&self, at: At<'_>) -> Result<Path, Failure> {
        let folder = self.folder(at.container)?;
        exact(&format!("{folder}/{}", at.object)).ok_or_else(|| odd(OBJECT, at.object))
    }

    /// All keys of a container, asked for as they are needed.
    fn keys(&self, container: &str) -> Result<stream::BoxStream<'static, Keys>, Failure> {
        let folder = self.folder(container)?;
        Ok(self.store.list(Some(&folder)).map(|key| key.map_err(|error| failed(&error))).boxed())
    }

    /// The failure of something that is not found: it may be the container that is not.
    async fn missing(&self, at: At<'_>, error: Error) -> Failure {
        if !matches!(error, Error::NotFound { .. }) {
            return failed(&error);
        }
        match self.container_info(at.container).await {
            Ok(_) => no_object(at.object),
            Err(failure) => failure,
        }
    }

    async fn head(&self, at: At<'_>) -> Result<ObjectMeta, Failure> {
        let key = self.key(at)?;
        match self.store.head(&key).await {
            Ok(meta) => Ok(meta),
            Err(error) => Err(self.missing(at, error).await),
        }
    }

    /// Removes some, whether they are there or not.
    async fn remove(&self, keys: Vec<Path>) -> Result<(), Failure> {
        let keys = stream::iter(keys.into_iter().map(Ok)).boxed();
        let mut gone = self.store.delete_stream(keys);
        while let Some(one) = gone.next().await {
            match one {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    async fn carry(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let mut reading = self.read(from, 0..u64::MAX).await?;
        let mut upload = self.write(to).await?;
        while let Some(piece) = reading.chunks.try_next().await? {
            upload.write(piece).await?;
        }
        upload.finish().await
    }
}

type Keys = Result<ObjectMeta, Failure>;

#[async_trait]
impl BlobStore for Cloud {
    async fn create_container(&self, container: &str) -> Result<(), Failure> {
        let marker = self.marker(container)?;
        match self.container_info(container).await {
            Ok(_) => return Err(container_exists(container)),
            Err(Failure::NotFound { .. }) => {}
            Err(failure) => return Err(failure),
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&marker, PutPayload::default(), options).await {
            Ok(_) => Ok(()),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Err(container_exists(container))
            }
            // Not every store that speaks S3 knows conditions.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                let done = self.store.put(&marker, PutPayload::default()).await;
                done.map(drop).map_err(|error| failed(&error))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    async fn delete_container(&self, container: &str) -> Result<Removed, Failure> {
        if self.clear(container).await? == Removed::Some {
            return Ok(Removed::Some);
        }
        self.remove(vec![self.marker(container)?]).await?;
        Ok(Removed::All)
    }

    async fn container_info(&self, container: &str) -> Result<ContainerInfo, Failure> {
        match self.store.head(&self.marker(container)?).await {
            Ok(meta) => Ok(ContainerInfo { created: Some(time(&meta)) }),
            Err(Error::NotFound { .. }) => match self.keys(container)?.try_next().await? {
                Some(_) => Ok(ContainerInfo { created: None }),
                None => Err(no_container(container)),
            },
            Err(error) => Err(failed(&error)),
        }
    }

    async fn clear(&self, container: &str) -> Result<Removed, Failure> {
        self.container_info(container).await?;
        let keys: Vec<_> =
            self.keys(container)?.take(PAGE).map_ok(|meta| meta.location).try_collect().await?;
        let left = if keys.len() == PAGE { Removed::Some } else { Removed::All };
        self.remove(keys).await?;
        Ok(left)
    }

    async fn read(&self, at: At<'_>, range: Range<u64>) -> Result<Reading, Failure> {
        let key = self.key(at)?;
        let mut options = GetOptions::default();
        if range != (0..u64::MAX) {
            // A range that is empty, or beyond the end, cannot be asked for.
            let meta = self.head(at).await?;
            let part = Reading::part(&range, meta.size);
            if part.is_empty() {
                let info = info(&meta);
                return Ok(Reading { info, range: part, chunks: stream::empty().boxed() });
            }
            options.range = Some(GetRange::Bounded(part));
            options.if_match = meta.e_tag;
        }
        match self.store.get_opts(&key, options).await {
            Ok(found) => {
                let (info, range) = (info(&found.meta), found.range.clone());
                let chunks = found.into_stream().map_err(|error| failed(&error));
                Ok(Reading { info, range, chunks: chunks.boxed() })
            }
            Err(Error::Precondition { .. }) => Err(changed(at.object)),
            Err(error) => Err(self.missing(at, error).await),
        }
    }

    async fn write(&self, at: At<'_>) -> Result<Box<dyn Upload>, Failure> {
        let key = self.key(at)?;
        self.container_info(at.container).await?;
        let store = self.store.clone();
        Ok(Box::new(Writing::new(store, key, self.part, self.runtime.clone())))
    }

    async fn delete(&self, container: &str, objects: &[String]) -> Result<(), Failure> {
        self.container_info(container).await?;
        // A name that no key can have is of no object.
        let keys = objects.iter().filter_map(|object| self.key(At { container, object }).ok());
        self.remove(keys.collect()).await
    }

    async fn info(&self, at: At<'_>) -> Result<ObjectInfo, Failure> {
        Ok(info(&self.head(at).await?))
    }

    async fn copy(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        let (source, target) = (self.key(from)?, self.key(to)?);
        let meta = self.head(from).await?;
        self.container_info(to.container).await?;
        if source == target {
            return Ok(());
        }
        if meta.size > COPIED_AT_ONCE {
            return self.carry(from, to).await;
        }
        match self.store.copy(&source, &target).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.missing(from, error).await),
        }
    }

    async fn rename(&self, from: At<'_>, to: At<'_>) -> Result<(), Failure> {
        self.copy(from, to).await?;
        if from == to { Ok(()) } else { self.remove(vec![self.key(from)?]).await }
    }

    async fn list(&self, container: &str) -> Result<Names, Failure> {
        self.container_info(container).await?;
        let before = format!("{}/", self.folder(container)?);
        let names = self.keys(container)?.map_ok(move |meta| {
            let key: &str = meta.location.as_ref();
            key.strip_prefix(&before).unwrap_or(key).to_owned()
        });
        Ok(names.try_chunks(PAGE).map_err(|error| error.1).boxed())
    }

    fn max_object(&self) -> Option<u64> {
        self.max_object
    }

    fn step(&self) -> usize {
        // One part is on its way while another is filled.
        2 * self.part
    }
}

/// A key that is exactly this text, if it can be one.
fn exact(text: &str) -> Option<Path> {
    Path::parse(text).ok().filter(|path| path.as_ref() == text && !text.is_empty())
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    ObjectInfo { created: Some(time(meta)), size: meta.size }
}

fn time(meta: &ObjectMeta) -> SystemTime {
    meta.last_modified.into()
}

fn odd(what: &str, name: &str) -> Failure {
    Failure::Invalid(format!("this backend cannot have a {what} called {name:?}"))
}

fn changed(object: &str) -> Failure {
    Failure::Conflict(format!("the object `{object}` changed while it was read"))
}

fn wrong(name: &'static str, why: &str) -> SettingError {
    SettingError::Wrong { name, why: why.to_owned() }
}

/// What a builder finds wrong with settings.
fn unusable(error: &Error) -> OpenError {
    OpenError::Place(format!("its settings do not fit together: {error}"))
}

/// What an error of the store is to the guest. Where an object is not found is for the caller to say.
fn failed(error: &Error) -> Failure {
    use object_store::client::{HttpError, HttpErrorKind};
    const SHOWN: usize = 500;
    let said = error.to_string();
    let said: String = said.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = source {
        if let Some(http) = one.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Connect => Failure::unreachable(root(one)),
                HttpErrorKind::Decode => Failure::Backend(said),
                _ => Failure::lost(root(one)),
            };
        }
        source = one.source();
    }
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Failure::Denied(format!("the store refuses the link's credentials: {said}"))
        }
        Error::InvalidPath { .. } => Failure::Invalid(said),
        Error::NotImplemented { .. } | Error::NotSupported { .. } => Failure::Unsupported(said),
        Error::Precondition { .. } => Failure::Conflict(said),
        Error::NotFound { .. } => {
            Failure::Backend(format!("the bucket, or what is asked of it, is not there: {said}"))
        }
        _ => match status(&said) {
            Some(507) => Failure::Full(said),
            Some(429 | 500 | 502 | 503 | 504) => Failure::lost(said),
            _ => Failure::Backend(said),
        },
    }
}

/// The innermost reason.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The status of an answer, which the library tells in its text and nowhere else.
fn status(said: &str) -> Option<u16> {
    let (_, after) = said.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests;
