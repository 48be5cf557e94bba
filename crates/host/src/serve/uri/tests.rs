#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn target(uri: &str, host: Option<&str>, tls: bool) -> String {
    let mut request = Request::new(());
    *request.uri_mut() = uri.parse().unwrap();
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host.parse().unwrap());
    }
    let local = "127.0.0.1:8080".parse().unwrap();
    absolute(&mut request, &Peer { remote: local, local, tls });
    request.uri().to_string()
}

#[test]
fn the_host_comes_from_the_target_then_the_header_then_the_connection() {
    assert_eq!(target("http://a.test/x?y", Some("b.test"), false), "http://a.test/x?y");
    assert_eq!(target("/x?y", Some("b.test:81"), false), "http://b.test:81/x?y");
    assert_eq!(target("/x", None, false), "http://127.0.0.1:8080/x");
    assert_eq!(target("/x", Some("not a host"), false), "http://127.0.0.1:8080/x");
}

#[test]
fn the_scheme_is_the_connections_whatever_the_client_says() {
    assert_eq!(target("/x", Some("a.test"), true), "https://a.test/x");
    assert_eq!(target("http://a.test/x", None, true), "https://a.test/x");
}

#[test]
fn a_target_that_is_no_path_is_kept() {
    assert_eq!(target("*", Some("a.test"), false), "http://a.test*");
}
