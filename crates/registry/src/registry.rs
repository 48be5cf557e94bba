//! From places to bytes.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reef_artifact::Digest;
use tokio::sync::{OnceCell, Semaphore};
use url::Url;

use crate::{
    Config, Error, Place, Progress, Store, StoreError, bindle,
    client::{Client, Side, again},
    download::{Expected, download, kept},
    oci,
    place::{At, address},
};

/// Downloads at once.
const AT_ONCE: usize = 4;
/// Tries where there is something to fall back on.
const TRIES_WITH_LAST: u32 = 2;

/// Fetches artifacts from elsewhere, and keeps them. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    client: Client,
    /// Opened when something is fetched: most that runs is a file.
    store: OnceCell<Arc<Store>>,
    places: Semaphore,
}

/// An artifact.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.digest, self.bytes.len())
    }
}

/// What is asked for, and with what.
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a Arc<Store>,
    /// For people.
    pub(crate) what: &'a str,
    key: &'a str,
    /// What it has to be.
    pub(crate) digest: Option<Digest>,
    pub(crate) largest: u64,
    pub(crate) tries: u32,
    pub(crate) told: &'a dyn Progress,
    /// What it was last, if that is still there.
    last: Option<(Fetched, Option<String>)>,
}

// === impl Registry ===

impl Registry {
    /// Opens nothing yet.
    pub fn new(config: Config) -> Self {
        let client = Client::new(&config);
        let places = Semaphore::new(AT_ONCE);
        Self(Arc::new(Inner { config, client, store: OnceCell::new(), places }))
    }

    /// Fetches an artifact, or takes it from what is kept.
    ///
    /// To be called on a Tokio runtime, which it does not block. Ends within [`Config::whole`] and the
    /// time that it waits for others: four are fetched at once.
    ///
    /// # Errors
    /// When it cannot be had, or is not what it has to be.
    pub async fn fetch(&self, place: &Place, told: &dyn Progress) -> Result<Fetched, Error> {
        let Inner { config, client, places, .. } = &*self.0;
        let store = self.store().await?;
        if let Some(digest) = place.digest
            && let Some(kept) = kept(&store, digest).await
        {
            return Ok(kept);
        }
        let _place = places.acquire().await.map_err(|_| Error::Stopped)?;
        let (what, key) = (place.to_string(), place.key());
        let last = last(&store, &key, place.digest).await;
        let asking = Asking {
            client,
            store: &store,
            what: &what,
            key: &key,
            digest: place.digest,
            largest: config.largest,
            tries: if last.is_some() { TRIES_WITH_LAST.min(config.tries) } else { config.tries },
            told,
            last,
        };
        let fetching = async {
            match &place.at {
                At::Url(url) => asking.url(url).await,
                At::Oci(reference) => oci::fetch(&asking, reference).await,
                At::Bindle { id, server: Some(server) } => bindle::fetch(&asking, id, server).await,
                At::Bindle { id, server: None } => match &config.bindle_server {
                    Some(server) => bindle::fetch(&asking, id, &address(server)?).await,
                    None => Err(Error::NoServer(what.clone())),
                },
            }
        };
        let fetched = match tokio::time::timeout(config.whole, fetching).await {
            Ok(fetched) => fetched,
            Err(_) => Err(Error::Deadline { what: what.clone(), within: config.whole }),
        };
        match (fetched, asking.last) {
            (Err(error), Some((last, _))) if error.is_passing() => {
                told.stale(&what, &last.digest, &error);
                Ok(last)
            }
            (fetched, _) => fetched,
        }
    }

    async fn store(&self) -> Result<Arc<Store>, StoreError> {
        let Inner { config, store, .. } = &*self.0;
        let (root, limit) = (config.store.clone(), config.store_limit);
        let opening = || async {
            let opened = tokio::task::spawn_blocking(move || match root {
                // What cannot be kept costs time, not correctness.
                Some(root) => Store::open(&root, limit).or_else(|error| {
                    tracing::warn!("Downloads are not kept: {error}");
                    Store::temporary(limit)
                }),
                None => Store::temporary(limit),
            });
            match opened.await {
                Ok(opened) => opened.map(Arc::new),
                Err(error) => Err(StoreError::Io {
                    path: std::env::temp_dir(),
                    cause: std::io::Error::other(error),
                }),
            }
        };
        store.get_or_try_init(opening).await.cloned()
    }
}

/// What a place was last, if it is what it has to be, and still there.
async fn last(
    store: &Arc<Store>,
    key: &str,
    pinned: Option<Digest>,
) -> Option<(Fetched, Option<String>)> {
    let (of, key) = (store.clone(), key.to_owned());
    let record = tokio::task::spawn_blocking(move || of.last(&key)).await.ok().flatten()?;
    let digest = record.digest().filter(|digest| pinned.is_none_or(|pinned| pinned == *digest))?;
    Some((kept(store, digest).await?, record.etag))
}

// === impl Asking ===

impl Asking<'_> {
    /// Remembers what it is.
    pub(crate) async fn remember(&self, digest: &Digest, etag: Option<String>) {
        let (store, key, digest) = (self.store.clone(), self.key.to_owned(), *digest);
        // What is not remembered is asked for again.
        let _ = tokio::task::spawn_blocking(move || store.remember(&key, &digest, etag)).await;
    }

    /// A download.
    async fn url(&self, url: &Url) -> Result<Fetched, Error> {
        let expected =
            Expected { what: self.what, digest: self.digest, size: None, largest: self.largest };
        let known = self.last.as_ref();
        let etag = known.and_then(|(_, etag)| HeaderValue::from_str(etag.as_ref()?).ok());
        let fetching = again(self.tries, || async {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/wasm, */*;q=0.5"));
            headers.extend(etag.clone().map(|etag| (header::IF_NONE_MATCH, etag)));
            let answer = self.client.get(url, Side::Inside, headers).await?;
            match (answer.status, known) {
                (StatusCode::OK, _) => {}
                (StatusCode::NOT_MODIFIED, Some((last, _))) if etag.is_some() => {
                    return Ok((last.clone(), None));
                }
                (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                    let host = url.host_str().unwrap_or_default().to_owned();
                    return Err(Error::NotFound { what: self.what.to_owned(), host });
                }
                _ => return Err(answer.refused()),
            }
            let etag = answer.header(&header::ETAG).map(str::to_owned);
            let fetched = download(self.store, answer, &expected, self.told).await?;
            Ok((fetched, Some(etag)))
        });
        let (fetched, etag) = fetching.await?;
        if let Some(etag) = etag {
            self.remember(&fetched.digest, etag).await;
        }
        Ok(fetched)
    }
}
