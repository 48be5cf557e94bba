//! Values in NATS, on its newest server and on the oldest that is taken.

#![allow(clippy::unwrap_used, clippy::panic, clippy::type_complexity, reason = "tests")]

use std::{path::Path, sync::Arc, time::Duration};

use reef_capability::{
    Caller, Failure, Gate, Link, Links, Opened, Opening, Policy, Settings, find,
};
use reef_config::{BACKENDS, CONFIG, OPERATIONS, Store, Values};
use reef_servers::{Nats, Server};

fn open(url: &str, bucket: &str) -> Arc<Store> {
    let settings = [("url", url), ("kv-bucket", bucket), ("cache", "0s"), ("keys", "db.*, plain")];
    let settings: Settings = settings.into_iter().collect();
    let runtime = tokio::runtime::Handle::current();
    let opening = Opening {
        application: "app",
        settings: &settings,
        folder: Path::new("/"),
        data: None,
        runtime: &runtime,
    };
    Opened::default().open(find(BACKENDS, "nats").unwrap(), opening).unwrap()
}

async fn works(which: Nats) {
    let mut server = Server::nats(which).unwrap();
    let url = server.url();
    let client = async_nats::connect(&url).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::kv::Config {
        bucket: "values".to_owned(),
        storage: async_nats::jetstream::stream::StorageType::File,
        ..Default::default()
    };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    for (key, value) in [("db.password", "p"), ("plain", "q"), ("hidden", "h"), ("db.old", "o")] {
        bucket.put(key, value.into()).await.unwrap();
    }
    bucket.delete("db.old").await.unwrap();

    let store = open(&url, "values");
    assert_eq!(store.get("db.password").await, Ok(Some("p".into())));
    for none in ["db.old", "db.none", "db.>", "db.*", "db.a b"] {
        assert_eq!(store.get(none).await, Ok(None), "{none}");
    }
    let mut all = store.all().await.unwrap().to_vec();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(all, [("db.password".to_owned(), "p".into()), ("plain".to_owned(), "q".into())]);
    // What changed there is seen by the next read.
    bucket.put("plain", "r".into()).await.unwrap();
    assert_eq!(store.get("plain").await, Ok(Some("r".into())));

    let gone = open(&url, "gone").get("plain").await.unwrap_err();
    assert!(gone.to_string().contains("no key-value bucket `gone`"), "{gone}");

    // A server that is frozen is a failure in time, and one that comes back is found again.
    let policy = Policy { timeout: Duration::from_secs(1), ..Policy::default() };
    let gate = Gate::new("api".into(), "n".into(), (CONFIG, "nats"), policy, OPERATIONS);
    let link = Link { place: None, gate, backend: store };
    let links = Links::new("api".into(), CONFIG, vec![Arc::new(link)]);
    let own = Default::default();
    let values = Values { own: &own, links: &links };
    server.freeze();
    // It may answer what it has read already.
    let slow = async {
        loop {
            if let Err(failure) = values.get(&Caller::default(), "plain").await {
                break failure;
            }
        }
    };
    let slow = tokio::time::timeout(Duration::from_secs(30), slow).await.unwrap();
    assert!(slow.is_of_backend(), "{slow}");
    server.thaw();
    server.kill();
    server.start_again().unwrap();
    let back = async {
        loop {
            match values.get(&Caller::default(), "plain").await {
                Ok(value) => break value,
                Err(Failure::Broken { pause, .. }) => tokio::time::sleep(pause).await,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
    assert_eq!(back, Some("r".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_in_nats() {
    works(Nats::Newest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_in_the_oldest_nats() {
    works(Nats::Oldest).await;
}
