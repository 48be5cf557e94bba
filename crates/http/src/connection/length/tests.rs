#![allow(clippy::unwrap_used, reason = "tests")]

use http_body_util::StreamBody;

use super::*;

fn response(status: u16, lengths: &[&str], body: ResponseBody) -> Response<ResponseBody> {
    let mut builder = Response::builder().status(status).header(TRANSFER_ENCODING, "chunked");
    for length in lengths {
        builder = builder.header(CONTENT_LENGTH, *length);
    }
    builder.body(body).unwrap()
}

fn stream() -> ResponseBody {
    let none = futures::stream::empty::<Result<Frame<Bytes>, BoxError>>();
    ResponseBody::stream(StreamBody::new(none))
}

fn data(bytes: &'static [u8]) -> Option<Result<Frame<Bytes>, BoxError>> {
    Some(Ok(Frame::data(Bytes::from_static(bytes))))
}

#[test]
fn a_body_that_is_known_has_the_length_that_its_head_says() {
    for (status, lengths, body, is_head, fits) in [
        (200, &["5"][..], "short", false, true),
        (200, &["5", "5"], "short", false, true),
        (200, &[], "short", false, true),
        (200, &["2"], "short", false, false),
        (200, &["9999"], "short", false, false),
        (200, &["1"], "", false, false),
        (200, &["5", "6"], "short", false, false),
        (200, &["5, 5"], "short", false, false),
        (200, &["+5"], "short", false, false),
        (200, &[""], "", false, false),
        (200, &["99999999999999999999"], "", true, false),
        (200, &["2"], "short", true, false),
        // A body that is not sent may be spoken of.
        (200, &["9999"], "", true, true),
        (304, &["9999"], "", false, true),
        (204, &["9999"], "", false, true),
    ] {
        let mut response = response(status, lengths, ResponseBody::full(body));
        let case = format!("{status} {lengths:?} {body:?} {is_head}");
        assert_eq!(announced(&mut response, is_head).is_ok(), fits, "{case}");
        assert!(!response.headers().contains_key(TRANSFER_ENCODING), "{case}");
        let said = response.headers().get(CONTENT_LENGTH);
        if fits && !(is_head || status == 304) {
            assert_eq!(said, None, "{case}");
        }
    }
}

#[test]
fn a_stream_is_held_to_what_was_announced() {
    let of = |lengths: &[&str], is_head| announced(&mut response(200, lengths, stream()), is_head);
    assert_eq!(of(&["5"], false), Ok(Some(5)));
    assert_eq!(of(&["5"], true), Ok(None));
    assert_eq!(of(&[], false), Ok(None));
    assert_eq!(of(&["5", "4"], false), Err(LengthFault::Ambiguous));

    let mut left = 5;
    assert!(keep(&mut left, data(b"abc")).is_some_and(|frame| frame.is_ok()));
    assert!(keep(&mut left, data(b"de")).is_some_and(|frame| frame.is_ok()));
    assert!(keep(&mut left, None).is_none());
    assert!(keep(&mut left, data(b"f")).is_some_and(|frame| frame.is_err()));

    let mut left = 5;
    assert!(keep(&mut left, data(b"abc")).is_some_and(|frame| frame.is_ok()));
    assert!(keep(&mut left, None).is_some_and(|frame| frame.is_err()));
    assert!(keep(&mut left, None).is_none());
}
