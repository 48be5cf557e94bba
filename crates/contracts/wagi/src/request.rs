//! A request as a CGI environment and an argument list.

use std::borrow::Cow;
use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

#[cfg(test)]
mod tests;

/// The value of `GATEWAY_INTERFACE`.
pub const GATEWAY_INTERFACE: &str = "CGI/1.1";

/// The value of `SERVER_SOFTWARE`. Guests test for it, so it is WAGI's own and not the host's name.
pub const SERVER_SOFTWARE: &str = "WAGI/1";

/// The `argv` template that stands for "no template" in WAGI and Spin manifests.
pub const DEFAULT_ARGV: &str = "${SCRIPT_NAME} ${ARGS}";

/// The names of the variables that every request has. The others begin with `HTTP_`.
pub const META_VARIABLES: [&str; 19] = [
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "X_FULL_URL",
    "X_MATCHED_ROUTE",
    "X_RAW_PATH_INFO",
];

const SCRIPT_NAME: &str = "${SCRIPT_NAME}";
const ARGS: &str = "${ARGS}";

/// What the host knows of one request, borrowed from where it lies.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    pub method: &'a Method,
    /// As received: the path and query stay percent-encoded.
    pub uri: &'a Uri,
    pub version: Version,
    pub headers: &'a HeaderMap,
    /// Bytes of body that the guest will read from standard input; `Some(0)` without a body,
    /// `None` where the body is streamed and its length unknown.
    pub content_length: Option<u64>,
    /// The client's address.
    pub client: IpAddr,
    /// The pattern of the route that matched `uri`, such as `/files/...`.
    pub route: &'a str,
    /// What of the path follows that route's base, still encoded: the end of `uri`'s path.
    pub path_info: &'a str,
    /// `host[:port]` that this server answers as; used where the request does not say.
    pub default_host: &'a str,
    /// Whether the request came over TLS.
    pub tls: bool,
}

/// The meta-variables of a request, each name once, in a fixed order.
///
/// A workload's own environment variables go in before these, so that they cannot replace one
/// (WAGI does the same; it is why variables without a value are present and empty).
///
/// The names and values are those of WAGI's `environment_variables.md`; RFC 3875 section 4.1 where
/// that is silent. Deliberate differences from the WAGI server:
///
/// * a header sent several times is one variable with the values joined (`, `, and `; ` for
///   cookies), as RFC 3875 section 4.1.18 demands; WAGI keeps the last one;
/// * `Proxy` is dropped (HTTP libraries in guests would take `HTTP_PROXY` for configuration), and so
///   are `Proxy-Authorization` beside `Authorization` and `Connection`, the other headers of the
///   connection (`Transfer-Encoding` would tell of chunks that are no longer there), and every name
///   with a character other than a letter, a digit or `-` (`X_Real_IP` would pass for `X-Real-IP`);
/// * `CONTENT_LENGTH` is empty for a body of unknown length: the guest reads to the end;
/// * `X_RAW_PATH_INFO`, `X_FULL_URL` and the `HTTP_` values are what was sent, with bytes that are not
///   UTF-8 replaced; a control character other than a tab cannot come that far (RFC 9110 section 5.5);
/// * in HTTP/2 the `:authority` counts as the `Host` header;
/// * a NUL byte (`%00`) in `PATH_INFO` becomes U+FFFD, like bytes that are not UTF-8, because a WASI
///   environment is a list of NUL-terminated strings.
pub fn environment(facts: &RequestFacts<'_>) -> Vec<(String, String)> {
    let path = facts.uri.path();
    let path_info = percent_decode(facts.path_info);
    // Never empty.
    let script_name = match path.strip_suffix(facts.path_info).unwrap_or(path) {
        "" => "/",
        base => base,
    };
    let (server_name, server_port) = server_name_and_port(facts);
    let scheme = if facts.tls { "https" } else { "http" };
    let path_and_query = facts.uri.path_and_query().map_or("", |both| both.as_str());
    let client = facts.client.to_string();
    let content_type = facts.headers.get(header::CONTENT_TYPE).map(header_text).unwrap_or_default();

    let mut variables: Vec<(String, String)> = [
        ("AUTH_TYPE", String::new()),
        (
            "CONTENT_LENGTH",
            facts.content_length.map(|length| length.to_string()).unwrap_or_default(),
        ),
        ("CONTENT_TYPE", content_type.into_owned()),
        ("GATEWAY_INTERFACE", GATEWAY_INTERFACE.to_owned()),
        ("PATH_INFO", path_info.clone()),
        ("PATH_TRANSLATED", path_info),
        ("QUERY_STRING", facts.uri.query().unwrap_or_default().to_owned()),
        ("REMOTE_ADDR", client.clone()),
        ("REMOTE_HOST", client),
        ("REMOTE_USER", String::new()),
        ("REQUEST_METHOD", facts.method.to_string()),
        ("SCRIPT_NAME", script_name.to_owned()),
        ("SERVER_NAME", server_name.clone()),
        ("SERVER_PORT", server_port.to_string()),
        ("SERVER_PROTOCOL", format!("{:?}", facts.version)),
        ("SERVER_SOFTWARE", SERVER_SOFTWARE.to_owned()),
        ("X_FULL_URL", format!("{scheme}://{server_name}:{server_port}{path_and_query}")),
        ("X_MATCHED_ROUTE", facts.route.to_string()),
        ("X_RAW_PATH_INFO", facts.path_info.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();

    variables.extend(
        facts
            .headers
            .keys()
            .filter(|name| reaches_the_guest(name))
            .map(|name| (variable_name(name), joined_values(facts.headers, name))),
    );
    if !facts.headers.contains_key(header::HOST)
        && let Some(authority) = http2_authority(facts)
    {
        variables.push(("HTTP_HOST".to_owned(), authority.to_string()));
    }
    variables
}

/// The arguments that the guest is started with.
///
/// Without a template: the path of the request, then the query cut at every `&`, each part as
/// received (`/env?greet=matt&foo=bar` is `/env`, `greet=matt`, `foo=bar`). With a template, as
/// `argv` in `modules.toml` and `spin.toml`: `${SCRIPT_NAME}` stands for the path, `${ARGS}` for the
/// parts of the query separated by spaces, and the whole is cut at white space. What was put in is
/// not searched for placeholders again. [`DEFAULT_ARGV`] differs from no template only in that
/// empty parts vanish.
pub fn arguments(template: Option<&str>, facts: &RequestFacts<'_>) -> Vec<String> {
    let path = facts.uri.path();
    let Some(mut rest) = template else {
        let query = facts.uri.query().into_iter().flat_map(|query| query.split('&'));
        return std::iter::once(path).chain(query).map(str::to_owned).collect();
    };

    let query = facts.uri.query().unwrap_or_default().replace('&', " ");
    let mut line = String::with_capacity(rest.len() + path.len() + query.len());
    while let Some(at) = rest.find('$') {
        line.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(SCRIPT_NAME) {
            line.push_str(path);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(ARGS) {
            line.push_str(&query);
            rest = after;
        } else {
            line.push('$');
            rest = &rest[1..];
        }
    }
    line.push_str(rest);
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Host and port by WAGI's precedence: what the client asked for, then what the server answers as,
/// then the request target, then `localhost` and the scheme's port. Name and port are looked for
/// one by one, so a `Host` without a port takes the server's.
fn server_name_and_port(facts: &RequestFacts<'_>) -> (String, u16) {
    let asked = match facts.headers.get(header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => http2_authority(facts).cloned(),
    };
    let sources =
        [asked, facts.default_host.parse().ok(), facts.uri.authority().cloned()].map(|source| {
            // User information has no place in a host (RFC 9110 section 4.2.4).
            source.filter(|authority: &Authority| !authority.as_str().contains('@'))
        });
    let name = sources
        .iter()
        .flatten()
        .map(Authority::host)
        .find(|host| !host.is_empty())
        .unwrap_or("localhost")
        .to_owned();
    let port = sources.iter().flatten().find_map(Authority::port_u16).unwrap_or(if facts.tls {
        443
    } else {
        80
    });
    (name, port)
}

fn http2_authority<'a>(facts: &RequestFacts<'a>) -> Option<&'a Authority> {
    if facts.version >= Version::HTTP_2 { facts.uri.authority() } else { None }
}

/// RFC 3875 section 4.1.18 lets a server withhold headers that carry credentials or concern the
/// connection only.
fn reaches_the_guest(name: &HeaderName) -> bool {
    const WITHHELD: [&str; 11] = [
        "authorization",
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    !WITHHELD.contains(&name.as_str())
        && name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn variable_name(name: &HeaderName) -> String {
    let upper = name.as_str().bytes().map(|byte| match byte {
        b'-' => '_',
        other => char::from(other.to_ascii_uppercase()),
    });
    "HTTP_".chars().chain(upper).collect()
}

fn joined_values(headers: &HeaderMap, name: &HeaderName) -> String {
    let separator = if name == header::COOKIE { "; " } else { ", " };
    let values: Vec<_> = headers.get_all(name).iter().map(header_text).collect();
    values.join(separator)
}

fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Undoes percent-encoding (RFC 3986 section 2.1); what is not an escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).replace('\0', "\u{fffd}")
}
