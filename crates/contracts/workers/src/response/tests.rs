#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(json: serde_json::Value) -> Result<Response, Error> {
    Response::from_json(json.to_string().as_bytes())
}

#[test]
fn a_worker_writes_this() {
    let response = read(json!({
        "data": "Hello", "status": 404, "headers": { "x-generated-by": "reef" },
        "kv": { "counter": "2" }, "base64": false,
    }))
    .unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(response.headers["x-generated-by"], "reef");
    assert_eq!(response.headers["content-type"], "text/html");
    assert_eq!(response.body, b"Hello");
    assert_eq!(response.entries.unwrap().text("counter").unwrap(), "2");
}

#[test]
fn what_is_left_out_has_a_default() {
    let response = read(json!({ "data": null, "status": 204 })).unwrap();
    assert_eq!((response.body.len(), response.entries), (0, None));
    let read = read(json!({ "data": "", "status": 200, "headers": null, "kv": null, "more": 1 }));
    assert_eq!(read.unwrap().entries, None);
}

#[test]
fn base64_is_decoded() {
    let read = |data| read(json!({ "data": data, "status": 200, "base64": true }));
    assert_eq!(read("/wA=").unwrap().body, [0xff, 0]);
    assert_eq!(read("?"), Err(Error::Base64));
}

#[test]
fn headers_are_those_of_http() {
    let headers = json!({
        "Content_Type": "text/plain", "x-number": 7, "x-yes": true, "set-cookie": ["a=1", "b=2"],
        "Connection": "close", "content-length": "7", "x-space": " a ",
    });
    let response = read(json!({ "data": "", "status": 200, "headers": headers })).unwrap();
    assert_eq!(response.headers["content-type"], "text/plain");
    assert_eq!(response.headers["x-number"], "7");
    assert_eq!(response.headers["x-space"], "a");
    assert_eq!(response.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.dropped, ["connection", "content-length"]);
    assert_eq!(response.headers.len(), 6);
}

#[test]
fn a_header_cannot_hold_another() {
    for (name, value) in
        [("a\r\nb", "c"), ("a", "b\r\nc: d"), ("a", "b\nc"), ("", "a"), ("a b", "c")]
    {
        let read = read(json!({ "data": "", "status": 200, "headers": { name: value } }));
        assert!(matches!(read, Err(Error::Header(_))), "{name:?}: {value:?}");
    }
    let many: BTreeMap<_, _> = (0..200).map(|at| (format!("x-{at}"), "")).collect();
    assert_eq!(read(json!({ "data": "", "status": 200, "headers": many })), Err(Error::TooMany));
}

#[test]
fn a_status_is_one_of_a_response() {
    for status in [-1, 0, 99, 101, 600, 70000] {
        let error = read(json!({ "data": "", "status": status })).unwrap_err();
        assert_eq!(error, Error::Status(status));
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    }
}

#[test]
fn output_that_is_no_response_is_shown() {
    assert_eq!(Response::from_json(b" \n"), Err(Error::Empty));
    let error = Response::from_json(b"debug: here\n{\"data\":\"\",\"status\":200}").unwrap_err();
    assert!(error.to_string().contains("in the line \"debug: here\""), "{error}");
    let error = read(json!({ "data": "" })).unwrap_err();
    assert!(error.to_string().contains("missing field `status`"), "{error}");
    let twice = Response::from_json(br#"{"data":"","status":200} {}"#).unwrap_err();
    assert!(twice.to_string().contains("trailing characters"), "{twice}");
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        body in prop::collection::vec(any::<u8>(), 0..40),
        status in 200u16..600,
        headers in prop::collection::btree_map("x-[a-z]{1,8}", "[!-~]{0,8}", 0..6),
        kv in prop::option::of(prop::collection::btree_map(".{0,4}", ".{0,4}", 0..4)),
    ) {
        let base64 = std::str::from_utf8(&body).is_err();
        let data = match std::str::from_utf8(&body) {
            Ok(text) => text.to_owned(),
            Err(_) => BASE64_STANDARD.encode(&body),
        };
        let response = read(json!({
            "data": data, "status": status, "headers": headers, "kv": kv, "base64": base64,
        })).unwrap();
        prop_assert_eq!(response.body, body);
        prop_assert_eq!(response.status.as_u16(), status);
        prop_assert_eq!(response.headers.len(), headers.len() + 1);
        for (name, value) in headers {
            prop_assert_eq!(response.headers.get(&name).unwrap().as_bytes(), value.as_bytes());
        }
        prop_assert_eq!(response.entries, kv.map(|kv| kv.into_iter().collect()));
    }
}
