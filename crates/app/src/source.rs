//! Where an artifact comes from.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::text::as_text;

/// Where an artifact comes from.
///
/// | written | is |
/// | --- | --- |
/// | `front.wasm`, `./front.wasm`, `file:///srv/front.wasm` | a file, from the manifest's folder on |
/// | `https://example.com/front.wasm` | a download |
/// | `oci://ghcr.io/shop/front:1.0` | an artifact in an OCI registry |
/// | `bindle:shop/1.0.0` | an invoice of Bindle |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file or folder.
    File(PathBuf),
    /// A download.
    Url(String),
    /// A reference into an OCI registry, without the scheme.
    Oci(String),
    /// A Bindle invoice, without the scheme.
    Bindle(String),
}

/// Not a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing at all.
    #[error("a source is a file, or an address that begins with https://, oci:// or bindle:")]
    Empty,
    /// Another scheme.
    #[error("`{0}:` is not known: a source is a file, or begins with https://, oci:// or bindle:")]
    Scheme(String),
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if text.is_empty() || text.contains('\0') {
            return Err(SourceError::Empty);
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Ok(Self::File(text.into()));
        };
        let is_scheme = scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match scheme.to_ascii_lowercase().as_str() {
            _ if is_scheme && path.is_empty() => Err(SourceError::Empty),
            "file" => Ok(Self::File(path.into())),
            "http" | "https" => Ok(Self::Url(text.to_owned())),
            "oci" => Ok(Self::Oci(path.to_owned())),
            "bindle" => Ok(Self::Bindle(path.to_owned())),
            // A file's name may hold a colon.
            _ if is_scheme && rest.starts_with("//") => Err(SourceError::Scheme(scheme.to_owned())),
            _ => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A file's name may look like an address: it is written so that it reads as a file.
            Self::File(path) => match path.display().to_string().parse::<Self>() {
                Ok(read) if read == *self => path.display().fmt(f),
                _ => write!(f, "file://{}", path.display()),
            },
            Self::Url(url) => f.write_str(url),
            Self::Oci(reference) => write!(f, "oci://{reference}"),
            Self::Bindle(invoice) if invoice.starts_with("//") => write!(f, "bindle://{invoice}"),
            Self::Bindle(invoice) => write!(f, "bindle:{invoice}"),
        }
    }
}

as_text!(
    Source,
    "Source",
    "A file from the manifest's folder on, or an address: https://…, oci://…, bindle:…"
);
