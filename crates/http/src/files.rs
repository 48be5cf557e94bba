//! Files of a folder as answers.
//!
//! What the kernel has in memory (names, attributes, pages) is looked up and read on the worker,
//! with system calls that fail rather than wait (`openat2` with `RESOLVE_CACHED`, `preadv2` with
//! `RWF_NOWAIT`); everything else on a thread that may wait for the disk. Nothing is cached here, so
//! a file that was changed is seen at once.

mod body;
mod conditional;
mod listing;
mod lookup;
mod path;
mod range;
mod root;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::body::ResponseBody;
use crate::compress::{Compression, vary_by_encoding, weaken};
use crate::encoding::AcceptEncoding;
use crate::redirect::with_slash;
use crate::refusal::plain;
use body::{CHUNK, FileBody, Piece};
use conditional::{Validators, Verdict};
use lookup::{Found, Representation};
pub use range::{ByteRange, ByteRanges};
use root::{Root, Wait};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// How the files of a folder are served.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// The files that stand for their folder, the first that is there. Default `index.html`.
    pub index: Vec<String>,
    /// Whether a folder without any of them is answered with a list of its content. Default off.
    pub listing: bool,
    /// Whether names that begin with a dot are served and listed. Default off.
    pub dot_files: bool,
    /// The `Cache-Control` of every file.
    pub cache_control: Option<HeaderValue>,
    /// Whether `NAME.br`, `NAME.zst` and `NAME.gz` are sent for `NAME` to clients that take them.
    /// They have to be made anew when `NAME` changes. Default on.
    pub precompressed: bool,
    /// How files without such a form are compressed while they are sent, if at all.
    pub compression: Option<Compression>,
    /// The file that is sent, with status 404, where there is none. Relative to the folder.
    pub not_found: Option<PathBuf>,
    /// The file that is sent, with status 200, where there is none, as an application wants it that
    /// reads the path in the browser. A path that ends in the name of a file other than a page
    /// (`app.js`) is 404 all the same: whoever asked for it can do nothing with a page.
    pub fallback: Option<PathBuf>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            index: vec!["index.html".into()],
            listing: false,
            dot_files: false,
            cache_control: None,
            precompressed: true,
            compression: None,
            not_found: None,
            fallback: None,
        }
    }
}

impl From<&reef_app::StaticFiles> for FileOptions {
    /// What a manifest says of them.
    fn from(files: &reef_app::StaticFiles) -> Self {
        let mut options = Self { listing: files.listing, ..Self::default() };
        if let Some(index) = &files.index {
            options.index = vec![index.value.clone()];
        }
        options.not_found = files.not_found.as_ref().map(|name| PathBuf::from(&name.value));
        options.fallback = files.fallback.as_ref().map(|name| PathBuf::from(&name.value));
        options.cache_control = files
            .max_age
            .as_ref()
            .and_then(|age| HeaderValue::from_str(&format!("max-age={}", age.0.as_secs())).ok());
        options
    }
}

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It cannot be opened.
    #[error("could not open the folder {path}: {source}", path = path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that the options name cannot be served.
    #[error(
        "{file} is not a file in {folder}; a page for what is not found, and index files, are named \
         relative to the folder and lie in it", file = file.display(), folder = folder.display()
    )]
    Named {
        /// The folder.
        folder: PathBuf,
        /// The file as it was named.
        file: PathBuf,
    },
}

/// The files of a folder. Cheap to clone.
///
/// Only what is in the folder is ever opened, also by way of links, and only regular files are
/// sent. A tag (`ETag`) is made of a file's length, the time of its last change to the nanosecond,
/// and its form.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    site: Arc<Site>,
}

#[derive(Debug)]
struct Site {
    root: Root,
    options: FileOptions,
}

/// What an answer depends on.
#[derive(Debug)]
struct Ask {
    head: bool,
    uri: Uri,
    rest: String,
    accept: AcceptEncoding,
    /// Only those that make a request conditional, or one for a part.
    headers: HeaderMap,
}

impl StaticFiles {
    /// Opens a folder. It stays the same one when another takes its name.
    ///
    /// # Errors
    /// It cannot be opened, or a file that the options name is not in it.
    pub fn open(folder: impl AsRef<Path>, options: FileOptions) -> Result<Self, FilesError> {
        let folder = folder.as_ref();
        let root = Root::open(folder)
            .map_err(|source| FilesError::Open { path: folder.into(), source })?;
        let named = |file: &Path| FilesError::Named { folder: folder.into(), file: file.into() };
        for index in &options.index {
            let mut parts = Path::new(index).components();
            let name = matches!(parts.next(), Some(std::path::Component::Normal(_)));
            if !name || parts.next().is_some() {
                return Err(named(Path::new(index)));
            }
        }
        for file in [&options.not_found, &options.fallback].into_iter().flatten() {
            if !matches!(root.look(file, Wait::Yes), Ok(root::Entry::File(_))) {
                return Err(named(file));
            }
        }
        Ok(Self { site: Arc::new(Site { root, options }) })
    }

    /// Answers a request, of whose path `rest` follows the route: empty, or beginning with a slash.
    pub fn answer<B>(
        &self,
        request: &Request<B>,
        rest: &str,
    ) -> impl Future<Output = Response<ResponseBody>> + Send + use<B> {
        let ask = match *request.method() {
            Method::GET | Method::HEAD => Ok(Ask::new(request, rest)),
            Method::OPTIONS => Err(StatusCode::NO_CONTENT),
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        let site = Arc::clone(&self.site);
        async move {
            match ask {
                Ok(ask) => site.answer(ask).await,
                Err(status) => {
                    let mut response = match status {
                        StatusCode::NO_CONTENT => Response::new(ResponseBody::empty()),
                        status => plain(status, "files are read with GET and HEAD\n".into()),
                    };
                    *response.status_mut() = status;
                    response.headers_mut().insert(ALLOW, METHODS);
                    response
                }
            }
        }
    }
}

impl Ask {
    fn new<B>(request: &Request<B>, rest: &str) -> Self {
        let used =
            [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers() {
            if used.contains(name) {
                headers.append(name, value.clone());
            }
        }
        Self {
            head: *request.method() == Method::HEAD,
            uri: request.uri().clone(),
            rest: rest.to_owned(),
            accept: AcceptEncoding::of(request.headers()),
            headers,
        }
    }
}

impl Site {
    async fn answer(self: Arc<Self>, ask: Ask) -> Response<ResponseBody> {
        let ask = Arc::new(ask);
        let found = match self.find(&ask, Wait::No) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (site, ask) = (Arc::clone(&self), Arc::clone(&ask));
                let found = tokio::task::spawn_blocking(move || site.find(&ask, Wait::Yes)).await;
                found.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            found => found,
        };
        let answer = match found {
            Ok(Found::Slash) => Ok(with_slash(&ask.uri)),
            Ok(Found::Listing(page)) => Ok(self.listing(&ask, page)),
            Ok(Found::File(file)) => self.file(&ask, file).await,
            Ok(Found::Missing(None)) => Ok(not_found()),
            Ok(Found::Missing(Some(page))) => self.whole(&ask, page, StatusCode::NOT_FOUND).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| failed(&ask.uri, &error))
    }

    /// A file to whoever has not got it yet, or the part of it that is wanted.
    async fn file(&self, ask: &Ask, file: Representation) -> io::Result<Response<ResponseBody>> {
        let have = file.validators();
        match conditional::evaluate(&ask.headers, &have) {
            Verdict::Failed => {
                let text = "the file is not the one that the request was made for\n";
                return Ok(plain(StatusCode::PRECONDITION_FAILED, text.into()));
            }
            Verdict::NotModified => {
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                let headers = response.headers_mut();
                self.describe(&file, &have, headers);
                if file.coding.is_none()
                    && let Some(compression) = &self.options.compression
                    && compression.chooses(ask.accept, &file.media_type, file.opened.length)
                {
                    weaken(headers);
                }
                // What describes the file, the client has (RFC 9110 section 15.4.5).
                for field in [ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_TYPE, LAST_MODIFIED] {
                    headers.remove(field);
                }
                return Ok(response);
            }
            Verdict::Go => {}
        }
        let length = file.opened.length;
        let ranges = match single(&ask.headers) {
            Some(field) if !ask.head && conditional::range_holds(&ask.headers, &have) => {
                ByteRanges::select(field.as_bytes(), length)
            }
            _ => ByteRanges::Whole,
        };
        match ranges {
            ByteRanges::Whole => self.whole(ask, file, StatusCode::OK).await,
            ByteRanges::Unsatisfiable => {
                let text = format!("the file has {length} bytes\n");
                let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, text);
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
                    response.headers_mut().insert(CONTENT_RANGE, value);
                }
                Ok(response)
            }
            ByteRanges::Parts(parts) => self.parts(file, &have, &parts).await,
        }
    }

    async fn whole(
        &self,
        ask: &Ask,
        file: Representation,
        status: StatusCode,
    ) -> io::Result<Response<ResponseBody>> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = status;
        self.describe(&file, &file.validators(), response.headers_mut());
        if status != StatusCode::OK {
            // What this page was answered for has neither tag nor parts.
            for field in [ETAG, LAST_MODIFIED, ACCEPT_RANGES, CACHE_CONTROL] {
                response.headers_mut().remove(field);
            }
        }
        let length = file.opened.length;
        let coded = file.coding.is_some();
        if ask.head {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            return Ok(response);
        }
        *response.body_mut() = content(file, [Piece::File { at: 0, left: length }]).await?;
        Ok(match &self.options.compression {
            Some(compression) if !coded => compression.apply(ask.accept, response),
            _ => response,
        })
    }

    /// One part, or several with their boundaries (RFC 9110 section 14.6).
    async fn parts(
        &self,
        file: Representation,
        have: &Validators,
        parts: &[ByteRange],
    ) -> io::Result<Response<ResponseBody>> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        self.describe(&file, have, response.headers_mut());
        let length = file.opened.length;
        let said = |part: &ByteRange| format!("bytes {}-{}/{length}", part.first, part.last);
        let piece = |part: &ByteRange| Piece::File { at: part.first, left: part.len() };
        let headers = response.headers_mut();
        let pieces = if let [part] = parts {
            let value = HeaderValue::from_str(&said(part)).map_err(io::Error::other)?;
            headers.insert(CONTENT_RANGE, value);
            vec![piece(part)]
        } else {
            let boundary = format!("{:032x}", fastrand::u128(..));
            let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
            for (index, part) in parts.iter().enumerate() {
                let line = if index == 0 { "" } else { "\r\n" };
                let head = format!(
                    "{line}--{boundary}\r\ncontent-type: {}\r\ncontent-range: {}\r\n\r\n",
                    file.media_type,
                    said(part),
                );
                pieces.push(Piece::Held(head.into()));
                pieces.push(piece(part));
            }
            pieces.push(Piece::Held(format!("\r\n--{boundary}--\r\n").into()));
            let kind = format!("multipart/byteranges; boundary={boundary}");
            let value = HeaderValue::from_str(&kind).map_err(io::Error::other)?;
            headers.insert(CONTENT_TYPE, value);
            pieces
        };
        *response.body_mut() = content(file, pieces).await?;
        Ok(response)
    }

    /// The headers of every answer that is about a file.
    fn describe(&self, file: &Representation, have: &Validators, headers: &mut HeaderMap) {
        let kind = match &file.media_type {
            Cow::Borrowed(kind) => Ok(HeaderValue::from_static(kind)),
            Cow::Owned(kind) => HeaderValue::from_str(kind),
        };
        if let Ok(kind) = kind {
            headers.insert(CONTENT_TYPE, kind);
        }
        if let Ok(etag) = HeaderValue::from_str(&have.etag) {
            headers.insert(ETAG, etag);
        }
        if let Some(modified) = have.last_modified() {
            headers.insert(LAST_MODIFIED, modified);
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(value) = &self.options.cache_control {
            headers.insert(CACHE_CONTROL, value.clone());
        }
        if let Some(coding) = file.coding {
            headers.insert(CONTENT_ENCODING, coding.value());
        }
        if self.options.precompressed || self.options.compression.is_some() {
            vary_by_encoding(headers);
        }
    }

    fn listing(&self, ask: &Ask, page: String) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        if ask.head {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
            return response;
        }
        *response.body_mut() = ResponseBody::full(page);
        match &self.options.compression {
            Some(compression) => compression.apply(ask.accept, response),
            None => response,
        }
    }
}

/// The pieces of a file; a short one is read now, so that it is sent together with its head.
async fn content(
    file: Representation,
    pieces: impl IntoIterator<Item = Piece>,
) -> io::Result<ResponseBody> {
    use http_body::Body;
    use http_body_util::BodyExt;
    let mut body = FileBody::new(file.opened.file, pieces);
    if body.size_hint().exact().is_some_and(|length| length > CHUNK) {
        return Ok(ResponseBody::stream(body));
    }
    let mut bytes = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        bytes = if bytes.is_empty() { data } else { [bytes, data].concat().into() };
    }
    Ok(ResponseBody::full(bytes))
}

/// The request's `Range`; two of them are none.
fn single(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut fields = headers.get_all(RANGE).iter();
    fields.next().filter(|_| fields.next().is_none())
}

fn not_found() -> Response<ResponseBody> {
    plain(StatusCode::NOT_FOUND, "there is no such file\n".into())
}

fn failed(uri: &Uri, error: &io::Error) -> Response<ResponseBody> {
    use rustix::io::Errno;
    tracing::error!(path = uri.path(), %error, "a file could not be served");
    if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)) {
        let text = "the server has no room for one more file; try again\n";
        let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text.into());
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
        return response;
    }
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read\n".into())
}
