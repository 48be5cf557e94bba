//! Which workload answers a request: by host, then by the longest path.

use std::collections::HashMap;
use std::fmt;

/// The longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST: usize = 253;

/// Routes requests to values of `T`. Built once with [`RouterBuilder`], then immutable; a look-up
/// allocates nothing and takes time linear in the length of host and path.
///
/// Paths are compared as they were sent: nothing is percent-decoded, and `.` and `..` are segments
/// like others.
#[derive(Debug)]
pub struct Router<T> {
    routes: Vec<(Route, T)>,
    exact: HashMap<Box<str>, Node>,
    /// By what follows `*.`, the longest first.
    wildcard: Vec<(Box<str>, Node)>,
    any: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    exact: Option<usize>,
    prefix: Option<usize>,
}

/// A pattern of hosts and paths.
///
/// | path | takes |
/// | --- | --- |
/// | `/` | only `/` |
/// | `/api` | only `/api` |
/// | `/api/...` | `/api` and everything below `/api/` |
/// | `/...` | everything |
///
/// | host | takes |
/// | --- | --- |
/// | none | every host |
/// | `example.com` | that host, whatever the port |
/// | `*.example.com` | every host that ends in `.example.com` |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    name: String,
    host: Option<Box<str>>,
    path: Box<str>,
}

impl Route {
    /// The name it was added under, of a workload for example.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host pattern, in lower case.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path pattern.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path without `/...`: what the pattern fixes. Empty for `/...`.
    pub fn base(&self) -> &str {
        self.path.strip_suffix("/...").unwrap_or(&self.path)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host().unwrap_or(""), self.path)
    }
}

/// A route that takes a request.
#[derive(Debug)]
pub struct Match<'r, 'p, T> {
    /// What was added with the route.
    pub value: &'r T,
    /// The route.
    pub route: &'r Route,
    /// What of the path follows the route's base: empty, or beginning with `/`.
    pub rest: &'p str,
}

/// Why a route was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two routes take the same requests.
    #[error(
        "`{first}` and `{second}` both have the route {route}; give one of them another path or host"
    )]
    Conflict {
        /// The name of the route added before.
        first: String,
        /// The name of the route refused.
        second: String,
        /// The pattern.
        route: String,
    },
    /// Not a path pattern.
    #[error(
        "`{name}` has the path `{path}`: write `/`, `/api` for one path, or `/api/...` for everything below it"
    )]
    Path {
        /// The name of the route refused.
        name: String,
        /// The pattern.
        path: String,
    },
    /// Not a host pattern.
    #[error(
        "`{name}` has the host `{host}`: write a name such as `example.com` or `*.example.com`, without a port"
    )]
    Host {
        /// The name of the route refused.
        name: String,
        /// The pattern.
        host: String,
    },
}

/// Collects the routes of a [`Router`].
#[derive(Debug)]
pub struct RouterBuilder<T> {
    router: Router<T>,
}

impl<T> Default for RouterBuilder<T> {
    fn default() -> Self {
        Self {
            router: Router {
                routes: Vec::new(),
                exact: HashMap::new(),
                wildcard: Vec::new(),
                any: Node::default(),
            },
        }
    }
}

impl<T> RouterBuilder<T> {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route; the tables at [`Route`] say what `host` and `path` may be.
    ///
    /// # Errors
    /// A pattern is not valid, or another route has the same one.
    pub fn add(
        &mut self,
        name: &str,
        host: Option<&str>,
        path: &str,
        value: T,
    ) -> Result<&mut Self, RouteError> {
        let base = path.strip_suffix("/...");
        let fixed = base.unwrap_or(path);
        let rooted = fixed.starts_with('/') || (fixed.is_empty() && base.is_some());
        if !rooted || fixed.contains(['?', '#', ' ', '*']) || fixed.split('/').any(|s| s == "...") {
            return Err(RouteError::Path { name: name.into(), path: path.into() });
        }
        let host = match host {
            None => None,
            Some(host) => Some(
                host_pattern(host)
                    .ok_or_else(|| RouteError::Host { name: name.into(), host: host.into() })?,
            ),
        };
        let router = &mut self.router;
        let mut node = match host.as_deref() {
            None => &mut router.any,
            Some(host) => match host.strip_prefix("*.") {
                None => router.exact.entry(host.into()).or_default(),
                Some(suffix) => {
                    let place = match router.wildcard.iter().position(|(own, _)| **own == *suffix) {
                        Some(place) => place,
                        None => {
                            let longer = |(own, _): &(Box<str>, Node)| own.len() >= suffix.len();
                            let place = router.wildcard.partition_point(longer);
                            router.wildcard.insert(place, (suffix.into(), Node::default()));
                            place
                        }
                    };
                    &mut router.wildcard[place].1
                }
            },
        };
        for segment in fixed.split('/').skip(1) {
            node = node.children.entry(segment.into()).or_default();
        }
        let slot = if base.is_some() { &mut node.prefix } else { &mut node.exact };
        let route = Route { name: name.into(), host, path: path.into() };
        if let Some(first) = *slot {
            return Err(RouteError::Conflict {
                first: router.routes[first].0.name.clone(),
                second: route.name.clone(),
                route: route.to_string(),
            });
        }
        *slot = Some(router.routes.len());
        router.routes.push((route, value));
        Ok(self)
    }

    /// The router, immutable from here.
    pub fn build(self) -> Router<T> {
        self.router
    }
}

impl<T> Router<T> {
    /// The route that takes `path` (without its query) on `host` (with or without a port).
    ///
    /// An exact host comes before `*.` patterns, the longest of these first, and those before routes
    /// for every host. Among one host's routes an exact path comes before the longest prefix. Where
    /// a host has no route for the path, the next less exact host is asked.
    pub fn find<'r, 'p>(&'r self, host: Option<&str>, path: &'p str) -> Option<Match<'r, 'p, T>> {
        let index = self.index(host, path)?;
        let (route, value) = &self.routes[index];
        Some(Match { value, route, rest: path.get(route.base().len()..).unwrap_or("") })
    }

    /// All routes, in the order they were added.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = (&Route, &T)> {
        self.routes.iter().map(|(route, value)| (route, value))
    }

    fn index(&self, host: Option<&str>, path: &str) -> Option<usize> {
        if !self.exact.is_empty() || !self.wildcard.is_empty() {
            let mut buffer = [0; MAX_HOST];
            if let Some(host) = host.and_then(|host| lower_case(bare_host(host), &mut buffer)) {
                let exact = self.exact.get(host).and_then(|node| node.find(path));
                if exact.is_some() {
                    return exact;
                }
                for (suffix, node) in &self.wildcard {
                    let below = host
                        .strip_suffix(&**suffix)
                        .is_some_and(|sub| sub.len() > 1 && sub.ends_with('.'));
                    if below && let Some(index) = node.find(path) {
                        return Some(index);
                    }
                }
            }
        }
        self.any.find(path)
    }
}

impl Node {
    fn find(&self, path: &str) -> Option<usize> {
        let mut best = self.prefix.filter(|_| path.starts_with('/'));
        let mut node = self;
        for segment in path.strip_prefix('/')?.split('/') {
            match node.children.get(segment) {
                Some(child) => node = child,
                None => return best,
            }
            best = node.prefix.or(best);
        }
        node.exact.or(best)
    }
}

/// The host without port, brackets' port and a final dot.
fn bare_host(host: &str) -> &str {
    let host = match host.strip_prefix('[') {
        Some(_) => host.split_inclusive(']').next().unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn lower_case<'b>(host: &str, buffer: &'b mut [u8; MAX_HOST]) -> Option<&'b str> {
    let buffer = buffer.get_mut(..host.len())?;
    buffer.copy_from_slice(host.as_bytes());
    buffer.make_ascii_lowercase();
    std::str::from_utf8(buffer).ok()
}

/// A host pattern in lower case, if it is one.
fn host_pattern(host: &str) -> Option<Box<str>> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let ipv6 = name.starts_with('[') && name.ends_with(']');
    let valid = !name.is_empty()
        && name.len() <= MAX_HOST
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || b"-._".contains(&byte)
                || (ipv6 && b"[]:".contains(&byte))
        })
        && (ipv6 || name.split('.').all(|label| !label.is_empty()));
    valid.then(|| host.to_ascii_lowercase().into())
}

/// The host that a request names: its target's authority (always so in HTTP/2), else `Host`.
pub fn request_host<B>(request: &http::Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(http::header::HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests;
