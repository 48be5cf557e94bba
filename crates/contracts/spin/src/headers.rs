//! The `spin-*` headers: what a component is told of its request beside the request itself.
//!
//! | header | CGI variable | value |
//! | --- | --- | --- |
//! | `spin-path-info` | `PATH_INFO` | what follows the route, where it takes what is below; else empty |
//! | `spin-full-url` | `X_FULL_URL` | scheme, host, path and query |
//! | `spin-matched-route` | `X_MATCHED_ROUTE` | the route with its base, without a slash at its end |
//! | `spin-base-path` | `X_BASE_PATH` | the base, `/` mostly |
//! | `spin-raw-component-route` | `X_RAW_COMPONENT_ROUTE` | the route without its base |
//! | `spin-component-route` | `X_COMPONENT_ROUTE` | the same without `/...` at its end |
//! | `spin-client-addr` | `X_CLIENT_ADDR` | address and port of the client |
//! | `spin-path-match-NAME` | `X_PATH_MATCH_NAME` | the segment that a parameter stands for, still encoded |
//!
//! Source: Spin's `crates/trigger-http/src/headers.rs` (version 2: `crates/trigger-http/src/lib.rs`) and
//! `crates/routes`. Versions 2 to 4 set the same, but for the base, which 3 and 4 no longer have.
//!
//! Spin lets headers of these names through from the client, in front of its own. Here they are taken
//! out: see [`is_reserved`].

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

#[cfg(test)]
mod tests;

/// What is known of a request and the route that took it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The route's path, with its base: `/users/:id/...`. Of a request from another component: `/...`.
    pub route: &'a str,
    /// What of the route is its base: `/` if it has none.
    pub base: &'a str,
    /// What of the path follows the route's fixed part: empty, or beginning with `/`. Of a request from
    /// another component: the whole path.
    pub rest: &'a str,
    /// The route's parameters, with the segments that they stand for.
    pub parameters: &'a [(&'a str, &'a str)],
    /// As received.
    pub uri: &'a Uri,
    /// `host[:port]`, as the client named it; `localhost` if it did not.
    pub host: &'a str,
    /// Whether the request came over TLS.
    pub tls: bool,
    /// The client.
    pub client: SocketAddr,
}

const PARAMETER: &str = "spin-path-match-";

/// Each header's name, and that of the variable of a CGI script.
const NAMES: [(&str, &str); 7] = [
    ("spin-path-info", "PATH_INFO"),
    ("spin-full-url", "X_FULL_URL"),
    ("spin-matched-route", "X_MATCHED_ROUTE"),
    ("spin-base-path", "X_BASE_PATH"),
    ("spin-raw-component-route", "X_RAW_COMPONENT_ROUTE"),
    ("spin-component-route", "X_COMPONENT_ROUTE"),
    ("spin-client-addr", "X_CLIENT_ADDR"),
];

/// Whether a header is one of those that only the host sets: a request from outside must not bring it.
pub fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with(PARAMETER) || NAMES.iter().any(|(own, _)| *own == name)
}

/// Takes out what a client must not bring, and puts the host's own headers in.
pub fn set(headers: &mut HeaderMap, facts: &Facts<'_>) {
    let reserved: Vec<_> = headers.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in reserved {
        headers.remove(name);
    }
    for (name, value) in own(facts) {
        headers.insert(name, value);
    }
}

/// The headers that the host sets. A value that no header can have is left out.
pub fn own(facts: &Facts<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let fixed = NAMES.iter().zip(values(facts)).map(|((name, _), value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()))
    });
    let mut all: Vec<_> = fixed.filter_map(|(name, value)| Some((name, value.ok()?))).collect();
    for (name, value) in facts.parameters {
        let name = format!("{PARAMETER}{}", name.replace('_', "-"));
        // Names of headers are in lower case, whatever a parameter's is.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            all.push((name, value));
        }
    }
    all
}

/// The same as variables of a CGI script, which Spin's executor `wagi` sets over those of WAGI.
pub fn environment(facts: &Facts<'_>) -> Vec<(String, String)> {
    let fixed = NAMES.iter().zip(values(facts));
    let fixed = fixed.map(|((_, name), value)| ((*name).to_owned(), value));
    let parameters = facts.parameters.iter().map(|(name, value)| {
        (format!("X_PATH_MATCH_{}", name.to_ascii_uppercase()), (*value).to_owned())
    });
    fixed.chain(parameters).collect()
}

/// The component that a host name means inside of an application: `cart` for `cart.spin.internal`, with
/// or without a port.
///
/// Spin does not let a component see such a name as its own host: the header `host` of a request to one
/// is taken out.
pub fn component_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let (component, domain) = name.split_once('.')?;
    (domain == "spin.internal" && !component.is_empty()).then_some(component)
}

/// In the order of [`NAMES`].
fn values(facts: &Facts<'_>) -> [String; 7] {
    let route = facts.route.strip_suffix('/').unwrap_or(facts.route);
    let base = facts.base.strip_suffix('/').unwrap_or(facts.base);
    let base =
        if base.is_empty() || base.starts_with('/') { base.into() } else { format!("/{base}") };
    let raw = match route.strip_prefix(&base).unwrap_or(route) {
        "" => "/",
        raw => raw,
    };
    let scheme = if facts.tls { "https" } else { "http" };
    let path_and_query = facts.uri.path_and_query().map_or("/", |both| both.as_str());
    [
        path_info(facts),
        format!("{scheme}://{}{path_and_query}", facts.host),
        route.to_owned(),
        if base.is_empty() { "/".to_owned() } else { base.clone() },
        raw.to_owned(),
        raw.strip_suffix("/...").unwrap_or(raw).to_owned(),
        facts.client.to_string(),
    ]
}

/// Several slashes in a row count as one at either end, as Spin's routes have it.
fn path_info(facts: &Facts<'_>) -> String {
    if !facts.route.ends_with("/...") {
        return String::new();
    }
    let path = facts.rest.trim_matches('/');
    let (before, after) =
        (if path.is_empty() { "" } else { "/" }, if facts.rest.ends_with('/') { "/" } else { "" });
    format!("{before}{path}{after}")
}
