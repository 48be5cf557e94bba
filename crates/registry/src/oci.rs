//! From an OCI registry.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reef_artifact::Digest;
use reef_oci::{Descriptor, Document, ENTRY_TYPES, LARGEST, Manifest, ManifestError, Reference};
use url::Url;

use crate::{
    Error, Fetched, PlaceError, auth,
    client::{Answer, Side, again},
    credentials,
    download::{Expected, download, kept},
    registry::Asking,
};

/// One look into a registry.
struct Session<'a> {
    asking: &'a Asking<'a>,
    reference: &'a Reference,
    base: Url,
    /// What lets in, once that is known.
    authorization: Mutex<Option<HeaderValue>>,
}

/// Finds the layer that is the WebAssembly, and fetches it if it is not there.
pub(crate) async fn fetch(asking: &Asking<'_>, reference: &Reference) -> Result<Fetched, Error> {
    let session = Session {
        asking,
        reference,
        base: auth::base(asking.client, reference.host())?,
        authorization: Mutex::new(None),
    };
    let manifest = session.wasm_manifest().await?;
    let layer = manifest.wasm().map_err(|cause| {
        let what = asking.what.to_owned();
        Error::Layer { what, cause }
    })?;
    if let Some(should) = asking.digest
        && layer.digest != should
    {
        let (what, is) = (asking.what.to_owned(), layer.digest);
        return Err(Error::Digest { what, is, should });
    }
    let fetched = match kept(asking.store, layer.digest).await {
        Some(kept) => kept,
        None => session.blob(layer).await?,
    };
    asking.remember(&fetched.digest, None).await;
    Ok(fetched)
}

// === impl Session ===

impl Session<'_> {
    fn host(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn what(&self) -> String {
        self.asking.what.to_owned()
    }

    /// The manifest, or the one for WebAssembly of an index.
    async fn wasm_manifest(&self) -> Result<Manifest, Error> {
        let index = match self.manifest(&self.reference.version(), self.reference.digest()).await? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => index,
        };
        let entry = index.wasm().map_err(|cause| Error::Layer { what: self.what(), cause })?;
        match self.manifest(&entry.digest.to_string(), Some(&entry.digest)).await? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => {
                let cause = ManifestError::Form("it is an index in an index".to_owned());
                Err(self.no_manifest(cause))
            }
        }
    }

    fn no_manifest(&self, cause: ManifestError) -> Error {
        Error::Manifest { what: self.what(), host: self.host(), cause }
    }

    /// What is under a tag or a digest. What has a digest is the same for ever, and kept.
    async fn manifest(&self, version: &str, digest: Option<&Digest>) -> Result<Document, Error> {
        let parse = |bytes: &[u8]| Document::parse(bytes).map_err(|cause| self.no_manifest(cause));
        if let Some(digest) = digest
            && let Some(kept) = kept(self.asking.store, *digest).await
        {
            return parse(&kept.bytes);
        }
        let url = self.url(&format!("manifests/{version}"))?;
        let bytes = again(self.asking.tries, || async {
            self.get(&url, ENTRY_TYPES).await?.bytes(LARGEST).await
        });
        let bytes = bytes.await?;
        let Some(should) = digest else { return parse(&bytes) };
        let is = Digest::of(&bytes);
        if is != *should {
            return Err(Error::Digest { what: self.what(), is, should: *should });
        }
        let document = parse(&bytes)?;
        let store = self.asking.store.clone();
        let keeping = tokio::task::spawn_blocking(move || store.put(&bytes));
        keeping.await.map_err(|_| Error::Stopped)??;
        Ok(document)
    }

    async fn blob(&self, layer: &Descriptor) -> Result<Fetched, Error> {
        let url = self.url(&format!("blobs/{}", layer.digest))?;
        let expected = Expected {
            what: self.asking.what,
            digest: Some(layer.digest),
            size: Some(layer.size),
            largest: self.asking.largest,
        };
        again(self.asking.tries, || async {
            let answer = self.get(&url, "*/*").await?;
            download(self.asking.store, answer, &expected, self.asking.told).await
        })
        .await
    }

    fn url(&self, what: &str) -> Result<Url, Error> {
        let path = format!("v2/{}/{what}", self.reference.repository());
        let wrong = |error: url::ParseError| PlaceError::Url {
            url: self.reference.to_string(),
            why: error.to_string(),
        };
        Ok(self.base.join(&path).map_err(wrong)?)
    }

    /// Asks, and lets itself be let in.
    async fn get(&self, url: &Url, accept: &'static str) -> Result<Answer, Error> {
        let answer = self.send(url, accept).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.checked(answer, false, "");
        }
        let host = self.host();
        let challenge = auth::challenge(&answer.headers).map_err(|scheme| Error::Scheme {
            what: self.what(),
            host: host.clone(),
            scheme,
        })?;
        let found = credentials::find(&host).await;
        let scope = format!("repository:{}:pull", self.reference.repository());
        let known = found.credentials.is_some();
        let authorization =
            auth::answer(self.asking.client, (&self.base, answer.from), &challenge, &scope, &found)
                .await?;
        if authorization.is_none() {
            return Err(Error::Unauthorized { what: self.what(), host, known, note: found.note });
        }
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = authorization;
        let answer = self.send(url, accept).await?;
        self.checked(answer, known, &found.note)
    }

    async fn send(&self, url: &Url, accept: &'static str) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let known = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        headers.extend(known.map(|value| (header::AUTHORIZATION, value)));
        self.asking.client.get(url, Side::Inside, headers).await
    }

    fn checked(&self, answer: Answer, known: bool, note: &str) -> Result<Answer, Error> {
        let (what, host) = (self.what(), self.host());
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err(Error::NotFound { what, host }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Error::Unauthorized { what, host, known, note: note.to_owned() })
            }
            _ => Err(answer.refused()),
        }
    }
}
