#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;
use http::Request;
use proptest::prelude::*;

struct Case {
    request: http::request::Parts,
    route: &'static str,
    content_length: Option<u64>,
    default_host: &'static str,
    tls: bool,
}

impl Case {
    fn new(route: &'static str, request: http::request::Builder) -> Self {
        Self {
            request: request.body(()).unwrap().into_parts().0,
            route,
            content_length: Some(0),
            default_host: "localhost:3000",
            tls: false,
        }
    }

    fn facts(&self) -> RequestFacts<'_> {
        // As a router cuts it: a parameter is as long as what it stands for.
        let base = self.route.strip_suffix("/...").unwrap_or(self.route);
        let path = self.request.uri.path();
        let segments = base.matches('/').count();
        let end = path.match_indices('/').nth(segments).map_or(path.len(), |(at, _)| at);
        RequestFacts {
            method: &self.request.method,
            uri: &self.request.uri,
            version: self.request.version,
            headers: &self.request.headers,
            content_length: self.content_length,
            client: IpAddr::from([127, 0, 0, 1]),
            route: self.route,
            path_info: &path[end..],
            default_host: self.default_host,
            tls: self.tls,
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let list = environment(&self.facts());
        let map: BTreeMap<_, _> = list.iter().cloned().collect();
        assert_eq!(map.len(), list.len(), "a name occurs twice: {list:?}");
        map
    }

    fn arguments(&self, template: Option<&str>) -> Vec<String> {
        arguments(template, &self.facts())
    }
}

fn get(uri: &str) -> http::request::Builder {
    Request::get(uri)
}

#[test]
fn the_example_of_the_documents() {
    let case = Case::new(
        "/envwasm/...",
        get("/envwasm/foo?a=1&b")
            .header("host", "localhost:3000")
            .header("user-agent", "curl/7.64.1")
            .header("accept", "*/*"),
    );
    let expected = [
        ("AUTH_TYPE", ""),
        ("CONTENT_LENGTH", "0"),
        ("CONTENT_TYPE", ""),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_HOST", "localhost:3000"),
        ("HTTP_USER_AGENT", "curl/7.64.1"),
        ("PATH_INFO", "/foo"),
        ("PATH_TRANSLATED", "/foo"),
        ("QUERY_STRING", "a=1&b"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_HOST", "127.0.0.1"),
        ("REMOTE_USER", ""),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/envwasm"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "3000"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", "WAGI/1"),
        ("X_FULL_URL", "http://localhost:3000/envwasm/foo?a=1&b"),
        ("X_MATCHED_ROUTE", "/envwasm/..."),
        ("X_RAW_PATH_INFO", "/foo"),
    ];
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(case.environment(), expected);
}

#[test]
fn a_body_has_its_length_and_type() {
    let mut case =
        Case::new("/...", Request::post("/x").header("content-type", "application/json"));
    case.content_length = Some(1234);
    let environment = case.environment();
    assert_eq!(environment["CONTENT_LENGTH"], "1234");
    assert_eq!(environment["CONTENT_TYPE"], "application/json");
    assert_eq!(environment["REQUEST_METHOD"], "POST");

    case.content_length = None;
    assert_eq!(case.environment()["CONTENT_LENGTH"], "");
}

#[test]
fn the_path_is_decoded_once_and_kept_raw_beside() {
    let environment = Case::new("/p/...", get("/p/test%3brun/a%2Fb/+%252f%")).environment();
    assert_eq!(environment["PATH_INFO"], "/test;run/a/b/+%2f%");
    assert_eq!(environment["PATH_TRANSLATED"], environment["PATH_INFO"]);
    assert_eq!(environment["X_RAW_PATH_INFO"], "/test%3brun/a%2Fb/+%252f%");
    assert_eq!(environment["X_FULL_URL"], "http://localhost:3000/p/test%3brun/a%2Fb/+%252f%");
}

#[test]
fn bytes_that_no_environment_can_hold_are_replaced() {
    let environment = Case::new("/...", get("/a%00b%ffc%c3%a9")).environment();
    assert_eq!(environment["PATH_INFO"], "/a\u{fffd}b\u{fffd}cé");
}

#[test]
fn an_exact_route_has_no_path_info() {
    let environment = Case::new("/foo", get("/foo")).environment();
    assert_eq!(environment["PATH_INFO"], "");
    assert_eq!(environment["SCRIPT_NAME"], "/foo");
    assert_eq!(environment["X_MATCHED_ROUTE"], "/foo");
}

#[test]
fn headers_that_could_mislead_the_guest_are_withheld() {
    let case = Case::new(
        "/...",
        get("/")
            .header("proxy", "http://attacker:80")
            .header("authorization", "Basic c2VjcmV0")
            .header("proxy-authorization", "Basic c2VjcmV0")
            .header("connection", "x-test-header")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("te", "trailers")
            .header("trailer", "x-sum")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABk")
            .header("proxy-connection", "keep-alive")
            .header("x_real_ip", "10.0.0.1")
            .header("http~proxy", "http://attacker:80")
            .header("x-test-header", "hello"),
    );
    let environment = case.environment();
    let headers: Vec<_> = environment.keys().filter(|name| name.starts_with("HTTP_")).collect();
    assert_eq!(headers, ["HTTP_X_TEST_HEADER"]);
}

/// A client cannot replace a variable: what it sends is told apart by `HTTP_`.
#[test]
fn no_header_replaces_a_variable() {
    let names = META_VARIABLES.map(|name| name.to_lowercase().replace('_', "-"));
    let request = names.iter().fold(get("/"), |request, name| request.header(name, "evil"));
    let environment = Case::new("/...", request).environment();
    for name in META_VARIABLES {
        // The one header that is a variable.
        let expected = if name == "CONTENT_TYPE" { "evil" } else { "" };
        assert_eq!(environment[name].matches("evil").collect::<String>(), expected, "{name}");
    }
    // RFC 9110 section 5.5: the host's HTTP library lets no line break or NUL through.
    for value in ["a\r\nb", "a\nHTTP_PROXY=b", "a\0b", "a\u{7f}"] {
        assert!(HeaderValue::from_bytes(value.as_bytes()).is_err(), "{value:?}");
    }
    let request = get("/").header("x-tab", "a\tb").header("x-latin", &b"caf\xe9"[..]);
    let environment = Case::new("/...", request).environment();
    assert_eq!(environment["HTTP_X_TAB"], "a\tb");
    assert_eq!(environment["HTTP_X_LATIN"], "caf\u{fffd}");
}

#[test]
fn repeated_headers_are_joined() {
    let case = Case::new(
        "/...",
        get("/")
            .header("accept", "text/html")
            .header("cookie", "a=1")
            .header("accept", "text/plain")
            .header("cookie", "b=2"),
    );
    assert_eq!(case.environment()["HTTP_ACCEPT"], "text/html, text/plain");
    assert_eq!(case.environment()["HTTP_COOKIE"], "a=1; b=2");
}

#[test]
fn server_name_and_port_follow_the_precedence() {
    let host = |host: &str, default_host, uri: &str| {
        let mut case = Case::new("/...", get(uri).header("host", host));
        case.default_host = default_host;
        let environment = case.environment();
        format!("{} {}", environment["SERVER_NAME"], environment["SERVER_PORT"])
    };
    assert_eq!(host("wagi.net:31337", "example.com:1234", "http://h:443/"), "wagi.net 31337");
    assert_eq!(host("wagi.net", "example.com:1234", "http://h:443/"), "wagi.net 1234");
    assert_eq!(host("", "example.com:1234", "http://h:443/"), "example.com 1234");
    assert_eq!(host("", "", "http://localhost:8080/"), "localhost 8080");
    assert_eq!(host("", "", "/"), "localhost 80");
    assert_eq!(host("[::1]:8080", "", "/"), "[::1] 8080");
    assert_eq!(host("user@evil.example:99", "example.com:1234", "/"), "example.com 1234");
    assert_eq!(host("wagi.net:99999", "example.com:1234", "/"), "wagi.net 1234");

    let mut case = Case::new("/...", get("/").header("host", "wagi.net"));
    (case.default_host, case.tls) = ("", true);
    assert_eq!(case.environment()["SERVER_PORT"], "443");
    assert_eq!(case.environment()["X_FULL_URL"], "https://wagi.net:443/");
}

#[test]
fn the_http2_authority_is_the_host() {
    let case = Case::new("/...", get("https://wagi.net:8443/x").version(Version::HTTP_2));
    let environment = case.environment();
    assert_eq!(environment["HTTP_HOST"], "wagi.net:8443");
    assert_eq!(environment["SERVER_NAME"], "wagi.net");
    assert_eq!(environment["SERVER_PROTOCOL"], "HTTP/2.0");

    let case = Case::new("/...", get("http://wagi.net:8443/x"));
    assert_eq!(case.environment()["SERVER_NAME"], "localhost");
}

#[test]
fn arguments_are_the_path_and_the_query() {
    let case = Case::new("/...", get("/env?greet=matt&foo=b%20r"));
    let words = ["/env", "greet=matt", "foo=b%20r"];
    assert_eq!(case.arguments(None), words);
    assert_eq!(case.arguments(Some(DEFAULT_ARGV)), words);
    assert_eq!(Case::new("/...", get("/env")).arguments(None), ["/env"]);
    assert_eq!(Case::new("/...", get("/?a&&b")).arguments(None), ["/", "a", "", "b"]);
    assert_eq!(Case::new("/...", get("/?a&&b")).arguments(Some(DEFAULT_ARGV)), ["/", "a", "b"]);
}

#[test]
fn a_template_sets_the_arguments() {
    let case = Case::new("/...", get("/env?a=1&b=2"));
    assert_eq!(
        case.arguments(Some("${SCRIPT_NAME} -v  /lib/hello.rb ${SCRIPT_NAME} ${ARGS}")),
        ["/env", "-v", "/lib/hello.rb", "/env", "a=1", "b=2"]
    );
    assert_eq!(case.arguments(Some("tool --query=${ARGS}!")), ["tool", "--query=a=1", "b=2!"]);
    assert_eq!(case.arguments(Some("$ ${OTHER} $${ARGS}")), ["$", "${OTHER}", "$a=1", "b=2"]);
    assert_eq!(case.arguments(Some("")), [""; 0]);
}

#[test]
fn what_a_client_sends_is_no_template() {
    let case = Case::new("/...", get("/${ARGS}?${SCRIPT_NAME}"));
    assert_eq!(case.arguments(Some(DEFAULT_ARGV)), ["/${ARGS}", "${SCRIPT_NAME}"]);
}

proptest! {
    /// Whatever a client sends, every variable can stand in a list of NUL-terminated `NAME=value`.
    #[test]
    fn the_environment_is_always_well_formed(
        path in "(/[a-z%0-9é]{0,6}){1,4}",
        query in "[a-z&=%0-9]{0,12}",
        headers in prop::collection::vec(("[A-Za-z_!-]{1,8}", prop::collection::vec(any::<u8>(), 0..9)), 0..8),
    ) {
        let mut request = get(&format!("{path}?{query}"));
        for (name, value) in &headers {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request = request.header(name, value);
            }
        }
        let case = Case::new("/...", request);
        let environment = case.environment();
        prop_assert!(META_VARIABLES.iter().all(|name| environment.contains_key(*name)));
        let other = |name: &&String| !META_VARIABLES.contains(&name.as_str());
        prop_assert!(environment.keys().filter(other).all(|name| name.starts_with("HTTP_")));
        for (name, value) in environment {
            prop_assert!(!name.contains(['=', '\0']) && !name.is_empty());
            prop_assert!(!value.contains('\0'));
        }
        for argument in case.arguments(None) {
            prop_assert!(!argument.contains('\0'));
        }
    }

    #[test]
    fn percent_encoding_everything_is_undone(text in "[^\0]{0,20}") {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        prop_assert_eq!(percent_decode(&encoded), text);
    }
}
