//! Servers as people have them: with credentials, TLS, a leaf node before them, limits, or too little.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use futures::TryStreamExt as _;
use reef_bus::{Capacity, Interest, Message};
use reef_lattice::{Expected, Failure, Key, Lattice};
use reef_servers::{Clients, Cluster, Nats, Server};

/// An NKey that is used nowhere else.
const SEED: &str = "SUAIINBFPDEH73EDPHTIENGEMQM7MT3NZ256XGJYDLERBN2YMDB2X2EEL4";
const PUBLIC: &str = "UD5TS5VWLCKD5YBA5DWY5JYETZW2XNNKTFNXETLF6YYKFPC5H66AG5Z3";
const SOON: Duration = Duration::from_secs(20);

fn at(address: &str) -> Lattice {
    Lattice::nats(&address.parse().unwrap()).unwrap()
}

/// Everything once.
async fn works(lattice: &Lattice) {
    lattice.check().await.unwrap();
    let key = Key::parse("app.a.b").unwrap();
    let revision = lattice.store.put(&key, "x".into(), Expected::Any).await.unwrap();
    assert_eq!(lattice.store.get(&key).await.unwrap().unwrap().revision, revision);
    let absent = lattice.store.put(&key, "x".into(), Expected::Absent).await;
    assert!(matches!(absent, Err(Failure::Conflict(_))), "{absent:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let digest = empty.parse().unwrap();
    lattice.objects.put(&digest, file.path()).await.unwrap();
    let pieces: Vec<_> = lattice.objects.get(&digest).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.is_empty()));
    let interest = Interest {
        name: "a test".into(),
        subject: "a.test".parse().unwrap(),
        queue: None,
        capacity: Capacity::default(),
    };
    let subscription = lattice.bus.subscribe(interest).await.unwrap();
    lattice.bus.publish(Message::new("a.test", "x").unwrap()).await.unwrap();
    tokio::time::timeout(SOON, subscription.next()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (password, seed) = (file("password", "hunter2\n"), file("seed", &format!("{SEED}\n")));
    let config = format!(
        "jetstream: enabled\nauthorization: {{users: [{{user: reef, password: hunter2}}, {{nkey: {PUBLIC}}}]}}"
    );
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats_with(version, &config).unwrap();
        let url = server.url();
        works(&at(&format!("{}/a", url.replace("//", "//reef:hunter2@")))).await;
        works(&at(&format!("{url}/a?user=reef&password-file={password}"))).await;
        works(&at(&format!("{url}/a?nkey-file={seed}"))).await;
        for wrong in ["", "?user=reef&password=hunter3"] {
            let refused = at(&format!("{url}/a{wrong}")).check().await.unwrap_err();
            assert!(matches!(refused, Failure::Denied(_)), "{refused:?}");
        }
    }
    let missing = "nats://127.0.0.1:1/a?credentials-file=/nowhere/reef.creds".parse().unwrap();
    let refused = Lattice::nats(&missing).unwrap_err();
    assert!(matches!(&refused, Failure::Invalid(why) if why.contains("/nowhere/reef.creds")));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    for version in [Nats::Newest, Nats::Oldest] {
        let server = Server::nats_over_tls(version, Clients::Certified).unwrap();
        let (files, url) = (server.certificates(), server.url());
        let roots = format!("{url}/a?tls-roots={}", files.ca.display());
        let (cert, key) = (files.cert.display(), files.key.display());
        works(&at(&format!("{roots}&tls-cert={cert}&tls-key={key}"))).await;
        for wrong in [url.as_str(), &roots] {
            let refused = at(wrong).check().await.unwrap_err();
            assert!(matches!(refused, Failure::Unavailable { .. }), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_leaf_node() {
    for version in [Nats::Newest, Nats::Oldest] {
        let (hub, leaf) = Cluster::hub_and_leaf(version).unwrap();
        let behind = at(&format!("{}/a?domain=hub", leaf.url()));
        // The leaf is connected to its hub some time after both are there.
        let known = async { while behind.check().await.is_err() {} };
        tokio::time::timeout(SOON, known).await.unwrap();
        works(&behind).await;
        // It is the hub's, and not the leaf's.
        let key = Key::parse("app.a.b").unwrap();
        let there = at(&format!("{}/a", hub.url())).store.get(&key).await.unwrap();
        assert_eq!(there.unwrap().value, "x");
        let nearer = at(&format!("{}/a", leaf.url()));
        assert!(nearer.store.get(&key).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lacking_is_said_with_what_to_do() {
    let server = Server::nats_with(Nats::Newest, "max_payload: 1MB").unwrap();
    let lacking = at(&server.url()).check().await.unwrap_err();
    assert!(matches!(&lacking, Failure::Unsupported(why) if why.contains("`-js`")), "{lacking:?}");
    // Messages go without.
    let message = Message::new("a", "x").unwrap();
    at(&server.url()).bus.publish(message).await.unwrap();

    for (limit, said) in [
        ("max_streams: 1", "raise its limit"),
        ("max_bytes_required: true, max_streams: 9", "--max-bucket-size"),
    ] {
        let config = format!(
            "jetstream: enabled\naccounts: {{A: {{jetstream: {{{limit}}}, users: [{{user: a, password: b}}]}}}}"
        );
        let server = Server::nats_with(Nats::Newest, &config).unwrap();
        let url = server.url().replace("//", "//a:b@");
        let lacking = at(&url).check().await.unwrap_err();
        assert!(matches!(&lacking, Failure::Unsupported(why) if why.contains(said)), "{lacking:?}");
    }
}
