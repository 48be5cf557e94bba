//! An object store of JetStream, as any client of NATS can read it: objects are named by their digests.
//!
//! An object's pieces are messages on a subject of that upload's own, and what is known of it is the last message on a
//! subject of its name's own: it is there when that one is. Who is second takes his pieces away again.

mod reading;
mod unheld;
mod upload;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use async_nats::{
    HeaderMap,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_ROLLUP},
    jetstream::{
        Context,
        context::PublishErrorKind,
        message::StreamMessage,
        object_store::ObjectInfo as Meta,
        stream::{Config, DiscardPolicy, LastRawMessageErrorKind, StorageType, Stream},
    },
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use reef_capability::Failure;
use reef_nats::{Connection, Patience, failed, is_conflict};
use tokio::time::{sleep, timeout};

use super::{PAUSE, WITHIN, Was, is_missing, undone};
use crate::{Digest, ObjectStream, Objects, Unheld, objects::no_object};

/// Objects, of which one page is asked for at once.
const PAGE: usize = 256;
/// How long a whole listing may take.
const LISTING: Duration = Duration::from_secs(60);

/// The object store `reef-NAME-objects`.
pub(super) struct ObjectStore {
    connection: Connection,
    name: String,
    opened: Mutex<Option<Arc<Opened>>>,
    opening: tokio::sync::Mutex<Was>,
}

/// The object store as it is.
struct Opened {
    connection: Connection,
    context: Context,
    stream: Stream,
    name: String,
    /// What time it was by the servers' clock, and when they said so.
    clock: (SystemTime, Instant),
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ObjectStore {
    pub(super) fn new(connection: Connection, name: &str) -> Self {
        let name = format!("reef-{name}-objects");
        let (opened, opening) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { connection, name, opened, opening }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<Arc<Opened>> {
        self.slot().clone()
    }

    /// The object store, which is made if it is not there.
    async fn opened(&self) -> Result<Arc<Opened>, Failure> {
        self.connection.client().await?;
        if let Some(opened) = self.known() {
            return Ok(opened);
        }
        let mut was = self.opening.lock().await;
        if let Some(opened) = self.known() {
            return Ok(opened);
        }
        let context = self.connection.jetstream().await?;
        let wanted = Config {
            name: format!("OBJ_{}", self.name),
            description: Some("Artifacts of a lattice of Reef.".to_owned()),
            subjects: vec![format!("$O.{}.C.>", self.name), format!("$O.{}.M.>", self.name)],
            max_messages: -1,
            max_messages_per_subject: -1,
            max_bytes: -1,
            max_message_size: -1,
            max_consumers: -1,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: false,
            ..Config::default()
        };
        let stream =
            super::stream(&self.connection, &context, wanted, &mut was).await.map_err(undone)?;
        let clock = (unheld::time(&context, &stream).await?, Instant::now());
        let (connection, name) = (self.connection.clone(), self.name.clone());
        let opened = Arc::new(Opened { connection, context, stream, name, clock });
        *self.slot() = Some(opened.clone());
        Ok(opened)
    }

    /// What is known of an object, and where in the stream that stands; tried again for a while.
    async fn last(&self, digest: &Digest) -> Result<(Arc<Opened>, Option<(Meta, u64)>), Failure> {
        let (opened, last) = self.last_message(digest).await?;
        Ok((opened, last.map(|(meta, message)| (meta, message.sequence))))
    }

    async fn last_message(
        &self,
        digest: &Digest,
    ) -> Result<(Arc<Opened>, Option<(Meta, StreamMessage)>), Failure> {
        let mut patience = Patience::new(WITHIN);
        loop {
            let look = async {
                let opened = self.opened().await?;
                let last = opened.last_message(digest).await?;
                Ok((opened, last))
            };
            match patience.bound_one(look).await {
                Err(failure) => {
                    // It may be gone, and is looked at anew.
                    *self.slot() = None;
                    if !patience.whatever(&failure).await {
                        return Err(failure);
                    }
                }
                found => return found,
            }
        }
    }

    /// Looks at many objects at once, again for a while where the servers do not answer.
    async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        look: impl Fn(Arc<Opened>) -> F,
    ) -> Result<T, Failure> {
        let mut patience = Patience::new(WITHIN);
        loop {
            let looking = async { look(self.opened().await?).await.map_err(undone) };
            let done = timeout(LISTING, looking).await;
            match done.unwrap_or(Err(Failure::Timeout(LISTING))) {
                Err(failure) => {
                    *self.slot() = None;
                    if !patience.again(&failure).await {
                        return Err(failure);
                    }
                }
                done => return done,
            }
        }
    }
}

impl Opened {
    fn meta_subject(&self, digest: &Digest) -> String {
        format!("$O.{}.M.{}", self.name, URL_SAFE.encode(digest.hex()))
    }

    fn pieces_subject(&self, upload: &str) -> String {
        format!("$O.{}.C.{upload}", self.name)
    }

    /// The last message on a subject.
    async fn last_on(&self, subject: &str) -> Result<Option<StreamMessage>, Failure> {
        let error = match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => return Ok(Some(message)),
            Err(error) => error,
        };
        match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::JetStream(reason) if is_missing(&reason) => {
                Err(Failure::unreachable("the lattice's object store was deleted"))
            }
            LastRawMessageErrorKind::JetStream(reason) => Err(undone(failed(&reason))),
            _ => Err(undone(failed(&error))),
        }
    }

    async fn last(&self, digest: &Digest) -> Result<Option<(Meta, u64)>, Failure> {
        let last = self.last_message(digest).await?;
        Ok(last.map(|(meta, message)| (meta, message.sequence)))
    }

    async fn last_message(
        &self,
        digest: &Digest,
    ) -> Result<Option<(Meta, StreamMessage)>, Failure> {
        let Some(message) = self.last_on(&self.meta_subject(digest)).await? else {
            return Ok(None);
        };
        let meta = serde_json::from_slice(&message.payload).map_err(|error| {
            Failure::Backend(format!("what NATS has of {digest} is no description: {error}"))
        })?;
        Ok(Some((meta, message)))
    }

    /// Says something of an object, if nobody did since. `false`: somebody did.
    async fn say(&self, digest: &Digest, meta: &Meta, at: u64) -> Result<bool, Failure> {
        let said = serde_json::to_vec(meta).map_err(|error| Failure::Backend(error.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, "sub");
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, at.to_string().as_str());
        let subject = self.meta_subject(digest);
        let said = self.context.publish_with_headers(subject, headers, said.into());
        let done = match said.await {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match done {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(unpublished(&error)),
        }
    }

    /// Removes the pieces of an upload that is no object.
    async fn forget(&self, upload: &str) {
        if upload.is_empty() {
            return;
        }
        let gone = timeout(WITHIN, self.stream.purge().filter(self.pieces_subject(upload))).await;
        if !matches!(gone, Ok(Ok(_))) {
            tracing::warn!(
                upload,
                "Pieces that are no object's stay in the lattice's object store."
            );
        }
    }

    async fn remove(&self, digest: &Digest, mut meta: Meta, at: u64) -> Result<bool, Failure> {
        let upload = std::mem::take(&mut meta.nuid);
        (meta.deleted, meta.size, meta.chunks, meta.digest) = (true, 0, 0, None);
        let done = self.say(digest, &meta, at).await?;
        if done {
            self.forget(&upload).await;
        }
        Ok(done)
    }
}

fn unpublished(error: &async_nats::jetstream::context::PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::StreamNotFound => {
            Failure::unreachable("no server of NATS takes objects of the lattice")
        }
        PublishErrorKind::TimedOut => Failure::Timeout(WITHIN),
        PublishErrorKind::BrokenPipe => Failure::lost(format!("NATS: {error}")),
        _ => failed(error),
    }
}

#[async_trait]
impl Objects for ObjectStore {
    async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let (_, last) = self.last(digest).await?;
        Ok(last.is_some_and(|(meta, _)| !meta.deleted))
    }

    async fn put(&self, digest: &Digest, file: &Path) -> Result<(), Failure> {
        if self.hold(digest, Duration::ZERO).await? {
            return Ok(());
        }
        upload::upload(self.opened().await?, digest, file).await
    }

    async fn get(&self, digest: &Digest) -> Result<ObjectStream, Failure> {
        let (opened, last) = self.last(digest).await?;
        let Some((meta, at)) = last.filter(|(meta, _)| !meta.deleted) else {
            return Err(no_object(digest));
        };
        reading::object(opened, digest.clone(), meta, at).await
    }

    async fn hold(&self, digest: &Digest, fresh: Duration) -> Result<bool, Failure> {
        let mut patience = Patience::new(WITHIN);
        loop {
            let (opened, last) = self.last_message(digest).await?;
            let Some((meta, at)) = last.filter(|(meta, _)| !meta.deleted) else { return Ok(false) };
            if opened.is_held(at.time.into(), fresh) {
                return Ok(true);
            }
            match patience.bound(opened.say(digest, &meta, at.sequence)).await {
                Ok(true) => return Ok(true),
                // Somebody else said something meanwhile, or is just doing so.
                Ok(false) => sleep(PAUSE).await,
                Err(failure) => {
                    *self.slot() = None;
                    if !patience.whatever(&failure).await {
                        return Err(failure);
                    }
                }
            }
        }
    }

    async fn unheld(&self, since: Duration) -> Result<Vec<Unheld>, Failure> {
        self.patiently(|opened| async move { opened.unheld(since).await }).await
    }

    async fn remove(&self, unheld: &Unheld) -> Result<bool, Failure> {
        let (opened, last) = self.last(&unheld.digest).await?;
        match last {
            Some((meta, at)) if !meta.deleted && at == unheld.mark => {
                opened.remove(&unheld.digest, meta, at).await
            }
            _ => Ok(false),
        }
    }

    async fn sweep(&self, since: Duration) -> Result<usize, Failure> {
        self.patiently(|opened| async move { opened.sweep(since).await }).await
    }
}
