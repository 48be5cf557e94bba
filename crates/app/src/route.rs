//! Where an HTTP trigger answers.

use std::{fmt, str::FromStr};

use crate::text::as_text;

/// The longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST: usize = 253;

/// A pattern of hosts and paths: `[HOST]/PATH`.
///
/// | path | takes |
/// | --- | --- |
/// | `/` | only `/` |
/// | `/api` | only `/api` |
/// | `/users/:id` | `/users/` and one segment, which the guest is told as `id` |
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
    host: Option<Box<str>>,
    segments: Vec<Segment>,
    below: bool,
}

/// A part of a path between slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Itself.
    Literal(Box<str>),
    /// Any one segment, under this name.
    Parameter(Box<str>),
}

/// Not a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is not a pattern.
    #[error(
        "`{0}` is not a path: write `/`, `/api` for one path, `/users/:id` for one with a parameter, or `/api/...` for everything below it"
    )]
    Path(String),
    /// The host is not a pattern.
    #[error(
        "`{0}` is not a host: write a name such as `example.com` or `*.example.com`, without a port"
    )]
    Host(String),
    /// A parameter's name is there twice.
    #[error("`:{0}` is there twice in one route; give one of them another name")]
    Parameter(String),
}

impl Route {
    /// The host pattern, in lower case.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path's segments. `/` has one, which is empty.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether everything below is taken too.
    pub fn takes_below(&self) -> bool {
        self.below
    }

    /// The path pattern, without the host.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Parameter(name) => {
                    path.push(':');
                    path.push_str(name);
                }
            }
        }
        if self.below {
            path.push_str("/...");
        }
        path
    }

    /// Whether two routes take the same requests: parameters do whatever they are called.
    pub fn is_same(&self, other: &Self) -> bool {
        let alike = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            _ => false,
        };
        self.host == other.host
            && self.below == other.below
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(alike)
    }
}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let fault = || RouteError::Path(if path.is_empty() { text } else { path }.to_owned());
        let host = match host {
            "" => None,
            host => Some(host_pattern(host).ok_or_else(|| RouteError::Host(host.to_owned()))?),
        };
        let base = path.strip_suffix("/...");
        let fixed = base.unwrap_or(path);
        let forbidden =
            |c: char| matches!(c, '?' | '#' | '*') || c.is_whitespace() || c.is_control();
        if fixed.contains(forbidden) || (fixed.is_empty() && base.is_none()) {
            return Err(fault());
        }
        let mut segments = Vec::new();
        for segment in fixed.split('/').skip(1) {
            segments.push(match segment.strip_prefix(':') {
                Some("") => return Err(fault()),
                Some(name) => {
                    let segment = Segment::Parameter(name.into());
                    if segments.contains(&segment) {
                        return Err(RouteError::Parameter(name.to_owned()));
                    }
                    segment
                }
                // No request's path has them: clients and servers resolve them before.
                None if matches!(segment, "..." | ".." | ".") => return Err(fault()),
                None => Segment::Literal(segment.into()),
            });
        }
        Ok(Self { host, segments, below: base.is_some() })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host().unwrap_or_default(), self.path())
    }
}

as_text!(Route, "Route", "`/api/...`, `/users/:id`, `example.com/...`");

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
