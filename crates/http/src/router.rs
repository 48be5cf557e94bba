//! Which workload answers a request: by host, then by the longest path.

use std::collections::HashMap;

use reef_app::{Route, Segment};

/// The longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST: usize = 253;

/// Routes requests to values of `T`. Built once with [`RouterBuilder`], then immutable; a look-up
/// allocates nothing and takes time linear in the length of host and path.
///
/// Paths are compared as they were sent: nothing is percent-decoded, and `.` and `..` are segments
/// like others.
#[derive(Debug)]
pub struct Router<T> {
    routes: Vec<(Named, T)>,
    exact: HashMap<Box<str>, Node>,
    /// By what follows `*.`, the longest first.
    wildcard: Vec<(Box<str>, Node)>,
    any: Node,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    exact: Option<usize>,
    prefix: Option<usize>,
}

#[derive(Debug)]
struct Named {
    name: Box<str>,
    route: Route,
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
    path: &'p str,
}

impl<'r, 'p, T> Match<'r, 'p, T> {
    /// The parameters of the route, with the segments that they stand for.
    pub fn parameters(&self) -> impl Iterator<Item = (&'r str, &'p str)> {
        let segments = self.path.split('/').skip(1);
        self.route.segments().iter().zip(segments).filter_map(|(segment, text)| match segment {
            Segment::Parameter(name) => Some((&**name, text)),
            Segment::Literal(_) => None,
        })
    }
}

/// Two routes take the same requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{first}` and `{second}` both have the route {route}; give one of them another path or host"
)]
pub struct RouteConflict {
    /// The name of the route added before.
    pub first: String,
    /// The name of the route refused.
    pub second: String,
    /// The pattern.
    pub route: String,
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

    /// Adds a route under a name, of a workload for example.
    ///
    /// # Errors
    /// Another route takes the same requests.
    pub fn add(&mut self, name: &str, route: Route, value: T) -> Result<&mut Self, RouteConflict> {
        let router = &mut self.router;
        let mut node = match route.host() {
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
        for segment in route.segments() {
            node = match segment {
                Segment::Literal(text) => node.children.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        let slot = if route.takes_below() { &mut node.prefix } else { &mut node.exact };
        if let Some(first) = *slot {
            return Err(RouteConflict {
                first: router.routes[first].0.name.to_string(),
                second: name.to_owned(),
                route: route.to_string(),
            });
        }
        *slot = Some(router.routes.len());
        router.routes.push((Named { name: name.into(), route }, value));
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
    /// for every host. Among one host's routes a segment that is written out comes before a
    /// parameter, from the left; then an exact path before the longest one that takes what is below.
    /// Where a host has no route for the path, the next less exact host is asked.
    pub fn find<'r, 'p>(&'r self, host: Option<&str>, path: &'p str) -> Option<Match<'r, 'p, T>> {
        let index = self.index(host, path)?;
        let (Named { route, .. }, value) = &self.routes[index];
        let mut rest = path;
        for _ in route.segments() {
            let after = rest.get(1..).unwrap_or_default();
            rest = after.find('/').map_or("", |slash| &after[slash..]);
        }
        Some(Match { value, route, rest, path })
    }

    /// All routes, in the order they were added.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = (&Route, &T)> {
        self.routes.iter().map(|(named, value)| (&named.route, value))
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
        self.below(Some(path.strip_prefix('/')?))
    }

    /// As deep as the routes are, however deep the path is.
    fn below(&self, rest: Option<&str>) -> Option<usize> {
        let Some(rest) = rest else { return self.exact.or(self.prefix) };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        let literal = self.children.get(segment).and_then(|child| child.below(after));
        let parameter = || {
            let child = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
            child.below(after)
        };
        literal.or_else(parameter).or(self.prefix)
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

/// The host that a request names: its target's authority (always so in HTTP/2), else `Host`.
pub fn request_host<B>(request: &http::Request<B>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(http::header::HOST)?.to_str().ok(),
    }
}

#[cfg(test)]
mod tests;
