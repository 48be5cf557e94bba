//! Routes: which request paths belong to a handler.

use std::fmt;
use std::str::FromStr;

#[cfg(test)]
mod tests;

/// The paths that one handler answers, in WAGI's notation: `/about` is that path alone, and
/// `/files/...` is `/files` and everything below it (but not `/filesystem`).
///
/// Paths are compared as they stand in the request line: still percent-encoded, case-sensitive,
/// a trailing slash counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Without the wildcard: `/files` for `/files/...`, empty for `/...`.
    path: String,
    wildcard: bool,
}

/// Text that is not a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route {route:?} does not start with `/`: write a path such as `/about` or `/files/...`")]
pub struct RouteError {
    /// The text as given.
    pub route: String,
}

impl Route {
    /// The route of every path, `/...`.
    pub fn everything() -> Self {
        Self { path: String::new(), wildcard: true }
    }

    /// Whether a request for `path` (undecoded, without the query) belongs to this route.
    pub fn matches(&self, path: &str) -> bool {
        self.path_info(path).is_some()
    }

    /// What follows the route in `path`, still encoded; empty where `path` is the route itself.
    /// `None` where the route does not match.
    pub fn path_info<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path.as_str())?;
        (rest.is_empty() || (self.wildcard && rest.starts_with('/'))).then_some(rest)
    }

    /// The value of `SCRIPT_NAME`: the route without its wildcard, and never empty.
    pub fn script_name(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err(RouteError { route: text.to_owned() });
        }
        Ok(match text.strip_suffix("/...") {
            Some(path) => Self { path: path.to_owned(), wildcard: true },
            None => Self { path: text.to_owned(), wildcard: false },
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.wildcard { f.write_str("/...") } else { Ok(()) }
    }
}
