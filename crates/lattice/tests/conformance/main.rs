//! What everything that is behind the traits does alike: on one machine, and at the newest and the oldest NATS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bus;
mod objects;
mod store;

use std::time::Duration;

use reef_lattice::Lattice;
use reef_servers::{Nats, Server};

/// How long anything may take that is not the point of a test.
const SOON: Duration = Duration::from_secs(20);

/// A lattice of its own, and what it lives in.
struct Place {
    lattice: Lattice,
    folder: tempfile::TempDir,
    _server: Option<Server>,
}

fn local() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let lattice = Lattice::local(&folder.path().join("lattice")).unwrap();
    Place { lattice, folder, _server: None }
}

fn nats(version: Nats) -> Place {
    let server = Server::nats(version).unwrap();
    let address = format!("{}/conformance", server.url()).parse().unwrap();
    let lattice = Lattice::nats(&address).unwrap();
    Place { lattice, folder: tempfile::tempdir().unwrap(), _server: Some(server) }
}

/// Each test for each place.
macro_rules! everywhere {
    ($($test:ident),* $(,)?) => {
        mod on_one_machine { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() { super::$test(crate::local()).await }
        )* }
        mod at_the_newest_nats { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() { super::$test(crate::nats(reef_servers::Nats::Newest)).await }
        )* }
        mod at_the_oldest_nats { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() { super::$test(crate::nats(reef_servers::Nats::Oldest)).await }
        )* }
    };
}
pub(crate) use everywhere;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap()
}
