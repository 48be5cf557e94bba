//! Compression of answers on the way out.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderValue, VARY,
};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::{BoxError, ResponseBody};
use crate::encoding::{AcceptEncoding, Coding};

/// The codings made here, the preferred first.
const MADE: [Coding; 2] = [Coding::Brotli, Coding::Gzip];

/// Bytes given to a coder at once.
const SLICE: usize = 16 * 1024;

/// Bytes after which other tasks of the worker get their turn: some milliseconds of work.
const TURN: usize = 128 * 1024;

/// A body that is there already and not longer than this is compressed at once, so that its answer
/// has a length.
const AT_ONCE: usize = 16 * 1024;

/// How answers are compressed. Cheap to clone; all clones count their streams together.
///
/// Where a page repeats what a client sent beside what only its user may know, the length of the
/// compressed answer tells a listener of both (BREACH). It is therefore a choice for each route.
#[derive(Clone, Debug)]
pub struct Compression {
    min_size: u64,
    gzip_level: u32,
    brotli_quality: u32,
    places: Arc<Semaphore>,
}

impl Default for Compression {
    fn default() -> Self {
        Self::new(1024, 256)
    }
}

impl Compression {
    /// Compresses answers of at least `min_size` bytes, or of unknown length, and at most
    /// `max_streams` long or streamed ones at once (in gzip each holds 400 KiB, in brotli 2 MiB);
    /// others go out as they are. By default that is from 1 KiB on, and 256 at once.
    pub fn new(min_size: u64, max_streams: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_streams.min(Semaphore::MAX_PERMITS)));
        Self { min_size, gzip_level: 5, brotli_quality: 4, places }
    }

    /// Compresses an answer if the client takes it and it is worth it: a type that compresses, not
    /// encoded yet, not a part of something, and not `Cache-Control: no-transform`.
    ///
    /// What streams keeps streaming: whatever has come is sent as soon as the body has to be waited
    /// for. The `ETag` becomes weak, since these bytes are made anew each time (RFC 9110 section
    /// 8.8.1), and `Vary` says that the choice was made, also where nothing was compressed.
    pub fn apply(
        &self,
        accept: AcceptEncoding,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        if !self.may_compress(&response) {
            return response;
        }
        vary_by_encoding(response.headers_mut());
        let Some(coding) = accept.best(MADE) else { return response };
        if let Some(whole) = response.body().held().filter(|whole| whole.len() <= AT_ONCE) {
            if let Ok(short) = self.at_once(coding, whole)
                && short.len() < whole.len()
            {
                mark(response.headers_mut(), coding);
                *response.body_mut() = ResponseBody::full(short);
            }
            return response;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return response };
        mark(response.headers_mut(), coding);
        let coder = Coder::new(coding, self, 18);
        response.map(|body| {
            ResponseBody::stream(Compressed {
                body,
                input: Bytes::new(),
                coder: Some((coder, place)),
                unflushed: false,
                worked: 0,
                trailers: None,
            })
        })
    }

    /// Whether something of this type and length would be compressed for this client.
    pub(crate) fn chooses(&self, accept: AcceptEncoding, kind: &str, length: u64) -> bool {
        length >= self.min_size && is_compressible(kind.as_bytes()) && accept.best(MADE).is_some()
    }

    fn may_compress(&self, response: &Response<ResponseBody>) -> bool {
        let headers = response.headers();
        let status = response.status();
        let no_body = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
            || status == StatusCode::NOT_MODIFIED;
        if no_body || status == StatusCode::PARTIAL_CONTENT || response.body().is_end_stream() {
            return false;
        }
        // A digest is one of the bytes as they are (RFC 9530).
        let bound = ["content-digest", "repr-digest", "digest"];
        if headers.contains_key(CONTENT_ENCODING)
            || headers.contains_key(CONTENT_RANGE)
            || bound.iter().any(|name| headers.contains_key(*name))
            || names(headers, CACHE_CONTROL, "no-transform")
        {
            return false;
        }
        let length = response.body().size_hint().exact().or_else(|| {
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
        });
        length.is_none_or(|length| length >= self.min_size)
            && headers.get(CONTENT_TYPE).is_some_and(|kind| is_compressible(kind.as_bytes()))
    }

    fn at_once(&self, coding: Coding, whole: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut coder = Coder::new(coding, self, 14);
        coder.write(whole)?;
        coder.finish()
    }
}

/// Whether a comma-separated field has an element, by name.
fn names(headers: &HeaderMap, field: http::HeaderName, wanted: &str) -> bool {
    headers.get_all(field).iter().any(|line| {
        let mut elements = line.as_bytes().split(|byte| *byte == b',');
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// Says that the answer depends on `Accept-Encoding` (RFC 9110 section 12.5.5).
pub(crate) fn vary_by_encoding(headers: &mut HeaderMap) {
    if !names(headers, VARY, "*") && !names(headers, VARY, "accept-encoding") {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, coding.value());
    headers.remove(CONTENT_LENGTH);
    // Ranges would be of other bytes.
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
}

/// Says of a tag that it is one of the content, not of the bytes.
pub(crate) fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(strong) = strong {
        let weak = [b"W/", strong.as_bytes()].concat();
        if let Ok(weak) = HeaderValue::from_bytes(&weak) {
            headers.insert(ETAG, weak);
        }
    }
}

/// Whether bytes of a media type are worth compressing: text in all its forms, and what else is not
/// compressed by itself.
pub(crate) fn is_compressible(media_type: &[u8]) -> bool {
    const OTHERS: [&str; 14] = [
        "application/javascript",
        "application/json",
        "application/manifest",
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-sh",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
    ];
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let ends = |suffix: &str| {
        let start = essence.len().checked_sub(suffix.len());
        start.is_some_and(|start| essence[start..].eq_ignore_ascii_case(suffix.as_bytes()))
    };
    essence.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
        || ["+json", "+xml", "+text", "+yaml"].into_iter().any(ends)
        || OTHERS.iter().any(|other| essence.eq_ignore_ascii_case(other.as_bytes()))
}

/// A coder that writes to memory.
enum Coder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
}

impl Coder {
    /// `window`: how far back brotli looks, in bits. It decides its memory.
    fn new(coding: Coding, how: &Compression, window: u32) -> Self {
        match coding {
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                4096,
                how.brotli_quality,
                window,
            ))),
            Coding::Gzip | Coding::Zstd => {
                let level = flate2::Compression::new(how.gzip_level);
                Self::Gzip(Box::new(GzEncoder::new(Vec::new(), level)))
            }
        }
    }

    fn write(&mut self, input: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Gzip(coder) => coder.write_all(input),
            Self::Brotli(coder) => coder.write_all(input),
        }
    }

    /// Lets everything out that was written.
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Gzip(coder) => coder.flush(),
            Self::Brotli(coder) => coder.flush(),
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(coder) => coder.get_mut(),
            Self::Brotli(coder) => coder.get_mut(),
        }
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(coder) => coder.finish(),
            Self::Brotli(coder) => Ok(coder.into_inner()),
        }
    }
}

/// A body that is compressed as it comes.
struct Compressed {
    body: ResponseBody,
    /// What of the last piece was not written to the coder yet.
    input: Bytes,
    /// `None` once the last bytes are out.
    coder: Option<(Coder, OwnedSemaphorePermit)>,
    /// Something was written to the coder since it was flushed.
    unflushed: bool,
    /// Bytes coded since other tasks had their turn.
    worked: usize,
    trailers: Option<HeaderMap>,
}

impl Compressed {
    fn finish(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        match self.coder.take()?.0.finish() {
            Ok(last) => Some(Ok(Frame::data(last.into()))),
            Err(error) => Some(Err(error.into())),
        }
    }

    fn after_the_end(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))
    }
}

impl Body for Compressed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let Some((coder, _)) = &mut this.coder else {
                return Poll::Ready(this.after_the_end());
            };
            if !this.input.is_empty() {
                if this.worked >= TURN {
                    this.worked = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let slice = this.input.len().min(SLICE);
                coder.write(&this.input[..slice])?;
                this.input.advance(slice);
                this.worked += slice;
                this.unflushed = true;
                if coder.output().len() >= SLICE {
                    let output = std::mem::take(coder.output());
                    return Poll::Ready(Some(Ok(Frame::data(output.into()))));
                }
                continue;
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(this.finish()),
                Poll::Ready(Some(Err(error))) => {
                    this.coder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.input = data,
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        return Poll::Ready(this.finish());
                    }
                },
                // Nothing more for now: what is there is not held back.
                Poll::Pending => {
                    this.worked = 0;
                    if !std::mem::take(&mut this.unflushed) {
                        return Poll::Pending;
                    }
                    coder.flush()?;
                    let output = std::mem::take(coder.output());
                    if output.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(output.into()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.coder.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests;
