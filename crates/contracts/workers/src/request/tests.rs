#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn a_worker_reads_this() {
    let mut headers = HeaderMap::new();
    headers.insert("Host", "localhost:8080".parse().unwrap());
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    headers.append("accept", "text/html".parse().unwrap());
    headers.append("accept", "*/*".parse().unwrap());
    let url = "http://localhost:8080/users/7?all";
    let mut request = Request::new(url, &Method::POST, &headers, b"hello".to_vec());
    request.entries.set("counter", "1");
    request.parameters.insert("id".into(), "7".into());
    let expected = serde_json::json!({
        "url": url,
        "method": "POST",
        "headers": {
            "accept": "text/html, */*", "cookie": "a=1; b=2", "host": "localhost:8080"
        },
        "body": "hello",
        "kv": { "counter": "1" },
        "params": { "id": "7" },
    });
    let read: serde_json::Value = serde_json::from_slice(&request.to_json()).unwrap();
    assert_eq!(read, expected);
}

#[test]
fn a_body_that_is_no_text_goes_along_as_base64() {
    let request = Request::new("http://a/", &Method::PUT, &HeaderMap::new(), vec![0xff, 0]);
    let read: serde_json::Value = serde_json::from_slice(&request.to_json()).unwrap();
    assert_eq!((&read["body"], &read["body_base64"]), (&"".into(), &"/wA=".into()));
}

proptest! {
    #[test]
    fn it_is_the_same_when_read_again(
        url in ".*",
        method in "[A-Z]+",
        headers in prop::collection::btree_map("[a-z-]+", ".*", 0..4),
        body in prop::collection::vec(any::<u8>(), 0..40),
        kv in prop::collection::btree_map(".*", ".*", 0..4),
        parameters in prop::collection::btree_map(".*", ".*", 0..4),
    ) {
        let entries = kv.into_iter().collect();
        let request = Request { url, method, headers, body, entries, parameters };
        prop_assert_eq!(Request::from_json(&request.to_json()).unwrap(), request);
    }
}
