//! Fetching over real sockets, from servers that do what servers do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bindle;
mod downloads;
mod oci;
mod server;

use std::sync::{Arc, Mutex};

use reef_artifact::Digest;
use reef_registry::{Config, Error, Fetched, Place, Progress, Registry, Transfer};
use tempfile::TempDir;

/// A registry client with a store of its own, and what it was told.
struct Kit {
    folder: TempDir,
    config: Config,
    told: Told,
}

/// What was told, line by line.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

struct Line {
    told: Told,
    what: String,
    bytes: u64,
}

impl Progress for Told {
    fn begin(&self, what: &str, bytes: Option<u64>) -> Box<dyn Transfer> {
        self.say(format!("begin {} {bytes:?}", what.rsplit('/').next().unwrap()));
        Box::new(Line { told: self.clone(), what: what.to_owned(), bytes: 0 })
    }

    fn stale(&self, _: &str, digest: &Digest, why: &Error) {
        self.say(format!("stale {digest}: {why}"));
    }
}

impl Told {
    fn say(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// What was told since it was asked last.
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Transfer for Line {
    fn at(&mut self, bytes: u64) {
        assert!(bytes >= self.bytes, "{}", self.what);
        self.bytes = bytes;
    }

    fn done(self: Box<Self>) {
        self.told.say(format!("done {}", self.bytes));
    }
}

impl Kit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { store: Some(folder.path().join("artifacts")), ..Config::default() };
        Self { folder, config, told: Told::default() }
    }

    /// As a new process would.
    async fn fetch(&self, source: &str, digest: Option<&str>) -> Result<Fetched, Error> {
        self.fetch_from(source, digest, None).await
    }

    async fn fetch_from(
        &self,
        source: &str,
        digest: Option<&str>,
        server: Option<&str>,
    ) -> Result<Fetched, Error> {
        let place = Place::new(&source.parse().unwrap(), digest, server)?;
        Registry::new(self.config.clone()).fetch(&place, &self.told).await
    }

    /// Puts other bytes in the place of what has this digest.
    fn damage(&self, digest: &Digest) {
        let file = self.folder.path().join("artifacts/sha256").join(digest.hex());
        std::fs::write(file, b"damaged").unwrap();
    }
}
