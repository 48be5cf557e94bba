//! Every backend: what all do alike, and what becomes of what was acknowledged when something goes wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod conformance;
mod faults;
mod full;
mod killed;
mod local;
mod model;
mod servers;
mod tls;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use reef_capability::{Opening, Settings, find};
use reef_key_value::{BACKENDS, KeyValue};

type Store = Arc<dyn KeyValue>;

fn open(backend: &str, settings: &Settings, folder: &Path) -> Store {
    let runtime = tokio::runtime::Handle::current();
    let opening =
        Opening { application: "app", settings, folder, data: Some(folder), runtime: &runtime };
    (find(BACKENDS, backend).unwrap().open)(opening).unwrap()
}

/// A store of a server.
fn at(backend: &str, url: &str) -> Store {
    open(backend, &[("url", url)].into_iter().collect(), Path::new("/"))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
