//! How far downloads are.

use reef_artifact::Digest;

use crate::Error;

/// Is told of downloads: by a terminal, a log, or nobody.
pub trait Progress: Send + Sync {
    /// A download begins, of so many bytes where that is known. May be called from any thread, and again
    /// while others are under way.
    fn begin(&self, what: &str, bytes: Option<u64>) -> Box<dyn Transfer>;

    /// Whoever would say what `what` is today cannot be asked, for this reason, and `digest`, what it was
    /// last, is used.
    fn stale(&self, what: &str, digest: &Digest, why: &Error);
}

/// One download; when it fails, it is dropped.
pub trait Transfer: Send {
    /// So many bytes are there, in all.
    fn at(&mut self, bytes: u64);

    /// All are there.
    fn done(self: Box<Self>);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<u64>) -> Box<dyn Transfer> {
        Box::new(Self)
    }

    fn stale(&self, _: &str, _: &Digest, _: &Error) {}
}

impl Transfer for Silent {
    fn at(&mut self, _: u64) {}

    fn done(self: Box<Self>) {}
}
