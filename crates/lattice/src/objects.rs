//! What workloads are made of, by digest.

use std::{fmt, path::Path, str::FromStr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use reef_capability::Failure;
use serde::{Deserialize, Serialize};

/// Artifacts and files by their digests: written once, never changed.
#[async_trait]
pub trait Objects: fmt::Debug + Send + Sync {
    /// Whether it is there, whole.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn has(&self, digest: &Digest) -> Result<bool, Failure>;

    /// Keeps what a file holds, unless it is there already. Nothing is there until all of it is, and it is
    /// what its digest says.
    ///
    /// # Errors
    /// When it is not what its digest says; when it cannot be kept.
    async fn put(&self, digest: &Digest, file: &Path) -> Result<(), Failure>;

    /// What is kept. The reader verifies it: the end of a stream that does not match is an error.
    ///
    /// # Errors
    /// When there is none ([`Failure::NotFound`]), or the store cannot be asked.
    async fn get(&self, digest: &Digest) -> Result<ObjectStream, Failure>;

    /// Whether it is there, whole; and if so, that it is needed: what was listed as [`unheld`](Self::unheld) before is not
    /// removed any more. Where that was said within `fresh`, it is not said again.
    ///
    /// # Errors
    /// When the store cannot be asked, or does not take what is said.
    async fn hold(&self, digest: &Digest, fresh: Duration) -> Result<bool, Failure>;

    /// Those of which nobody said for so long that they are needed, by the store's own clock. To put one says so, too.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn unheld(&self, since: Duration) -> Result<Vec<Unheld>, Failure>;

    /// Removes one, unless somebody said since it was listed that it is needed: then `false`. One that is gone already
    /// is none that was removed.
    ///
    /// # Errors
    /// When the store cannot be asked. It may be removed or not.
    async fn remove(&self, unheld: &Unheld) -> Result<bool, Failure>;

    /// Removes what is left, since so long, of objects that were never whole or were removed: how many of them.
    ///
    /// # Errors
    /// When the store cannot be asked. Some may be removed.
    async fn sweep(&self, since: Duration) -> Result<usize, Failure>;
}

/// An object of which nobody said for a while that it is needed, as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheld {
    /// Which one.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What is another number once somebody says that it is needed.
    pub mark: u64,
}

/// Pieces of an object.
pub type ObjectStream = BoxStream<'static, Result<Bytes, Failure>>;

/// `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 hexadecimal digits in lower case")]
pub struct NoDigest(String);

impl Digest {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        self.0.get(SHA256.len()..).unwrap_or_default()
    }
}

const SHA256: &str = "sha256:";

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.strip_prefix(SHA256).unwrap_or_default();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == 64 && digits.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoDigest(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As digests are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn no_object(digest: &Digest) -> Failure {
    Failure::NotFound { what: "object", name: digest.to_string() }
}

pub(crate) fn is_not(digest: &Digest, what: &dyn fmt::Display) -> Failure {
    Failure::Backend(format!("{what} is not what {digest} says that it is"))
}
