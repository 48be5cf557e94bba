//! References.

use std::{fmt, str::FromStr};

use reef_artifact::Digest;

/// The registry of names that have none, and its namespace of names without one.
const DEFAULT: (&str, &str) = ("docker.io", "library");
/// The longest name of a repository, its registry included.
const LONGEST_NAME: usize = 255;
/// The longest tag.
const LONGEST_TAG: usize = 128;

/// Where an artifact is: `[registry/]repository[:tag][@digest]` (OCI distribution 1.1, "Pulling
/// manifests").
///
/// | written | registry | repository | |
/// | --- | --- | --- | --- |
/// | `ghcr.io/shop/front:1.0` | `ghcr.io` | `shop/front` | tag `1.0` |
/// | `localhost:5000/front` | `localhost:5000` | `front` | tag `latest` |
/// | `shop/front@sha256:…` | `docker.io` | `shop/front` | digest |
/// | `front:1` | `docker.io` | `library/front` | tag `1` |
///
/// A digest decides where there is a tag, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Text that is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a reference into a registry: {fault}; write REGISTRY/NAME:TAG, such as ghcr.io/shop/front:1.0"
)]
pub struct ReferenceError {
    /// The text as given.
    pub text: String,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("its registry is not a host with a port or without one")]
    Registry,
    #[error(
        "a name is lower-case letters and digits, with `.`, `_`, `-` between them and `/` between parts"
    )]
    Repository,
    #[error("its name is longer than {LONGEST_NAME} bytes")]
    Long,
    #[error(
        "a tag is at most {LONGEST_TAG} letters, digits, `.`, `_` and `-`, and begins with none of the last two but `_`"
    )]
    Tag,
    #[error("its digest is not `sha256:` and 64 hexadecimal digits")]
    Digest,
}

// === impl Reference ===

impl Reference {
    /// The registry's host, with its port where it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host that answers for the registry: Docker's is another than its name.
    pub fn host(&self) -> &str {
        match &*self.registry {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        }
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The digest of the manifest, which is the same for ever.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tag: `latest` if nothing else is said.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// What to ask the registry for: the digest, or the tag.
    pub fn version(&self) -> String {
        self.digest.map_or_else(|| self.tag().to_owned(), |digest| digest.to_string())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|fault| ReferenceError { text: text.to_owned(), fault })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => write!(f, ":{tag}")?,
            (None, None) => f.write_str(":latest")?,
            (None, Some(_)) => {}
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn parse(text: &str) -> Result<Reference, Fault> {
    let (rest, digest) = match text.split_once('@') {
        None => (text, None),
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| Fault::Digest)?)),
    };
    // A colon in the last part begins a tag; before a slash, it begins a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (first, rest.to_owned())
        }
        Some(_) => (DEFAULT.0, name.to_owned()),
        None => (DEFAULT.0, format!("{}/{name}", DEFAULT.1)),
    };
    if !is_registry(registry) {
        return Err(Fault::Registry);
    }
    if !repository.split('/').all(is_part) {
        return Err(Fault::Repository);
    }
    if registry.len() + 1 + repository.len() > LONGEST_NAME {
        return Err(Fault::Long);
    }
    if !tag.is_none_or(is_tag) {
        return Err(Fault::Tag);
    }
    let registry = registry.to_ascii_lowercase();
    Ok(Reference { registry, repository, tag: tag.map(str::to_owned), digest })
}

/// A host name or address (IPv6 in brackets), and a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            (None, rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("") }))
        }
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Runs of letters and digits with one separator between two: `.`, `_`, `__`, or any number of `-`.
fn is_part(part: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [part.as_bytes().first(), part.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(is_word))
        && part.as_bytes().split(is_word).all(|between| {
            matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests;
