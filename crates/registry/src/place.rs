//! Where an artifact is.

use std::fmt;

use reef_app::Source;
use reef_artifact::Digest;
use reef_bindle::Id;
use reef_oci::Reference;
use url::Url;

/// Where an artifact is that is no file, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub(crate) at: At,
    pub(crate) digest: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Url(Url),
    Oci(Reference),
    Bindle { id: Id, server: Option<Url> },
}

/// Text that says no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No URL.
    #[error("`{url}` is not the address of a download: {why}")]
    Url {
        /// Without what may be secret in it.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// What follows `#` is no digest.
    #[error(
        "what follows `#` in `{0}` is not a digest; write `#sha256=` and 64 hexadecimal digits"
    )]
    Fragment(String),
    /// No digest.
    #[error("`{0}` is not a digest; write `sha256:` and 64 hexadecimal digits")]
    Digest(String),
    /// Two digests that are not the same.
    #[error("`{at}` has the digest {own}, and {other} is asked for")]
    Digests {
        /// The address.
        at: String,
        /// Its own.
        own: Digest,
        /// The other one.
        other: Digest,
    },
    /// No reference.
    #[error(transparent)]
    Oci(#[from] reef_oci::ReferenceError),
    /// No bindle.
    #[error(transparent)]
    Bindle(#[from] reef_bindle::IdError),
    /// A file.
    #[error("`{0}` is a file")]
    File(String),
}

/// Whether an argument means something that is not on this machine: it begins with `https://`,
/// `http://`, `oci://` or `bindle:`.
pub fn is_remote(text: &str) -> bool {
    let begins = |start: &str| {
        text.get(..start.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
    };
    ["https://", "http://", "oci://", "bindle:"].into_iter().any(begins)
}

impl Place {
    /// The place of a source that is no file.
    ///
    /// `digest`: SHA-256 of the artifact, where it is pinned; a URL may have its own, `#sha256=…`.
    /// `server`: the Bindle server, where the source has one of its own.
    ///
    /// # Errors
    /// When it is a file, or is not written as it should be.
    pub fn new(
        source: &Source,
        digest: Option<&str>,
        server: Option<&str>,
    ) -> Result<Self, PlaceError> {
        let pinned = digest.map(parse_digest).transpose()?;
        match source {
            Source::File(path) => Err(PlaceError::File(path.display().to_string())),
            Source::Url(text) => {
                let mut url = address(text)?;
                let own = url.fragment().map(|own| own.replacen("sha256=", "sha256:", 1));
                url.set_fragment(None);
                let own = own
                    .map(|own| parse_digest(&own).map_err(|_| PlaceError::Fragment(shown(&url))))
                    .transpose()?;
                if let (Some(own), Some(other)) = (own, pinned)
                    && own != other
                {
                    return Err(PlaceError::Digests { at: shown(&url), own, other });
                }
                Ok(Self { at: At::Url(url), digest: own.or(pinned) })
            }
            Source::Oci(reference) => Ok(Self { at: At::Oci(reference.parse()?), digest: pinned }),
            Source::Bindle(id) => {
                let id = id.trim_start_matches('/').parse()?;
                let server = server.map(address).transpose()?;
                Ok(Self { at: At::Bindle { id, server }, digest: pinned })
            }
        }
    }

    /// What is kept of it is found by this.
    pub(crate) fn key(&self) -> String {
        match &self.at {
            // All of it, which its shown form is not.
            At::Url(url) => url.to_string(),
            At::Bindle { id, server: Some(server) } => format!("{server} bindle:{id}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Url(url) => f.write_str(&shown(url)),
            At::Oci(reference) => write!(f, "oci://{reference}"),
            At::Bindle { id, .. } => write!(f, "bindle:{id}"),
        }
    }
}

fn parse_digest(text: &str) -> Result<Digest, PlaceError> {
    text.to_ascii_lowercase().parse().map_err(|_| PlaceError::Digest(text.to_owned()))
}

/// An address of the web without a name and password in it: they would be in every log.
pub(crate) fn address(text: &str) -> Result<Url, PlaceError> {
    let wrong = |url: String, why: &str| PlaceError::Url { url, why: why.to_owned() };
    let url = Url::parse(text).map_err(|error| {
        // What it is made of is not known: what may be a password or a token is not shown.
        let shown = match text.split_once("://") {
            Some((scheme, rest)) if rest.contains('@') => format!("{scheme}://…"),
            _ => text.split(['?', '#']).next().unwrap_or_default().to_owned(),
        };
        wrong(shown, &error.to_string())
    })?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(wrong(shown(&url), "it begins with https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(shown(&url), "a user name and a password do not belong into it"));
    }
    Ok(url)
}

/// An address for people: without what may be secret in it, which signed ones have in their query.
pub(crate) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests;
