#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::Read;
use std::task::Waker;

use super::*;

fn response(kind: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    Response::builder().header(CONTENT_TYPE, kind).header(ETAG, "\"a\"").body(body).unwrap()
}

fn accept(line: &str) -> AcceptEncoding {
    AcceptEncoding::parse([line.as_bytes()])
}

fn text(length: usize) -> Vec<u8> {
    b"some text that repeats itself ".iter().copied().cycle().take(length).collect()
}

/// A body of pieces; `None` is a wait.
struct Pieces(std::collections::VecDeque<Option<Result<Frame<Bytes>, BoxError>>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(None) => Poll::Pending,
            Some(Some(frame)) => Poll::Ready(Some(frame)),
        }
    }
}

fn pieces(list: Vec<Option<Frame<Bytes>>>) -> ResponseBody {
    ResponseBody::stream(Pieces(list.into_iter().map(|piece| piece.map(Ok)).collect()))
}

fn poll(body: &mut ResponseBody) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Everything, however often it waits, and the trailers.
fn drain(mut body: ResponseBody) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut bytes, mut trailers) = (Vec::new(), None);
    loop {
        match poll(&mut body) {
            Poll::Pending => {}
            Poll::Ready(None) => return (bytes, trailers),
            Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}

fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap(),
        other => panic!("{other}"),
    };
    plain
}

#[test]
fn both_codings_give_the_bytes_back() {
    let how = Compression::default();
    for coding in ["gzip", "br"] {
        for length in [1024, 16 * 1024, 16 * 1024 + 1, 1 << 20] {
            let answer =
                how.apply(accept(coding), response("text/plain", ResponseBody::full(text(length))));
            assert_eq!(answer.headers()[CONTENT_ENCODING], coding);
            assert_eq!(answer.headers()[VARY], "accept-encoding");
            assert_eq!(answer.headers()[ETAG], "W/\"a\"");
            let (bytes, _) = drain(answer.into_body());
            assert!(bytes.len() < length / 4);
            assert!(decoded(coding, &bytes) == text(length), "{coding} {length}");
        }
    }
}

#[test]
fn what_has_come_is_sent_before_the_next_wait() {
    let how = Compression::default();
    for coding in ["gzip", "br"] {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let frame = |text: &'static str| Some(Frame::data(Bytes::from_static(text.as_bytes())));
        let list = vec![
            frame("data: 1\n\n"),
            None,
            frame("data: 2\n\n"),
            None,
            None,
            Some(Frame::trailers(trailers)),
        ];
        let mut body =
            how.apply(accept(coding), response("text/event-stream", pieces(list))).into_body();
        let mut came = Vec::new();
        for expected in ["data: 1\n\n", "data: 1\n\ndata: 2\n\n"] {
            let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!("held back") };
            came.extend_from_slice(frame.data_ref().unwrap());
            let mut plain = [0; 100];
            let mut read = 0;
            // The end is not there yet: read what is.
            let mut gzip = flate2::read::GzDecoder::new(&came[..]);
            let mut br = brotli::Decompressor::new(&came[..], 4096);
            while read < expected.len() {
                read += if coding == "gzip" {
                    gzip.read(&mut plain[read..])
                } else {
                    br.read(&mut plain[read..])
                }
                .unwrap();
            }
            assert_eq!(&plain[..read], expected.as_bytes());
            // The flush used the wait up that it was made for.
            assert!(expected.len() < 10 || poll(&mut body).is_pending());
        }
        let (rest, trailers) = drain(body);
        came.extend(rest);
        assert_eq!(decoded(coding, &came), b"data: 1\n\ndata: 2\n\n");
        assert_eq!(trailers.unwrap()["x-sum"], "1");
    }
}

#[test]
fn what_is_not_to_be_touched_is_not() {
    let how = Compression::default();
    let long = || ResponseBody::full(text(5000));
    let with = |name: &'static str, value: &'static str| {
        let mut response = response("text/plain", long());
        response.headers_mut().insert(name, value.parse().unwrap());
        response
    };
    let mut partial = response("text/plain", long());
    *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
    for untouched in [
        response("image/png", long()),
        response("text/plain", ResponseBody::full(text(1023))),
        response("text/plain", ResponseBody::empty()),
        Response::new(long()),
        with("content-encoding", "br"),
        with("content-range", "bytes 0-4999/6000"),
        with("cache-control", "max-age=1, No-Transform"),
        with("repr-digest", "sha-256=:AAAA:"),
        partial,
    ] {
        let before = untouched.headers().clone();
        let answer = how.apply(accept("gzip, br"), untouched);
        assert_eq!(*answer.headers(), before);
    }
    // It could have been: caches must know.
    let answer = how.apply(accept("zstd"), response("text/plain", long()));
    assert_eq!(
        (answer.headers().get(CONTENT_ENCODING), &answer.headers()[VARY]),
        (None, &"accept-encoding".parse().unwrap())
    );
    assert_eq!(answer.headers()[ETAG], "\"a\"");
    let answer = how.apply(accept("br"), with("vary", "Origin, Accept-Encoding"));
    assert_eq!(answer.headers().get_all(VARY).iter().count(), 1);
}

#[test]
fn streams_over_the_limit_go_out_as_they_are() {
    let how = Compression::new(0, 1);
    let long = || response("text/plain", ResponseBody::full(text(100_000)));
    let first = how.apply(accept("gzip"), long());
    let second = how.apply(accept("gzip"), long());
    assert!(first.headers().contains_key(CONTENT_ENCODING));
    assert!(!second.headers().contains_key(CONTENT_ENCODING));
    drop(first);
    assert!(how.apply(accept("gzip"), long()).headers().contains_key(CONTENT_ENCODING));
}

#[test]
fn an_error_of_the_body_is_an_error_of_the_answer() {
    let list = [Some(Ok(Frame::data(Bytes::from(text(100))))), Some(Err("broken".into()))];
    let body = ResponseBody::stream(Pieces(list.into()));
    let mut body =
        Compression::new(0, 9).apply(accept("gzip"), response("text/css", body)).into_body();
    let Poll::Ready(Some(Err(error))) = poll(&mut body) else { panic!("no error") };
    assert_eq!(error.to_string(), "broken");
}

#[test]
fn types_are_known_by_their_kind() {
    for kind in [
        "text/html; charset=utf-8",
        "TEXT/CSS",
        "application/json",
        "image/svg+xml",
        "application/problem+json ;x=y",
        "application/wasm",
    ] {
        assert!(is_compressible(kind.as_bytes()), "{kind}");
    }
    for kind in
        ["", "text", "image/png", "application/zip", "video/mp4", "application/jsonx", "font/woff2"]
    {
        assert!(!is_compressible(kind.as_bytes()), "{kind}");
    }
}
